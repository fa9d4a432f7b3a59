"""Time and host memory to import a model of a billion parameters.

  python -m benchmarks.models                       # Llama-3.2-1B's shape
  python -m benchmarks.models --preset=QWEN3_06B --dtype=float32

A directory with random weights is written first, in shards of 1 GB, and deleted
afterwards. Each peer reads it in a separate process as float32, as training
needs it; ratios are relative to the size of the parameters in float32. Packages
are imported before the time starts.

  zsgen         `config.model.init="hf:DIR"`: onto the device mesh
  transformers  `AutoModelForCausalLM.from_pretrained`, if torch is installed
  export        zsgen again, then writes everything to a new directory
"""

import argparse
import dataclasses
import math
import pathlib
import tempfile
import time
from typing import Any

from flax import traverse_util
import jax
import numpy as np
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen.core import config, schema
from zsgen.core import mesh as mesh_lib
from zsgen.models import hugging_face, presets
from zsgen.models import model as model_lib
from zsgen.train import starts

_SHARD = 1_000_000_000


class _RandomParameter:
  """A parameter whose layers are drawn on demand."""

  def __init__(self, shape: tuple[int, ...]):
    self.shape = shape

  def __getitem__(self, layer: int) -> np.ndarray:
    return _draw(self.shape[1:], layer)

  def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
    return _draw(self.shape, 0)


def _draw(shape: tuple[int, ...], seed: int) -> np.ndarray:
  rng = np.random.default_rng(seed)
  return 0.02 * rng.standard_normal(shape, np.float32)


def write(directory: pathlib.Path, preset: str, dtype: str) -> dict[str, Any]:
  """Writes a model with random weights."""
  fields = {"init": "new", **getattr(presets, preset)}
  arch = schema.check_section(config.Model, fields, "config.model")
  init = model_lib.Model.from_config(arch).init
  shapes = traverse_util.flatten_dict(jax.eval_shape(init, jax.random.key(0)))
  params = {path: _RandomParameter(leaf.shape) for path, leaf in shapes.items()}
  hugging_face.save(
      directory,
      traverse_util.unflatten_dict(params),
      arch,
      dtype,
      largest=_SHARD,
  )
  count = sum(math.prod(leaf.shape) for leaf in shapes.values())
  return {"parameters": count}


def zsgen(directory: pathlib.Path, export: str = "") -> dict[str, Any]:
  """Reads the directory as a run does; writes it again if requested."""
  hugging_face.arch_of(directory)  # Imports transformers, like the peer.
  began, cpu = time.perf_counter(), time.process_time()
  start = starts.make(config.Model(init=f"hf:{directory}"), seed=0)
  mesh = mesh_lib.make(config.Mesh())
  params = start.load(mesh_lib.shardings(start.shapes, mesh))
  jax.block_until_ready(params)
  if export:
    arch = dataclasses.replace(start.arch, init="new")
    hugging_face.save(pathlib.Path(export), params, arch, largest=_SHARD)
  return _seconds(began, cpu)


def transformers(directory: pathlib.Path) -> dict[str, Any]:
  """Reads the directory with transformers and torch."""
  import torch
  import transformers as library

  library.AutoConfig.from_pretrained(directory)  # Imports what zsgen needs too.
  began, cpu = time.perf_counter(), time.process_time()
  model = library.AutoModelForCausalLM.from_pretrained(
      directory, dtype=torch.float32
  )
  del model
  return _seconds(began, cpu)


def _seconds(began: float, cpu: float) -> dict[str, float]:
  """Returns the wall-clock and CPU seconds since the given times."""
  return {
      "seconds": time.perf_counter() - began,
      "cpu": time.process_time() - cpu,
  }


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--preset", default="LLAMA32_1B")
  parser.add_argument("--dtype", default="bfloat16")
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as scratch:
    directory = pathlib.Path(scratch) / "model"
    model = peers_lib.measure(write, directory, args.preset, args.dtype)
    size = 4 * model["parameters"] / 2**20
    export = str(pathlib.Path(scratch) / "again")
    results = {
        "zsgen": peers_lib.measure(zsgen, directory),
        "transformers": peers_lib.measure(transformers, directory),
        "export": peers_lib.measure(zsgen, directory, export),
    }
  table = rich.table.Table(
      "peer",
      "seconds",
      "CPU seconds",
      "peak GB",
      "of the parameters",
      title=f"{args.preset}, {args.dtype} file, {size / 1024:.2f} GB in float32",
  )
  for name, result in results.items():
    if "failed" in result:
      table.add_row(name, result["failed"], "", "", "")
      continue
    peak = result["peak_mb"]
    table.add_row(
        name,
        f"{result['seconds']:.1f}",
        f"{result['cpu']:.1f}",
        f"{peak / 1024:.2f}",
        f"{peak / size:.2f}",
    )
  rich.console.Console().print(table)


if __name__ == "__main__":
  main()
