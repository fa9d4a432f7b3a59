"""Training steps with logits where the loss is, compared with logits everywhere.

  python -m benchmarks.head --path=NIV2_CLONE --tokenizer=HUGGING_FACE_DIR

The data is Natural Instructions in a random order, packed as in the loop: rows
of at most 160 tokens (definition and input), and of 1,024 (with two solved
examples). The models are random, shaped like Gemma 3 270M (262,144 ids) and
SmolLM2-135M (49,152), float32, with Adam.

  plain     logits of all positions, in chunks of 512 positions of each row,
            which the backward pass computes again: zsgen before loss slots
  gathered  the program that the loop runs

Both run in one process and take turns on the same batches. The first step of
each, which is not counted, must give the same loss and gradient norm. The least
time of the others is reported; on a machine that is not idle, compare the CPU
seconds. Temporaries are those that the compiler allocates beyond parameters,
moments and gradients.
"""

import argparse
from collections.abc import Callable, Sequence
import functools
import pathlib
import tempfile
import time
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
import numpy as np
import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.models import head as head_lib
from zsgen.models import model as model_lib
from zsgen.models import presets
from zsgen.orders import order as order_lib
from zsgen.train import batches, flops, layouts, optimizer, program, starts

_CHUNK = 512
_STEPS = 40  # Of the order.
# The prompt of each number of tokens in a row.
_PROMPTS = {160: "plain", 1024: "niv2"}
_GEMMA = {
    **presets.GEMMA3_1B,
    "layers": 18,
    "width": 640,
    "mlp_width": 2048,
    "vocab_size": 262_144,
}
_SMOLLM2: dict[str, Any] = {
    "vocab_size": 49_152,
    "layers": 30,
    "width": 576,
    "heads": 9,
    "kv_heads": 3,
    "head_width": 64,
    "mlp_width": 1536,
    "tied": True,
}
_MODELS = {"Gemma 3 270M": _GEMMA, "SmolLM2-135M": _SMOLLM2}
_RATE = 1e-4
_HEADER = (
    "model",
    "rows",
    "loss slots (used)",
    "form",
    "seconds (ratio)",
    "CPU seconds (ratio)",
    "ratio of FLOPs",
    "temporaries, GiB (ratio)",
    "first loss, gradient norm",
)


class Plain(model_lib.Model):
  """A model whose head runs on all positions of its rows."""

  def loss(self, params: Any, batch: Any, weights: Any) -> Any:
    """Returns the same as `Model.loss`, for one row group."""
    x: Any = self._decoder.apply(
        {"params": params}, batch.tokens, batch.positions, batch.segments
    )
    line = jnp.zeros(batch.tokens.size)
    line = line.at[batch.loss_positions[0]].add(weights[0])
    targets, by_token = (
        jnp.pad(values[:, 1:], ((0, 0), (0, 1)))
        for values in (batch.tokens, line.reshape(batch.tokens.shape))
    )
    return (self._all_nll(params, x, targets) * by_token).sum()

  def _all_nll(self, params: Any, x: Any, targets: Any) -> Any:
    """Returns the loss of the target of each position."""

    def nll(piece: Any) -> Any:
      """Returns the losses of a pair of hidden states and targets, in nats."""
      logits: Any = self._head.apply({"params": params}, piece[0])
      return head_lib.nll(logits, piece[1])

    rows, length = targets.shape
    if length <= _CHUNK:
      return nll((x, targets))
    assert length % _CHUNK == 0, "the rows of this benchmark are whole chunks"
    chunks = jax.tree.map(
        lambda array: array.reshape(
            rows, -1, _CHUNK, *array.shape[2:]
        ).swapaxes(0, 1),
        (x, targets),
    )
    values = jax.lax.map(jax.checkpoint(nll), chunks)
    return values.swapaxes(0, 1).reshape(rows, length)


class Form(NamedTuple):
  """A compiled step.

  Attributes:
    step: (state, frozen, batch, hyper) to a new state and metrics.
    temporary: bytes of its temporaries without gradients.
  """

  step: Callable[..., Any]
  temporary: int


def prepare(
    path: str, tokenizer: str, length: int, size: int, workdir: pathlib.Path
) -> dict[str, str]:
  """Makes the store and the order of a row length and a batch size."""
  config = config_lib.defaults()
  config.data.update(
      source="niv2",
      path=path,
      prompt=_PROMPTS[length],
      train_instances=1,
      heldout_instances=1,
      max_length=length,
      truncate="prompt",
      tokenizer="hf",
      tokenizer_path=tokenizer,
  )
  config.order.update(arrangement="random", embedder="", budget=size * _STEPS)
  config.model.update(init="new", vocab_size=_SMOLLM2["vocab_size"])
  result = pipeline.run(
      config, workdir / f"{length}-{size}", ["prepare", "order"]
  )
  return {"store": str(result.store), "order": str(result.order)}


def measure(
    paths: dict[str, str], name: str, length: int, size: int, count: int
) -> dict[str, Any]:
  """Measures `count` steps of each form, on the same batches."""
  shape, arrays = _batches(paths, length, size, count + 1)
  made = _program(name)
  forms = _compile(made, arrays[0])
  state = made.init(_start(name).load(made.shardings.params))
  seconds = {form: [] for form in forms}
  cpu = {form: [] for form in forms}
  first = {}
  for number, batch in enumerate(arrays):
    # Both forms begin with the same parameters.
    rate = _RATE if number else 0.0
    hyper = optimizer.hyper_at(_train(rate), number, _STEPS)
    for form, (step, _) in forms.items():
      wall, used = time.perf_counter(), time.process_time()
      state, metrics = jax.block_until_ready(step(state, {}, batch, hyper))
      seconds[form].append(time.perf_counter() - wall)
      cpu[form].append(time.process_time() - used)
      first.setdefault(form, (float(metrics.loss), float(metrics.grad_norm)))
  used = [np.count_nonzero(batch.loss_positions) for batch in arrays]
  return {
      "shape": tuple(shape),
      "loss": float(np.mean(used)) / (shape.rows * shape.length),
      "seconds": {form: times[1:] for form, times in seconds.items()},
      "cpu": {form: times[1:] for form, times in cpu.items()},
      "temporary": {form: forms[form].temporary for form in forms},
      "first": first,
      "ceiling": _ceiling(name, arrays[1:]),
  }


