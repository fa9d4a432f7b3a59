"""Tokens generated per second, compared with transformers and torch.

  python -m benchmarks.generation
  python -m benchmarks.generation --batch=32 --prompt=512

Both use a Llama-shaped model of about 10 million random parameters in float32,
greedy decoding and key-value caches. Prompts are random and have the same
length, and no end token stops an answer. Each peer runs in a separate process
with the same weights and prompts; the first run (compiling) is not counted, and
the fastest of the others is reported. The answers must be equal token for
token.
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

ARCH = peers_lib.ARCH
_RUNS = 4


def write(directory: pathlib.Path) -> dict[str, Any]:
  """Writes the model, with larger parameters than new ones so that answers
  vary.
  """
  params = jax.jit(model_lib.Model.from_config(ARCH).init)(jax.random.key(0))
  params = jax.tree.map(lambda leaf: 3 * leaf, params)
  hugging_face.save(directory, params, ARCH)
  return {"parameters": model_lib.parameter_count(params)}


def prompts(batch: int, length: int) -> np.ndarray:
  """Returns random prompts, int32 [batch, length]."""
  rng = np.random.default_rng(0)
  return rng.integers(3, ARCH.vocab_size, (batch, length)).astype(np.int32)


def zsgen(directory: pathlib.Path, batch: int, length: int, new: int) -> dict:
  """Measures tokens per second of zsgen."""
  return zsgen_model(
      config.Model(init=f"hf:{directory}"), prompts(batch, length), new
  )


def zsgen_model(model: config.Model, tokens: np.ndarray, new: int) -> dict:
  """Measures tokens per second of a model of zsgen.

  Args:
    model: the model, with its start and its element type.
    tokens: prompts of one length, int32 [B, T].
    new: tokens to generate for each.
  """
  start = starts.make(model, seed=0)
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  params = start.load(mesh_lib.shardings(start.shapes, mesh))
  run = jax.jit(
      functools.partial(
          generation.generate,
          model=model_lib.Model.from_config(start.arch),
          decoding=generation.Decoding(max_new_tokens=new),
          ends=(start.arch.vocab_size,),  # Never generated.
          pad=0,
      )
  )
  batch, length = tokens.shape
  lengths = np.full(batch, length, np.int32)
  rows = np.arange(batch, dtype=np.int32)

  def generate() -> np.ndarray:
    """Returns the answers of this project."""
    return np.asarray(run(params, tokens, lengths, rows, 0))

  return _timed(generate, batch * new)


def transformers(
    directory: pathlib.Path, batch: int, length: int, new: int
) -> dict:
  """Measures tokens per second of transformers' greedy `generate`."""
  import torch
  import transformers as library

  model = library.AutoModelForCausalLM.from_pretrained(
      directory, dtype=torch.float32
  )
  return torch_model(model, prompts(batch, length), new)


def torch_model(model: Any, tokens: np.ndarray, new: int) -> dict:
  """Measures tokens per second of a model of transformers, on its device.

  Args:
    model: the model.
    tokens: prompts of one length, int32 [B, T].
    new: tokens to generate for each.
  """
  import torch

  model = model.eval()
  batch, length = tokens.shape
  inputs = torch.tensor(tokens.astype(np.int64), device=model.device)

  def generate() -> np.ndarray:
    """Returns the answers of transformers."""
    with torch.inference_mode():
      output = model.generate(
          inputs,
          attention_mask=torch.ones_like(inputs),
          do_sample=False,
          max_new_tokens=new,
          min_new_tokens=new,
          eos_token_id=None,
          pad_token_id=0,
      )
    return output[:, length:].cpu().numpy()

  return _timed(generate, batch * new)


def _timed(generate: Any, tokens: int) -> dict[str, Any]:
  """Returns the rate in tokens a second, of the fastest run, and answers."""
  answers = generate()
  seconds = []
  for _ in range(_RUNS):
    began = time.perf_counter()
    generate()
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
    model = peers_lib.measure(write, directory)
    own_result = peers_lib.measure(zsgen, directory, *shape)
    peer_result = peers_lib.measure(transformers, directory, *shape)
  title = f"{model['parameters']:,} parameters, batch {shape[0]}, prompts of"
  table = rich.table.Table(
      "peer",
      "new tokens/s",
      "ratio",
      "peak GB",
      title=f"{title} {shape[1]} tokens, {shape[2]} new ones",
  )
  for name, result in {
      "zsgen": own_result,
      "transformers": peer_result,
  }.items():
    if "failed" in result:
      table.add_row(name, result["failed"], "", "")
      continue
    table.add_row(
        name,
        f"{result['rate']:.0f}",
        f"{own_result['rate'] / result['rate']:.2f}",
        f"{result['peak_mb'] / 1024:.2f}",
    )
  console = rich.console.Console()
  console.print(table)
  if "answers" in peer_result:
    equal = np.array(own_result["answers"]) == np.array(peer_result["answers"])
    console.print(f"{equal.sum():,} of {equal.size:,} tokens are equal")


if __name__ == "__main__":
  main()
