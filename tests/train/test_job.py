"""A job of one member is that member; a job of several is one program."""

import jax
import numpy as np
import pytest
import rich.console

from tests.helpers import jobs
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.planning import needs
from zsgen.train import job, layouts, population, resuming
from zsgen.train import program as program_lib
from zsgen.train.record_digests import Prefix

RECORDS = ("metrics.jsonl", "consumed.npy", "evals/heldout/loss.npy")


def _lowered(member: job.Member, program: program_lib.Program) -> str:
  arguments = needs.arguments(
      member.config, program, layouts.Shape(4, 64, 16), layouts.Split()
  )
  return program.step.lower(*arguments).as_text()


def test_one_member_keeps_its_program(small, tmp_path):
  member = jobs.make_member(small, tmp_path)
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
  members = [jobs.make_member(small, tmp_path, rows) for rows in (2, 4)]
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
  first = jobs.make_member(small, tmp_path)
  small.name, small.profile = "traced", (2, 4)
  message = r"config\.profile is \(2, 4\) in traced and \(\) in small"
  with pytest.raises(errors.InputError, match=message):
    job.check([first, jobs.make_member(small, tmp_path)])


def test_evaluations_of_one_name_have_one_type(small, tmp_path):
  first = jobs.make_member(small, tmp_path)

  class Other(jobs.Evaluator):
    """Computes something else."""

  other = first._replace(evaluators=[Other()])
  assert job.find_difference(first, first) == ""
  assert "config.evals is [('heldout', 'Other', 4)] in small" in (
      job.find_difference(first, other)
  )


def test_evaluations_are_due_at_the_end_too(small, tmp_path):
  ((steps, ids),) = jobs.make_member(small, tmp_path).evaluated().values()
  assert steps == [0, 4, 8, 10]
  assert ids is jobs.Evaluator.ids


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
