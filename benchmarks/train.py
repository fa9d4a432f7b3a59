"""Training steps, compared with transformers and torch.

  python -m benchmarks.train --path=NIV2_CLONE
  python -m benchmarks.train --path=NIV2_CLONE --workdir=DIR   # keeps the store

The data is Natural Instructions with definition and two examples, at most 1,024
tokens of a BPE of 8,192 ids that is trained first, in a random order with 16
examples per step. The model is Llama-shaped with about 10 million random
float32 parameters and Adam. Each peer trains on the same steps in a separate
process:

  zsgen          packed, as in the loop
  torch padded   rows padded to the longest possible length, like the released
                 code of 2406.11721
  torch packed   zsgen's rows, with a mask of segments

Padding tokens do not count. The first steps (compiling) are not counted; the
median of the others is reported. Losses must agree.
"""

import argparse
import pathlib
import tempfile
from typing import Any

import jax
import ml_collections
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from benchmarks import steps as steps_lib
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.data import __main__ as tools
from zsgen.models import hugging_face
from zsgen.models import model as model_lib

_LENGTH, _BATCH = 1024, 16
# Number of steps of a peer, and of first steps that are not counted.
_STEPS, _FIRST = 10, 3
# Training tasks of the embedded suite, at least.
_EMBEDDED_TASKS = 50
ARCH = peers_lib.ARCH
_TRAIN = config_lib.Train(learning_rate=3e-4, final_share=1.0)


def prepare(path: str, workdir: pathlib.Path) -> dict[str, str]:
  """Makes tokenizer, store, order and new weights, if they do not exist."""
  paths = prepare_data(path, workdir, _BATCH * 40)
  weights = workdir / "weights"
  if not weights.exists():
    params = jax.jit(model_lib.Model.from_config(ARCH).init)(jax.random.key(0))
    hugging_face.save(weights, params, ARCH)
  return paths


def prepare_data(
    path: str, workdir: pathlib.Path, budget: int
) -> dict[str, str]:
  """Makes a store and a random order, if they do not exist.

  Args:
    path: a clone of Natural Instructions, for which a tokenizer is trained; ""
      for the embedded suite, in bytes.
    workdir: where to write them.
    budget: examples of the order.

  Returns:
    The directories of the `store` and of the `order`.
  """
  config = config_lib.defaults()
  config.data.max_length = _LENGTH
  config.order.update(arrangement="random", embedder="", budget=budget)
  config.model.update(init="new", vocab_size=ARCH.vocab_size)
  if path:
    _use_niv2(config, path, workdir)
  else:
    config.data.train_instances = -(-budget // _EMBEDDED_TASKS)
  result = pipeline.run(config, workdir, ["prepare", "order"])
  return {"store": str(result.store), "order": str(result.order)}


def _use_niv2(
    config: ml_collections.ConfigDict, path: str, workdir: pathlib.Path
) -> None:
  """Changes a config to NIv2's files and a tokenizer trained on them."""
  config.data.update(
      source="niv2",
      path=path,
      prompt="niv2",
      train_instances=3,
      heldout_instances=1,
      truncate="prompt",
  )
  tokenizer = workdir / "tokenizer"
  if not tokenizer.exists():
    data = config_lib.check(config).data
    console = rich.console.Console(stderr=True)
    scratch = workdir / "scratch"
    tools.train_tokenizer(data, 0, ARCH.vocab_size, tokenizer, scratch, console)
  config.data.update(tokenizer="hf", tokenizer_path=str(tokenizer))


def zsgen(paths: dict, weights: str, dtype: str) -> dict[str, Any]:
  """Measures steps of the program that the loop runs."""
  steps = steps_lib.load(paths, _BATCH, _STEPS)
  config = config_lib.Config(
      model=config_lib.Model(init=f"hf:{weights}", dtype=dtype), train=_TRAIN
  )
  return steps_lib.timed(steps_lib.OwnStep(config, steps), steps, _FIRST)


def torch_padded(paths: dict, weights: str, dtype: str) -> dict[str, Any]:
  """Measures steps of rows that are padded to the maximum length."""
  steps = steps_lib.load(paths, _BATCH, _STEPS)
  rows = steps_lib.padded_rows(steps, _LENGTH)
  return _torch(steps, rows, weights, dtype)


def torch_packed(paths: dict, weights: str, dtype: str) -> dict[str, Any]:
  """Measures steps of zsgen's rows, with a mask of segments."""
  steps = steps_lib.load(paths, _BATCH, _STEPS)
  return _torch(steps, steps_lib.packed_rows(steps), weights, dtype)


def _torch(steps: steps_lib.Steps, rows: Any, weights: str, dtype: str) -> dict:
  """Times steps of transformers' model in PyTorch."""
  import torch
  import transformers

  model = transformers.AutoModelForCausalLM.from_pretrained(
      weights, dtype=torch.float32, attn_implementation="sdpa"
  )
  step = steps_lib.TorchStep(model, rows, _TRAIN, dtype)
  return steps_lib.timed(step, steps, _FIRST)


_PEERS = {
    "zsgen": zsgen,
    "torch padded": torch_padded,
    "torch packed": torch_packed,
}


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--path", required=True, help="Natural Instructions.")
  parser.add_argument(
      "--workdir", default="", help="Directory to keep the files."
  )
  parser.add_argument("--dtypes", default="float32,bfloat16")
  args = parser.parse_args()
  console = rich.console.Console()
  with tempfile.TemporaryDirectory() as scratch:
    workdir = pathlib.Path(args.workdir or scratch).absolute()
    paths = peers_lib.measure(prepare, args.path, workdir)
    for dtype in args.dtypes.split(","):
      results = {
          name: peers_lib.measure(peer, paths, str(workdir / "weights"), dtype)
          for name, peer in _PEERS.items()
      }
      console.print(_table(results, dtype))


def _table(results: dict[str, dict], dtype: str) -> rich.table.Table:
  """Returns the table of all peers; those that failed have the reason."""
  table = rich.table.Table(
      "peer",
      "real tokens/s",
      "zsgen / peer",
      "loss first, last",
      "peak GB",
      title=f"{_BATCH} examples per step, {dtype}",
  )
  for name, result in results.items():
    if "failed" in result:
      table.add_row(name, result["failed"], "", "", "")
      continue
    table.add_row(
        name,
        f"{result['rate']:.0f}",
        f"{results['zsgen']['rate'] / result['rate']:.2f}",
        f"{result['losses'][0]:.6f}, {result['losses'][-1]:.6f}",
        f"{result['peak_mb'] / 1024:.2f}",
    )
  return table


if __name__ == "__main__":
  main()
