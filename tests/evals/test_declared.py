"""An evaluator is one file, whose declaration logs and reports read."""

import ast
import io
import json
import pathlib

import numpy as np
import pytest
import rich.console

import zsgen
from zsgen import evals
from zsgen.core import config as config_lib
from zsgen.core import errors, registry
from zsgen.evals import api
from zsgen.reports import comparison, comparison_report, run_report
from zsgen.train import metrics, progress

# What a user's file has.
EVALUATOR = '''
from zsgen.core import registry
from zsgen.evals import api


@registry.evaluator("answer_length")
class AnswerLength(api.Evaluator):
  """Lengths of the answers, which no training changes."""

  declaration = api.Declaration(
      api.Metric("length", "tokens", "lower", "answer length"),
      (api.Metric("long", "share", "higher", by_task=False),),
  )

  def __call__(self, params):
    lengths = self.store.loss_lengths[self.ids].astype("float32")
    long = {f"{self.name}/long": float((lengths > 8).mean())}
    return api.Evaluation(self.means("length", lengths) | long, lengths)
'''


@pytest.fixture
def answer_length(monkeypatch, tmp_path):
  """Registers the evaluator of `EVALUATOR` from a file, until the test ends."""
  evals.names()  # Finds the evaluators in the tree first.
  known = dict(registry._COMPONENTS["evaluator"])
  monkeypatch.setitem(registry._COMPONENTS, "evaluator", known)
  (tmp_path / "own_evaluator.py").write_text(EVALUATOR)
  monkeypatch.syspath_prepend(tmp_path)
  __import__("own_evaluator")


def _records(run: pathlib.Path) -> list[dict[str, float]]:
  return list(map(json.loads, (run / "metrics.jsonl").open()))


def test_an_evaluator_in_one_file(answer_length, small, tmp_path, monkeypatch):
  logs = []
  monkeypatch.setattr(
      progress.Progress, "show", lambda self, step, values: logs.append(values)
  )
  small.evals.answers = {"type": "answer_length", "every_steps": 5}
  small.targets = {"short": {"metric": "answers/length", "below": 99.0}}
  output = io.StringIO()
  console = rich.console.Console(file=output, width=120)
  result = zsgen.run(small, tmp_path / "w", console=console)

  # The log.
  first, *_ = [values["answers"] for values in logs if "answers" in values]
  assert " tokens (" in first
  records = _records(result.run)
  last = [record for record in records if "answers/long" in record][-1]
  assert 0 <= last["answers/long"] <= 1
  value = last["answers/length"]
  assert first.startswith(f"{value:.3f} ")

  # Training's own metrics are declared too.
  names = {path for record in _records(result.run) for path in record}
  assert {path for path in names if path.startswith("train/")} == {
      f"train/{metric.name}" for metric in metrics.TRAINING
  }

  # The closing table, the page and the result.
  table = " ".join(output.getvalue().split())
  assert "answers answer length tokens" in table
  assert "answers over tasks tokens" in table
  assert "answers long share" in table
  page = result.report.read_text("utf-8")
  assert "<td class=w>answers long</td><td class=w>share</td>" in page
  assert "answers/length, final (tokens)" in page
  summary = run_report.result(result.run)
  assert summary["evals"]["answers"]["length"]["final"] == value
  assert summary["evals"]["answers"]["improved"] == 0
  assert "drop" not in summary["evals"]["answers"]["long"]
  assert summary["targets"]["short"]["met"]

  # The comparison.
  points = [comparison.Point("only", 0, result.run)]
  comparison_report.write(tmp_path / "c", points)
  text = (tmp_path / "c/comparison.md").read_text("utf-8")
  assert "**answers answer length (tokens)**" in text

  # Without training.
  trained = len(output.getvalue())
  evaluated = zsgen.run(small, tmp_path / "w", ["evaluate"], console).evaluation
  assert json.loads((evaluated / "metrics.json").read_text())[
      "answers/length"
  ] == pytest.approx(value)
  table = " ".join(output.getvalue()[trained:].split())
  assert "answers long share" in table


def test_every_evaluator_declares_what_tables_need():
  for name in evals.names():
    declared = evals.declaration(config_lib.Eval(type=name))
    assert declared.headline.better in (metrics.LOWER, metrics.HIGHER)
    if declared.in_training:  # Others have those of their tasks.
      assert declared.headline.unit in ("nats", "share", "logits")
      assert all(metric.unit for metric in declared.metrics)


