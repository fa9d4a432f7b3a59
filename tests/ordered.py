"""Run by test_sharded.py: makes orders, alone or as one of several processes."""

import pathlib
import sys

import jax

import zsgen
from zsgen.orders import similarity


def main(config: str, workdir: str, *where: str):
  """Runs the order stage of a config for two settings."""
  if where:
    port, count, process = where
    jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(process))
  similarity.block_size = lambda examples, dim: 64
  values = zsgen.core.artifacts.read_json(pathlib.Path(config))
  for setting in ("NFT", "MAX"):
    values["order"]["setting"] = setting
    found = zsgen.run(values, workdir, ["order"])
    print("order", found.order)


if __name__ == "__main__":
  main(*sys.argv[1:])
