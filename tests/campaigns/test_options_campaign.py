"""Every option at the ends of its range, beyond them, and of wrong types.

An option's value is refused by one message, before any work, or accepted and
takes effect: the names of artifacts follow science, and nothing else.
"""

import collections
import functools
import json
import operator
import os
import subprocess
import sys

import pytest

from tests.campaigns import option_cases, option_config
from tests.helpers import tiny_models

_SECONDS = 300
# Every third case is run; of every 97th, a separate process is started too.
_NIGHTLY, _FORKED = 3, 97
_PROCESSES = 15


@pytest.fixture
def workdir(tmp_path):
  """Returns a workdir with the reward model that contexts name."""
  directory = tiny_models.reward(tmp_path / option_cases.REWARD_MODEL, "llama2")
  tiny_models.with_tokenizer(directory)
  return tmp_path


def _run(cases, root, workdir) -> list[dict]:
  """Returns results of cases, which one process after the other forks."""
  lines = [
      json.dumps(
          {
              "arguments": case.arguments(str(workdir)),
              "reach": case.reach,
              "seconds": _SECONDS,
          }
      )
      for case in cases
  ]
  process = subprocess.run(
      [sys.executable, "-m", "tests.campaigns.option_runner", "2"],
      input="\n".join(lines),
      cwd=root,
      env={**os.environ, "PYTHONPATH": str(root)},
      capture_output=True,
      text=True,
      check=True,
  )
  return [json.loads(line) for line in process.stdout.splitlines()]


def _verdict(case, result, before) -> str:
  """Returns the verdict on a case: refused, accepted, or a failure.

  Args:
    case: what was set.
    result: how the process ended.
    before: names of the artifacts without the value, with the same context.
  """
  code, printed = result["code"], result["printed"]
  if code == "late":
    return "endless"
  if "Traceback" in printed or code not in (0, 2):
    return "abort" if code < 0 or code >= 128 else "traceback"
  if code == 2:
    return "refused" if printed.count("zsgen: ") == 1 else "many messages"
  is_same = result["names"] == before
  if not _is_set(case) and not case.read:
    return "ignored"
  if _is_set(case) or case.reach != "job" or is_same == case.machine:
    return "accepted"
  return "changes names" if case.machine else "ignored"


def _is_set(case) -> bool:
  """Returns whether the context has the value already."""
  config = option_config.get_config(json.dumps(dict(case.context))).to_dict()
  try:
    value = functools.reduce(operator.getitem, case.field.split("."), config)
  except KeyError:  # The context selects no component that has it.
    return False
  value = list(value) if isinstance(value, tuple) else value
  return value == case.value or str(value).lower() == str(case.value).lower()


def _campaign(cases, root, workdir) -> dict[str, list[str]]:
  """Cases by verdict."""
  contexts = {json.dumps(dict(case.context)): case.context for case in cases}
  plain = [
      option_cases.Case("name", "options", context)
      for context in contexts.values()
  ]
  before, results = {}, _run([*plain, *cases], root, workdir)
  for context, result in zip(contexts, results, strict=False):
    before[context] = result["names"]
  verdicts = collections.defaultdict(list)
  for case, result in zip(cases, results[len(plain) :], strict=True):
    verdict = _verdict(case, result, before[json.dumps(dict(case.context))])
    last = (result["printed"].strip().splitlines() or [""])[-1]
    verdicts[verdict].append(f"{case.field}={case.value!r:.60}: {last:.200}")
  return verdicts


@pytest.mark.slow
def test_no_value_is_ignored_or_ends_in_a_traceback(root, workdir, capsys):
  cases = option_cases.sample(_NIGHTLY)
  verdicts = _campaign(cases, root, workdir)
  counts = {verdict: len(lines) for verdict, lines in verdicts.items()}
  with capsys.disabled():
    print(f"\n{len(cases)} option values: {counts}")
  assert len(cases) >= 300
  assert set(verdicts) == {"refused", "accepted"}, {
      verdict: lines
      for verdict, lines in verdicts.items()
      if verdict not in ("refused", "accepted")
  }


@pytest.mark.slow
def test_right_options_of_rewards_take_effect(root, workdir):
  right = {
      "evals.heldout.answers": "references",
      "evals.heldout.form": "ultra",
      "evals.heldout.reward_length": 2,
      "evals.heldout.reward_dtype": "bfloat16",
  }
  cases = [
      case
      for case in option_cases.cases()
      if case.context.get("evals.heldout.type") == "reward"
      and case.field in right
      and case.value == right[case.field]
  ]
  assert len(cases) == len(right)
  verdicts = _campaign(cases, root, workdir)
  assert set(verdicts) == {"accepted"}, verdicts


@pytest.mark.slow
def test_forks_print_what_separate_processes_print(root, workdir):
  """Checks that a fork of the campaign prints what the command prints."""
  cases = [case for case in option_cases.sample(_FORKED) if case.reach == "job"]
  results = zip(cases, _run(cases, root, workdir), strict=True)
  refused = [(case, fork) for case, fork in results if fork["code"] == 2]
  assert len(refused) >= _PROCESSES
  for case, fork in refused[:_PROCESSES]:
    process = subprocess.run(
        [sys.executable, "-m", "zsgen.main", *case.arguments(str(workdir))],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1] == fork["printed"].splitlines()[-1]


def test_every_field_has_cases():
  fields = {case.field for case in option_cases.cases()}
  assert len(fields) > 150
  assert {"train.b1", "order.epochs", "data.fields.key", "plan.rows"} <= fields