def _batches(
    paths: dict[str, str], length: int, size: int, count: int
) -> tuple[layouts.Shape, list[batches.Batch]]:
  """Returns the first batches of the order, and the shape that holds them."""
  store = store_lib.open_store(pathlib.Path(paths["store"]))
  ids = order_lib.Order.load(pathlib.Path(paths["order"]), store).ids
  order = layouts.Lengths(store.lengths[ids], store.loss_lengths[ids])
  steps, split = [order.of_step(i, size) for i in range(count)], layouts.Split()
  rows = max(
      len(layouts.best_fit(step.tokens.tolist(), length)) for step in steps
  )
  loss = max(
      layouts.loss_positions(step, rows, length, split) for step in steps
  )
  shape = layouts.shape_for(rows, length, split, loss)
  feed = batches.store_feed(store, ids, size)
  return shape, [layouts.lay_out(feed(i), shape, split) for i in range(count)]


def _start(name: str) -> starts.Start:
  return starts.make(config_lib.Model(init="new", **_MODELS[name]), seed=0)


def _train(rate: float) -> config_lib.Train:
  return config_lib.Train(learning_rate=rate, final_share=1.0)


def _program(name: str) -> program.Program:
  """Returns the training program of a model on the first device."""
  model = config_lib.Model(init="new", **_MODELS[name])
  config = config_lib.Config(model=model, train=_train(_RATE))
  mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:1])
  return program.make(config, _start(name), mesh)


def _compile(made: program.Program, batch: batches.Batch) -> dict[str, Form]:
  """Compiles a step of each form."""
  model = made.model
  plain = Plain(model.arch, model.lora, model.execution)
  steps = {
      "plain": jax.jit(
          functools.partial(made.plain_step, model=plain), donate_argnums=0
      ),
      "gathered": made.step,
  }
  hyper = optimizer.hyper_at(_train(_RATE), 0, _STEPS)
  gradients = 4 * model_lib.parameter_count(made.shapes.params)
  forms = {}
  for name, step in steps.items():
    compiled = step.lower(made.shapes, {}, batch, hyper).compile()
    memory = compiled.memory_analysis()
    forms[name] = Form(compiled, memory.temp_size_in_bytes - gradients)
  return forms


def _ceiling(name: str, arrays: Sequence[batches.Batch]) -> float:
  """Returns the ratio of the forms' model FLOPs, padding counted."""
  shapes = _start(name).shapes
  counted = flops.count_flops(_start(name).arch, shapes, {})
  batch = arrays[0]
  lengths = np.full(batch.tokens.shape[0], batch.tokens.shape[1])
  everywhere = counted.step(lengths, batch.tokens.size)
  return everywhere / counted.step(lengths, batch.loss_positions.size)


def main() -> None:
  """Measures and prints the table."""
  parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
  parser.add_argument("--path", required=True, help="Natural Instructions.")
  parser.add_argument(
      "--tokenizer", required=True, help="A Hugging Face directory."
  )
  parser.add_argument("--models", default=",".join(_MODELS))
  parser.add_argument("--lengths", default=",".join(map(str, _PROMPTS)))
  parser.add_argument("--examples", type=int, default=16, help="Of a step.")
  parser.add_argument("--steps", type=int, default=3)
  parser.add_argument(
      "--workdir", default="", help="Directory to keep the files."
  )
  args = parser.parse_args()
  console = rich.console.Console(width=120)
  table = rich.table.Table(*_HEADER)
  with tempfile.TemporaryDirectory() as scratch:
    workdir = pathlib.Path(args.workdir or scratch).absolute()
    for length in map(int, args.lengths.split(",")):
      paths = prepare(args.path, args.tokenizer, length, args.examples, workdir)
      for name in args.models.split(","):
        result = peers_lib.measure(
            measure, paths, name, length, args.examples, args.steps
        )
        _add_rows(table, name, result)
        console.print(result)
  console.print(table)


def _add_rows(table: rich.table.Table, name: str, result: dict) -> None:
  """Adds a row for each form."""
  if "failed" in result:
    table.add_row(name, result["failed"])
    return
  rows, length, slots = result["shape"]
  for form, times in result["seconds"].items():
    cpu, memory = result["cpu"], result["temporary"]
    ratios = (
        f"{min(result['seconds']['plain']) / min(times):.2f}",
        f"{min(cpu['plain']) / min(cpu[form]):.2f}",
        f"{memory['plain'] / memory[form]:.2f}",
    )
    loss, norm = result["first"][form]
    table.add_row(
        name,
        f"{rows} x {length}",
        f"{slots} ({result['loss']:.1%})",
        form,
        f"{min(times):.2f} ({ratios[0]})",
        f"{min(cpu[form]):.2f} ({ratios[1]})",
        f"{result['ceiling']:.2f}",
        f"{memory[form] / 2**30:.2f} ({ratios[2]})",
        f"{loss:.6f}, {norm:.5f}",
    )


if __name__ == "__main__":
  main()
