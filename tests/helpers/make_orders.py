"""Run by test_sharded.py: makes orders, alone or as one of several processes."""

import pathlib
import sys

import jax

import zsgen
from zsgen.orders import similarity


def main(config: str, workdir: str, *membership: str):
  """Runs the order stage of a config for two settings."""
  if membership:
    port, count, process = membership
    jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(process))
  similarity.block_size = block_size
  for order in make(pathlib.Path(config), pathlib.Path(workdir)):
    print("order", order)


def block_size(examples: int, dim: int) -> int:
  """Returns few rows, so that there are several blocks."""
  del examples, dim
  return 64


def make(config: pathlib.Path, workdir: pathlib.Path) -> list[pathlib.Path]:
  """Returns the orders of two settings."""
  values = zsgen.core.artifacts.read_json(config)
  orders = []
  for setting in ("NFT", "MAX"):
    values["order"]["setting"] = setting
    orders.append(zsgen.run(values, workdir, ["order"]).order)
  return orders


if __name__ == "__main__":
  main(*sys.argv[1:])
