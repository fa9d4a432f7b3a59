"""The damage campaign: every file of every artifact, damaged in every way.

After each damage the next stage runs. Either the damage is noticed before it is
used, by one message, or the stage has the results of an undamaged workdir. `-s`
shows the counts.
"""

import collections
from collections.abc import Callable
import dataclasses
import pathlib
import shutil

import ml_collections
import pytest
import rich.console

from tests.campaigns import damages
from tests.helpers import artifact_files, configs
from zsgen import pipeline
from zsgen.core import errors
from zsgen.train import record_digests

pytestmark = pytest.mark.slow

Results = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Workdir:
  """A workdir with artifacts of two configs that differ in their seed.

  Attributes:
    path: its directory.
    config: the config whose artifacts are damaged.
    siblings: for each artifact of that config, relative to `path`, that of the
      other config.
  """

  path: pathlib.Path
  config: ml_collections.ConfigDict
  siblings: dict[str, str]

  def run(self, *stages: str) -> pipeline.Result:
    """Runs stages of the config."""
    quiet = rich.console.Console(quiet=True)
    return pipeline.run(self.config, self.path, stages, quiet)


def _run_of(workdir: Workdir) -> pathlib.Path:
  (name,) = (name for name in workdir.siblings if name.startswith("runs/"))
  return workdir.path / name


def _train(workdir: Workdir) -> Results:
  outputs = workdir.run("order", "train", "report")
  names = ["metrics.jsonl", "consumed.npy", "result.json"]
  names += [f"evals/{name}/loss.npy" for name in workdir.config.evals]
  results = {name: (outputs.run / name).read_bytes() for name in names}
  return {**results, "ids": (outputs.order / "ids.npy").read_bytes()}


def _order(workdir: Workdir) -> Results:
  order = workdir.run("order").order
  return {"ids": (order / "ids.npy").read_bytes()}


def _report(workdir: Workdir) -> Results:
  page = workdir.run("report").report
  result = page.with_name("result.json")
  return {"page": page.read_bytes(), "result": result.read_bytes()}


def _export(workdir: Workdir) -> Results:
  workdir.run("export")
  return artifact_files.read_all(_run_of(workdir) / "export-float32")


def _evaluate(workdir: Workdir) -> Results:
  path = workdir.run("evaluate").evaluation
  losses = sorted(path.rglob("loss.npy"))
  return {str(file.relative_to(path)): file.read_bytes() for file in losses}


def _evaluate_checkpoint(workdir: Workdir) -> Results:
  config = workdir.config.copy_and_resolve_references()
  config.model.init = f"run:{_run_of(workdir)}"
  return _evaluate(dataclasses.replace(workdir, config=config))


@dataclasses.dataclass(frozen=True)
class Scenario:
  """A kind of artifact, and the stage that uses it next.

  Attributes:
    files: pattern of the files that are damaged.
    removed: patterns of what a workdir before that stage does not have.
    use: runs the stage on a workdir and returns its results.
    workdir: the fixture with the workdir that is damaged.
  """

  files: str
  removed: tuple[str, ...]
  use: Callable[[Workdir], Results]
  workdir: str = "complete_workdir"


_ARRANGED = ("orders/*", "runs/*")
_STOPPED = ("runs/*/result.json", "runs/*/report*", "runs/*/checkpoints/10")
_REPORTED = ("runs/*/report*",)
SCENARIOS = {
    "store, then order and train": Scenario(
        "stores/*/**/*", ("embeddings/*", *_ARRANGED), _train
    ),
    "store, then report": Scenario("stores/*/**/*", _REPORTED, _report),
    "embeddings, then order": Scenario("embeddings/*/*", _ARRANGED, _order),
    "order, then train": Scenario("orders/*/*", ("runs/*",), _train),
    "order, then report": Scenario("orders/*/*", _REPORTED, _report),
    "run, then resume": Scenario("runs/*/**/*", _STOPPED, _train),
    "run, then report": Scenario("runs/*/[!c]*/**/*", _REPORTED, _report),
    "records, then report": Scenario("runs/*/*", _REPORTED, _report),
    "checkpoint, then export": Scenario(
        "runs/*/checkpoints/10/**/*", (), _export
    ),
    "checkpoint, then evaluate": Scenario(
        "runs/*/checkpoints/10/**/*", (), _evaluate_checkpoint
    ),
    "evaluation, then evaluate": Scenario("evaluations/*/**/*", (), _evaluate),
    "scores, then order": Scenario(
        "scores/*/*", _ARRANGED, _order, "remade_workdir"
    ),
    "segments, then resume": Scenario(
        "runs/*/segments/8/*", _STOPPED, _train, "remade_workdir"
    ),
    "segments, then report": Scenario(
        "runs/*/segments/4/*", _REPORTED, _report, "remade_workdir"
    ),
}


