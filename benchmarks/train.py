"""Training steps, compared with transformers and torch.

  python -m benchmarks.train --path=NIV2_CLONE
  python -m benchmarks.train --path=NIV2_CLONE --workdir=DIR   # keeps the store

The data is Natural Instructions with definition and two examples, at most 1,024
tokens of a BPE of 8,192 ids that is trained first, in a random order with 16
examples per step. The model is Llama-shaped with about 10 million random float32
parameters and Adam. Each peer trains on the same steps in a separate process:

  zsgen          packed, as in the loop
  torch padded   rows padded to the longest possible length, like the released
                 code of 2406.11721
  torch packed   zsgen's rows, with a mask of segments

Padding tokens do not count. The first steps (compiling) are not counted; the
median of the others is reported. Losses must agree.
"""

import argparse
import contextlib
import pathlib
import tempfile
import time
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import __main__ as tools
from zsgen.data import store as store_lib
from zsgen.models import hugging_face
from zsgen.models import model as model_lib
from zsgen.orders import order as order_lib
from zsgen.train import (
    batches,
    layout_plan,
    layouts,
    optimizer,
    population,
    program,
    starts,
)

_LENGTH, _BATCH = 1024, 16
# Number of steps of a peer, and of first steps that are not counted.
_STEPS, _FIRST = 10, 3
ARCH = peers_lib.ARCH
_TRAIN = config_lib.Train(learning_rate=3e-4, final_share=1.0)


def prepare(path: str, workdir: pathlib.Path) -> dict[str, Any]:
  """Makes tokenizer, store, order and new weights, if they do not exist."""
  config = config_lib.defaults()
  config.data.update(
      source="niv2",
      path=path,
      prompt="niv2",
      train_instances=3,
      heldout_instances=1,
      max_length=_LENGTH,
      truncate="prompt",
  )
  config.order.update(arrangement="random", embedder="", budget=_BATCH * 40)
  config.model.update(init="new", vocab_size=ARCH.vocab_size)
  tokenizer = workdir / "tokenizer"
  if not tokenizer.exists():
    data = config_lib.check(config).data
    console = rich.console.Console(stderr=True)
    scratch = workdir / "scratch"
    tools.train_tokenizer(data, 0, ARCH.vocab_size, tokenizer, scratch, console)
  config.data.update(tokenizer="hf", tokenizer_path=str(tokenizer))
  result = pipeline.run(config, workdir, ["prepare", "order"])
  weights = workdir / "weights"
  if not weights.exists():
    params = jax.jit(model_lib.Model.from_config(ARCH).init)(jax.random.key(0))
    hugging_face.save(weights, params, ARCH)
  return {"store": str(result.store), "order": str(result.order)}


def _steps(paths: dict) -> tuple[list[batches.Examples], layouts.Layouts]:
  """Returns the examples of the steps, and the shapes of all steps of the
  order.
  """
  store = store_lib.open_store(pathlib.Path(paths["store"]))
  ids = order_lib.Order.load(pathlib.Path(paths["order"]), store).ids
  lengths = layouts.Lengths(store.lengths[ids], store.loss_lengths[ids])
  planned = layout_plan.plan([lengths], _BATCH, layouts.Split(), limit=2)
  feed = batches.store_feed(store, ids, _BATCH)
  return [feed(step) for step in range(_STEPS)], planned


def zsgen(paths: dict, weights: str, dtype: str) -> dict[str, Any]:
  """Measures steps of the program that the loop runs."""
  steps, planned = _steps(paths)
  config = config_lib.Config(
      model=config_lib.Model(init=f"hf:{weights}", dtype=dtype), train=_TRAIN
  )
  start = starts.make(config.model, seed=0)
  mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:1])
  made_program = program.make(config, start, mesh)
  params = start.load(made_program.shardings.params)
  state = made_program.init(params)

  def step(number: int, examples: batches.Examples) -> float:
    """Trains on the examples and returns the loss, in nats."""
    nonlocal state
    batch = population.lay_out([examples], planned, number)
    hyper = optimizer.hyper_at(_TRAIN, number, _STEPS)
    state, metrics = made_program.step(state, {}, batch, hyper)
    return float(metrics.loss)

  # Every shape is compiled before its time counts.
  for number in np.unique(planned.steps[:_STEPS], return_index=True)[1]:
    batch = population.lay_out([steps[number]], planned, number)
    shapes = jax.eval_shape(lambda: state)
    hyper = optimizer.hyper_at(_TRAIN, 0, _STEPS)
    made_program.step.lower(shapes, {}, batch, hyper).compile()
  return _timed(step, steps)


