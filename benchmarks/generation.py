"""Tokens generated a second, beside transformers with torch.

  python -m benchmarks.generation
  python -m benchmarks.generation --batch=32 --prompt=512

A Llama-shaped model of about 10 million drawn parameters in float32, greedy,
with key-value caches on both sides; prompts are drawn, all of one length, and
no end token stops an answer. Every peer runs in a process of its own, the same
directory of weights and the same prompts; the first of its turns (compiling)
is not counted, the quickest of the others is. The answers must be equal token
for token.
"""

import argparse
import functools
import pathlib
import tempfile
import time
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import generation, hugging_face
from zsgen.models import model as model_lib
from zsgen.train import starts

ARCH = config.Model(
    init="new",
    vocab_size=8192,
    layers=6,
    width=320,
    heads=5,
    kv_heads=5,
    head_width=64,
    mlp_width=864,
    tied=True,
)
_TURNS = 4


def write(directory: pathlib.Path) -> dict[str, Any]:
  """Writes the model; larger than new ones, so that answers differ."""
  params = jax.jit(model_lib.Model.from_config(ARCH).init)(jax.random.key(0))
  params = jax.tree.map(lambda leaf: 3 * leaf, params)
  hugging_face.save(directory, params, ARCH)
  return {"parameters": model_lib.parameter_count(params)}


def prompts(batch: int, length: int) -> np.ndarray:
  """Drawn prompts, int32 [batch, length]."""
  rng = np.random.default_rng(0)
  return rng.integers(3, ARCH.vocab_size, (batch, length)).astype(np.int32)


def zsgen(directory: pathlib.Path, batch: int, length: int, new: int) -> dict:
  """Tokens a second here."""
  start = starts.make(config.Model(init=f"hf:{directory}"), seed=0)
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  params = start.load(mesh_lib.shardings(start.shapes, mesh))
  tokens = prompts(batch, length)

  run = jax.jit(
      functools.partial(
          generation.generate,
          model=model_lib.Model.from_config(start.arch),
          decoding=generation.Decoding(max_new_tokens=new),
          ends=(ARCH.vocab_size,),  # Never said.
          pad=0,
      )
  )
  lengths = np.full(batch, length, np.int32)
  rows = np.arange(batch, dtype=np.int32)

  def turn() -> np.ndarray:
    return np.asarray(run(params, tokens, lengths, rows, 0))

  return _timed(turn, batch * new)


def transformers(
    directory: pathlib.Path, batch: int, length: int, new: int
) -> dict:
  """Tokens a second by transformers' greedy `generate`."""
  import torch
  import transformers as library

  model = library.AutoModelForCausalLM.from_pretrained(
      directory, dtype=torch.float32
  ).eval()
  tokens = torch.tensor(prompts(batch, length).astype(np.int64))

  def turn() -> np.ndarray:
    with torch.inference_mode():
      found = model.generate(
          tokens,
          attention_mask=torch.ones_like(tokens),
          do_sample=False,
          max_new_tokens=new,
          min_new_tokens=new,
          eos_token_id=None,
          pad_token_id=0,
      )
    return found[:, length:].numpy()

  return _timed(turn, batch * new)


def _timed(turn: Any, tokens: int) -> dict[str, Any]:
  answers = turn()
  seconds = []
  for _ in range(_TURNS):
    began = time.perf_counter()
    turn()
    seconds.append(time.perf_counter() - began)
  return {"rate": tokens / min(seconds), "answers": answers.tolist()}


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--batch", type=int, default=16)
  parser.add_argument("--prompt", type=int, default=290)
  parser.add_argument("--new", type=int, default=64)
  args = parser.parse_args()
  shape = (args.batch, args.prompt, args.new)
  with tempfile.TemporaryDirectory() as scratch:
    directory = pathlib.Path(scratch) / "model"
    made = peers_lib.measure(write, directory)
    ours = peers_lib.measure(zsgen, directory, *shape)
    theirs = peers_lib.measure(transformers, directory, *shape)
  title = f"{made['parameters']:,} parameters, batch {shape[0]}, prompts of"
  table = rich.table.Table(
      "peer",
      "new tokens/s",
      "ratio",
      "peak GB",
      title=f"{title} {shape[1]} tokens, {shape[2]} new ones",
  )
  for name, each in {"zsgen": ours, "transformers": theirs}.items():
    if "failed" in each:
      table.add_row(name, each["failed"], "", "")
      continue
    table.add_row(
        name,
        f"{each['rate']:.0f}",
        f"{ours['rate'] / each['rate']:.2f}",
        f"{each['peak_mb'] / 1024:.2f}",
    )
  console = rich.console.Console()
  console.print(table)
  if "answers" in theirs:
    equal = np.array(ours["answers"]) == np.array(theirs["answers"])
    console.print(f"{equal.sum():,} of {equal.size:,} tokens are equal")


if __name__ == "__main__":
  main()
