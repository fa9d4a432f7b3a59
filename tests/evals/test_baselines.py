"""What accuracies are without a model, and the values that they are means of."""

import numpy as np
import pytest

from tests.helpers import choice_tables
from zsgen import evals
from zsgen.core import config as config_lib
from zsgen.data import prepare
from zsgen.evals import majority


@pytest.fixture
def store(small, tmp_path):
  path = choice_tables.write(tmp_path / "t.jsonl", choice_tables.rows())
  config = config_lib.check(choice_tables.use(small, path))
  return prepare.prepare(tmp_path / "stores", config.data, config.seed)


def _counted(store):
  """Returns accuracies by counting texts, in rows of the table."""
  answers: dict[str, list[str]] = {}
  guesses = []
  for row in choice_tables.rows():
    if row["task"] in ("name", "pick"):
      answers.setdefault(row["task"], []).append(row["target"][0])
      guesses.append(1 / len(row["from"]))
  best = sum(max(map(a.count, a)) for a in answers.values())
  return np.mean(guesses), best / len(guesses)


def test_chance_and_majority_of_choices(store):
  spec = config_lib.Eval(type="choice")
  rows = store.choices("heldout").rows
  baselines = evals.baselines(spec, rows, lambda: store)
  chance, best = _counted(store)
  assert baselines["accuracy"] == baselines["accuracy_sum"]
  assert baselines["accuracy"].chance == pytest.approx(chance)
  assert baselines["accuracy"].majority == pytest.approx(best)


def test_values_of_choices_are_what_is_picked(store):
  spec = config_lib.Eval(type="choice")
  choices = store.choices("heldout")
  # The right one has the lowest loss, at one evaluation; then never.
  losses = np.stack([1.0 - choices.right, 1.0 * choices.right])
  values = evals.example_values(
      spec, choices.rows, losses.astype(np.float32), lambda: store
  )
  assert values.examples.tolist() == sorted({*choices.examples.tolist()})
  assert values.by_metric["accuracy"].tolist() == [[1.0] * 12, [0.0] * 12]
  empty = np.zeros((0, len(choices.rows)))
  values = evals.example_values(spec, choices.rows, empty, lambda: store)
  assert values.by_metric["accuracy_sum"].shape == (0, 12)


def test_values_of_exact_answers_are_whether_no_token_is_wrong():
  spec = config_lib.Eval(type="exact")
  wrong = np.array([[0, 1, 2], [0, 0, 3]], np.float32)
  values = evals.example_values(spec, np.arange(3), wrong, lambda: None)
  assert values.by_metric["exact_match"].tolist() == [[1, 0, 0], [1, 1, 0]]


def test_the_majority_of_exact_and_of_written_answers(store):
  ids = store.split_ids("heldout")
  _, best = _counted(store)
  for kind, metric in (
      ("exact", "exact_match"),
      ("copy_input", "exact_match"),
      ("generate", "normalized_match"),
  ):
    spec = config_lib.build(config_lib.Eval, type=kind)
    baselines = evals.baselines(spec, ids, lambda: store)
    assert baselines[metric].chance is None
    # The table's answers are each example's only right choice.
    assert baselines[metric].majority == pytest.approx(best)
  assert not evals.baselines(config_lib.Eval(), ids, lambda: store)


def test_the_most_frequent_answer_of_each_task():
  tasks = np.array([0, 0, 0, 1, 1])
  answers = majority.most_frequent(["a", "b", "b", "c", "d"], tasks)
  assert answers == ["b", "b", "b", "c", "c"]
