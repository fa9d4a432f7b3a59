"""A job of one member is that member; a job of several is one program."""

import jax
import numpy as np
import pytest
import rich.console

from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.planning import needs
from zsgen.train import job, layouts, metrics, population, resuming, starts
from zsgen.train import program as program_lib
from zsgen.train.record_digests import Prefix

RECORDS = ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy")


class Evaluator:
  """Returns the parameters that it is given."""

  name, every_steps = "heldout", 4
  ids = examples = np.array([7, 9])
  of = 2

  def is_due(self, step, steps):
    return metrics.is_due(step, self.every_steps, steps)

  def __call__(self, params):
    return params


def _lengths(rows: int) -> layouts.Lengths:
  """Ten steps of four examples, each of which fills `rows` rows of 64."""
  tokens = np.tile(np.where(np.arange(4) < rows, 64, 0), 10)
  return layouts.Lengths(tokens, tokens // 64)


def _member(small, tmp_path, rows=4) -> job.Member:
  config = config_lib.check(small)
  start = starts.make(config.model, config.seed)
  mesh = mesh_lib.make(config.machine.mesh, jax.devices()[:1])
  return job.Member(
      path=tmp_path,
      config=config,
      program=program_lib.make(config, start, mesh),
      feed=lambda first: lambda step: None,
      lengths=_lengths(rows),
      steps=10,
      evaluators=[Evaluator()],
      start=start,
      identity="f00d",
  )


def _lowered(member: job.Member, program: program_lib.Program) -> str:
  arguments = needs.arguments(
      member.config, program, layouts.Shape(4, 64, 16), layouts.Split()
  )
  return program.step.lower(*arguments).as_text()


def test_one_member_keeps_its_program(small, tmp_path):
  member = _member(small, tmp_path)
  single = job.make_single(member, print)
  assert single.program is member.program
  text = _lowered(member, single.program)
  assert text == _lowered(member, member.program)
  assert "shard_map" not in text and "manual" not in text
  assert (single.path, single.identity) == (member.path, member.identity)
  assert single.layouts.shapes == (layouts.Shape(4, 64, 16),)
  (evaluation,) = single.evaluations
  assert evaluation.evaluators == (member.evaluators[0],)
  assert evaluation.run("params") == ["params"]
  assert not evaluation.average


def test_several_members_have_a_leading_axis(small, tmp_path):
  members = [_member(small, tmp_path, rows) for rows in (2, 4)]
  joined = job.make(
      tmp_path, members, lambda evaluators: lambda params: evaluators, print
  )
  first = members[0].program
  for shape, single in zip(
      jax.tree.leaves(joined.program.shapes),
      jax.tree.leaves(first.shapes),
      strict=True,
  ):
    assert (shape.shape, shape.dtype) == ((2, *single.shape), single.dtype)
  assert joined.program.state_bytes == 2 * first.state_bytes
  assert joined.layouts.shapes == (layouts.Shape(4, 64, 16),)
  assert joined.identity != members[0].identity


def test_members_that_differ_are_named(small, tmp_path):
  first = _member(small, tmp_path)
  small.name, small.profile = "traced", (2, 4)
  message = r"config\.profile is \(2, 4\) in traced and \(\) in small"
  with pytest.raises(errors.InputError, match=message):
    job.check([first, _member(small, tmp_path)])


def test_evaluations_are_due_at_the_end_too(small, tmp_path):
  ((steps, ids),) = _member(small, tmp_path).evaluated().values()
  assert steps == [0, 4, 8, 10]
  assert ids is Evaluator.ids


def test_trees_are_stacked_and_unstacked():
  trees = [{"a": np.arange(3) + i} for i in range(2)]
  assert population.stack(trees[:1]) is trees[0]
  assert population.unstack(trees[0], 1) == [trees[0]]
  stacked = population.stack(trees)
  assert stacked["a"].shape == (2, 3)
  for tree, member in zip(trees, population.unstack(stacked, 2), strict=True):
    np.testing.assert_array_equal(tree["a"], member["a"])


@pytest.mark.parametrize("count", [1, 2])
def test_digests_of_checkpoints_are_packed(count):
  digests = [{"metrics.jsonl": Prefix(3 + i, "0f")} for i in range(count)]
  packed = resuming.pack(digests)
  # As it is on disk: a single run has no list.
  assert isinstance(packed, list) == (count > 1)
  assert resuming.unpack(packed) == digests


def test_a_population_of_one_is_a_run(small, workdirs, tmp_path):
  quiet = rich.console.Console(quiet=True)
  config = config_lib.check(small)
  (run,) = pipeline.run_population([config], tmp_path / "one", quiet)
  (expected,) = (workdirs.get(small, "train") / "runs").iterdir()
  assert run.name == expected.name
  for name in RECORDS:
    assert (run / name).read_bytes() == (expected / name).read_bytes()
  assert not (tmp_path / "one" / "populations").exists()