def torch_padded(paths: dict, weights: str, dtype: str) -> dict[str, Any]:
  """Measures steps of rows that are padded to the maximum length."""
  steps, _ = _steps(paths)

  def rows(number: int, examples: batches.Examples) -> dict[str, np.ndarray]:
    """Returns a row for each example, padded."""
    del number
    shape = (len(examples.rows), _LENGTH)
    tokens, real, mask = np.zeros((3, *shape), np.int64)
    for index, row in enumerate(examples.rows):
      size = len(row.tokens)
      tokens[index, :size], mask[index, :size] = row.tokens, row.mask
      real[index, :size] = 1
    return dict(input_ids=tokens, attention_mask=real, mask=mask)

  return _timed(_torch_step(weights, dtype, rows), steps)


def torch_packed(paths: dict, weights: str, dtype: str) -> dict[str, Any]:
  """Measures steps of zsgen's rows, with a mask of segments."""
  steps, planned = _steps(paths)

  def rows(number: int, examples: batches.Examples) -> dict[str, np.ndarray]:
    """Returns packed rows, with masks that separate examples."""
    batch = population.lay_out([examples], planned, number)
    is_same_segment = batch.segments[:, :, None] == batch.segments[:, None, :]
    is_visible = is_same_segment & np.tri(batch.tokens.shape[1], dtype=bool)
    return dict(
        input_ids=batch.tokens.astype(np.int64),
        position_ids=batch.positions.astype(np.int64),
        attention_mask=is_visible[:, None],
        mask=batch.mask.astype(np.int64),
    )

  return _timed(_torch_step(weights, dtype, rows), steps)


def _torch_step(weights: str, dtype: str, rows: Any) -> Any:
  """Returns a step of torch: Adam as in `optimizer`, loss over answer tokens."""
  import torch
  import transformers

  model = transformers.AutoModelForCausalLM.from_pretrained(
      weights, dtype=torch.float32, attn_implementation="sdpa"
  ).train()
  adam = torch.optim.AdamW(
      model.parameters(),
      lr=_TRAIN.learning_rate,
      betas=(_TRAIN.b1, _TRAIN.b2),
      eps=_TRAIN.eps,
      weight_decay=0.0,
  )
  cast = contextlib.nullcontext()
  if dtype == "bfloat16":
    cast = torch.autocast("cpu", dtype=torch.bfloat16)

  def step(number: int, examples: batches.Examples) -> float:
    """Trains on the examples and returns the loss, in nats."""
    arrays = rows(number, examples)
    batch = {k: torch.from_numpy(v) for k, v in arrays.items()}
    mask = batch.pop("mask")
    labels = batch["input_ids"].masked_fill(mask == 0, -100)[:, 1:]
    with cast:
      logits = model(**batch, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), labels.flatten()
    )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), _TRAIN.clip)
    adam.step()
    adam.zero_grad()
    return loss.item()

  return step


def _timed(step: Any, steps: list[batches.Examples]) -> dict[str, Any]:
  rates, losses = [], []
  for number, examples in enumerate(steps):
    began = time.perf_counter()
    losses.append(step(number, examples))
    seconds = time.perf_counter() - began
    tokens = sum(len(row.tokens) for row in examples.rows)
    rates.append(tokens / seconds)
  return {"rate": float(np.median(rates[_FIRST:])), "losses": losses}


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
