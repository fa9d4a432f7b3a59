"""Programs are compiled in the order of need, in a thread of their own."""

import threading

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors, programs
from zsgen.core import mesh as mesh_lib
from zsgen.train import compiling, layouts, optimizer
from zsgen.train import program as program_lib

SPLIT = layouts.Split()
SHAPES = [layouts.Shape(rows, 64, 16) for rows in (2, 1, 3)]
RECORDS = ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy")


def _program(step) -> program_lib.Program:
  mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:1])
  sharding = mesh_lib.replicated(mesh)
  fields = dict.fromkeys(program_lib.Program._fields)
  return program_lib.Program(**fields)._replace(
      shapes={"w": jax.ShapeDtypeStruct((), np.float32)},
      shardings={"w": sharding},
      frozen_shapes={},
      frozen_shardings={},
      step=jax.jit(step),
  )


def _hyper() -> optimizer.Hyper:
  return optimizer.Hyper(*np.zeros(6, np.float32))


def _batch(shape):
  return jax.tree.map(
      lambda leaf: np.ones(leaf.shape, leaf.dtype),
      layouts.batch_shapes(shape, SPLIT, 4),
  )


def test_programs_are_compiled_in_order_of_need_in_the_background():
  traced = []

  def step(state, frozen, batch, hyper):
    del frozen, hyper
    traced.append((batch.tokens.shape[0], threading.current_thread()))
    return state, batch.tokens.sum()

  program = _program(step)
  with compiling.Executables(program, SPLIT, 4, 1) as executables:
    executables.start(SHAPES, _hyper())
    for shape in reversed(SHAPES):
      executable = executables.wait(shape)
      state = {"w": jnp.float32(3)}
      state, total = executable(state, {}, _batch(shape), _hyper())
      assert (state["w"], total) == (3, 64 * shape.rows)
  assert [rows for rows, _ in traced] == [2, 1, 3]
  assert threading.current_thread() not in {thread for _, thread in traced}


def test_an_error_is_raised_where_the_program_is_needed():
  def step(state, frozen, batch, hyper):
    del frozen, hyper
    if batch.tokens.shape[0] == 1:
      raise errors.InputError("one row is not enough.")
    return state, batch.tokens.sum()

  with compiling.Executables(_program(step), SPLIT, 4, 1) as executables:
    executables.start(SHAPES, _hyper())
    executables.wait(SHAPES[0])
    with pytest.raises(errors.InputError, match="one row is not enough"):
      executables.wait(SHAPES[1])
    executables.wait(SHAPES[2])


def test_programs_are_not_sealed_while_one_is_compiled(monkeypatch):
  sealed, goes_on = [], threading.Event()
  monkeypatch.setattr(programs, "seal", lambda: sealed.append(True))

  def step(state, frozen, batch, hyper):
    del frozen, hyper
    assert goes_on.wait(60)
    return state, batch.tokens.sum()

  with compiling.Executables(_program(step), SPLIT, 4, 1) as executables:
    executables.start(SHAPES[:1], _hyper())
    executables.seal()
    assert not sealed
    goes_on.set()
    executables.wait(SHAPES[0])
    executables.seal()
  assert sealed == [True]


def test_programs_not_yet_started_are_dropped_at_the_end():
  is_tracing, goes_on = threading.Event(), threading.Event()
  traced = []

  def step(state, frozen, batch, hyper):
    del frozen, hyper
    traced.append(batch.tokens.shape[0])
    is_tracing.set()
    assert goes_on.wait(60)
    return state, batch.tokens.sum()

  with compiling.Executables(_program(step), SPLIT, 4, 1) as executables:
    executables.start(SHAPES, _hyper())
    assert is_tracing.wait(60)
    threading.Timer(0.1, goes_on.set).start()
  assert traced == [2]


@pytest.mark.slow
def test_a_run_does_not_depend_on_when_programs_are_ready(
    small, tmp_path, monkeypatch
):
  """Compares programs that are ready early with ones that are late."""
  small.machine.layouts = 3
  small.order.budget = 32
  # Programs are cheap here, and each step is of a shape as soon as it saves.
  monkeypatch.setattr("zsgen.train.shape_search._WORTH_STEPS", 0.01)
  results = []
  start, wait = compiling.Executables.start, compiling.Executables.wait

  def eager(self, shapes, hyper):
    start(self, shapes, hyper)
    for shape in shapes:
      wait(self, shape)

  def lazy(self, shapes, hyper):
    self.shapes, self.hyper = list(shapes), hyper

  def wait_lazily(self, shape):
    if shape not in self._pending:
      start(self, [shape], self.hyper)
    return wait(self, shape)

  for name in ("eager", "lazy"):
    if name == "eager":
      monkeypatch.setattr(compiling.Executables, "start", eager)
    else:
      monkeypatch.setattr(compiling.Executables, "start", lazy)
      monkeypatch.setattr(compiling.Executables, "wait", wait_lazily)
    run = pipeline.run(config_lib.check(small), tmp_path / name, ["train"]).run
    results.append([(run / record).read_bytes() for record in RECORDS])
    assert (run / "perf.jsonl").read_text().count("compile_seconds") > 1
  assert results[0] == results[1]


def test_a_limit_of_no_programs_is_an_error(small):
  small.machine.layouts = 0
  message = r"config\.machine\.layouts .*training needs a shape"
  with pytest.raises(errors.InputError, match=message):
    config_lib.check(small)