def test_the_default_evaluator_has_no_options():
  """Checks that a config with it does not import the evaluators, nor JAX."""
  name = config_lib.Eval().type
  component = registry.component("evaluator", name, "config.evals")
  assert component.options is registry.NoOptions


def _constants(path: pathlib.Path) -> set[str]:
  """Returns the texts in a module, without its docstrings."""
  tree = ast.parse(path.read_text("utf-8"))
  docs = {
      id(node.value)
      for node in ast.walk(tree)
      if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
  }
  return {
      node.value
      for node in ast.walk(tree)
      if isinstance(node, ast.Constant)
      and isinstance(node.value, str)
      and id(node) not in docs
  }


def test_no_other_module_names_an_evaluator(root):
  """Looks for types of evaluators and for names of their metrics."""
  types = set(evals.names())
  names = {
      metric.name
      for name in types
      for metric in evals.declaration(config_lib.Eval(type=name)).metrics
  }
  # Files and columns that have the name of a metric.
  allowed = {
      "curves.py": {"loss"},  # loss.npy of every evaluation.
      "evaluations.py": {"loss"},  # loss.npy.
      "example_table.py": {"loss"},  # A column.
      "task_counts.py": {"loss"},  # Tokens with loss, a column.
      "trajectory.py": {"loss"},  # A column.
      "watch.py": {"loss"},  # Training's own, on the line.
      "metrics.py": {"loss"},  # Training's own.
      "once.py": {"loss"},  # loss.npy.
      "origins.py": {"loss"},  # Tokens with loss, a column.
      "score.py": {"loss"},  # A score of training examples.
  }
  package = root / "zsgen"
  paths = [
      *(package / "reports").glob("*.py"),
      *(package / "pipeline").glob("*.py"),
      *(package / "core").glob("*.py"),
      *(package / "train" / f"{name}.py" for name in ("watch", "metrics")),
      *(
          package / "evals" / f"{name}.py"
          for name in ("api", "metrics", "once")
      ),
      package / "evals" / "__init__.py",
  ]
  known = {}
  for path in paths:
    words = {text for text in _constants(path) if text in types | names}
    if words := words - allowed.get(path.name, set()):
      known[path.name] = words
  del known["config.py"]  # The default of config.evals and its type.
  assert not known


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(headline=("a", "nat", "lower")), "'nat' is unknown"),
        (dict(headline=("a", "nats", "low")), "'low' is unknown"),
        (dict(headline=("a", "nats", "")), "must be reported by task"),
        (
            dict(other_metrics=(("a", "nats", "lower"),)),
            "two metrics of one name",
        ),
        (dict(figures=("mean",)), 'Did you mean "means"'),
        (dict(rows="rows"), "'rows' is unknown"),
    ],
)
def test_invalid_declarations(arguments, message):
  with pytest.raises(errors.InputError, match=message):
    fields = {"headline": ("a", "nats", "lower"), **arguments}
    fields["headline"] = api.Metric(*fields["headline"])
    fields["other_metrics"] = tuple(
        api.Metric(*metric) for metric in fields.get("other_metrics", ())
    )
    api.Declaration(**fields)


def test_one_figure_has_one_unit():
  with pytest.raises(errors.InputError, match="another unit than the headline"):
    api.Declaration(
        api.Metric("a", "nats", "lower"),
        (api.Metric("b", "share", "higher", has_figure=True),),
    )


def test_an_unknown_type(small):
  config = small.to_dict()
  config["evals"] = {"heldout": {"type": "los"}}
  message = r"config\.evals\.heldout\.type: 'los' is not known.*\"loss\""
  with pytest.raises(errors.InputError, match=message):
    config_lib.check(config)


def test_means_over_examples_over_tasks_and_by_task():
  class Half(api.Evaluator):
    declaration = api.Declaration(api.Metric("half", "share", "higher"))

    def __init__(self):
      self.name, self.examples = "x", np.arange(3)
      self.store = Store()

    def __call__(self, params):
      raise NotImplementedError

  class Store:
    task_index, tasks = np.array([0, 0, 1]), ("a", "b")

  assert Half().means("half", np.array([1, 0, 1], np.float32)) == {
      "x/half": 2 / 3,
      "x/task_mean_half": 0.75,
      "x/a/half": 0.5,
      "x/b/half": 1.0,
  }