def _artifacts(path: pathlib.Path) -> set[str]:
  kinds = ("stores", "embeddings", "scores", "orders", "runs", "evaluations")
  return {
      f"{kind}/{artifact.name}"
      for kind in kinds
      for artifact in (path / kind).glob("[!.]*")
  }


@pytest.fixture(scope="module")
def complete_workdir(tmp_path_factory):
  """Returns a workdir that has every artifact of two seeds."""
  path = tmp_path_factory.mktemp("whole")
  config = configs.small()
  config.machine.keep = 3
  config.evals.written = dict(
      type="generate", max_new_tokens=3, every_steps=10, max_examples=2
  )
  return _make_two(path, config, "report", "evaluate")


@pytest.fixture(scope="module")
def remade_workdir(tmp_path_factory):
  """Returns a workdir with orders by scores, arranged anew, of two seeds."""
  path = tmp_path_factory.mktemp("remade")
  config = configs.small()
  config.data.train_instances, config.machine.keep = 1, 5
  config.order = dict(
      arrangement="scored", score="loss", embedder="", remake_every=4, budget=40
  )
  return _make_two(path, config, "report")


def _make_two(
    path: pathlib.Path, config: ml_collections.ConfigDict, *stages: str
) -> Workdir:
  """Runs the stages of a config, and of one that differs in its seed."""
  other_config = config.copy_and_resolve_references()
  other_config.seed = 1
  Workdir(path, other_config, {}).run(*stages)
  before = _artifacts(path)
  Workdir(path, config, {}).run(*stages)
  artifacts = _artifacts(path) - before
  kind_of = {name.partition("/")[0]: name for name in before}
  siblings = {name: kind_of[name.partition("/")[0]] for name in artifacts}
  return Workdir(path, config, siblings)


def _copy(original: Workdir, path: pathlib.Path, scenario: Scenario) -> Workdir:
  """Returns a copy in which the stages from the scenario's on did not run."""
  shutil.rmtree(path, ignore_errors=True)
  shutil.copytree(original.path, path)
  for pattern in scenario.removed:
    for artifact in path.glob(pattern):
      shutil.rmtree(artifact) if artifact.is_dir() else artifact.unlink()
  return dataclasses.replace(original, path=path)


def _files(workdir: Workdir, pattern: str) -> list[pathlib.Path]:
  """Returns the config's files that match, relative to the workdir."""
  files = (file for file in workdir.path.glob(pattern) if file.is_file())
  names = sorted(file.relative_to(workdir.path) for file in files)
  artifacts = tuple(workdir.siblings)
  return [name for name in names if str(name).startswith(artifacts)]


def _sibling(workdir: Workdir, name: pathlib.Path) -> pathlib.Path | None:
  """Returns the same file of the other seed, or else one next to it."""
  artifact = "/".join(name.parts[:2])
  if sibling := workdir.siblings.get(artifact):
    file = workdir.path / sibling / name.relative_to(artifact)
    if file.is_file():
      return file
  directory = (workdir.path / name).parent
  files = (file for file in sorted(directory.iterdir()) if file.is_file())
  return next((file for file in files if file.name != name.name), None)


def _outcome(
    scenario: Scenario, workdir: Workdir, expected: Results
) -> tuple[str, str]:
  """Runs the stage; returns what came of the damage, and the details."""
  try:
    results = scenario.use(workdir)
  except errors.InputError as error:
    return "noticed", str(error)
  except Exception as error:
    return "traceback", f"{type(error).__name__}: {error}"
  wrong = [name for name in expected if results.get(name) != expected[name]]
  return ("wrong", ", ".join(wrong)) if wrong else ("no effect", "")


def _decided_by(name: pathlib.Path, expected: Results) -> Results:
  """Returns the results that must not depend on a damaged file.

  The clocks of a run decide nothing: its page says that they are lost.
  """
  if name.name != record_digests.PERF:
    return expected
  return {key: value for key, value in expected.items() if key != "page"}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_damage_is_noticed_or_has_no_effect(scenario, request, tmp_path):
  complete_workdir = request.getfixturevalue(scenario.workdir)
  workdir = _copy(complete_workdir, tmp_path / "workdir", scenario)
  expected = scenario.use(workdir)
  counts, faults = collections.Counter(), []
  for name in _files(
      _copy(complete_workdir, workdir.path, scenario), scenario.files
  ):
    file, sibling = workdir.path / name, _sibling(workdir, name)
    kinds = [kind for kind, _ in damages.damages(file, sibling)]
    for kind in kinds:
      _copy(complete_workdir, workdir.path, scenario)
      dict(damages.damages(file, sibling))[kind]()
      outcome, details = _outcome(
          scenario, workdir, _decided_by(name, expected)
      )
      counts[outcome] += 1
      line = f"{outcome}: {name}, {kind}: {details}"
      print(line)
      if outcome in ("wrong", "traceback"):
        faults.append(line)
      elif outcome == "noticed" and str(workdir.path) not in details:
        faults.append(f"names no file: {line}")
  print(dict(counts))
  assert counts and not faults, "\n".join(faults)
