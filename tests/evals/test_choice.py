"""Choices ranked by likelihood, against each choice scored on its own."""

import jax
import numpy as np
import pytest

from tests.helpers import choice_tables, closeness
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import prepare
from zsgen.evals import api, choice
from zsgen.models import model as model_lib
from zsgen.train import batches, layouts

pytestmark = pytest.mark.numerics

SPEC = config_lib.Eval()


@pytest.fixture
def make_context(small, tmp_path):
  """Returns a function that builds a context from rows."""

  def make(rows, name="t"):
    path = choice_tables.write(tmp_path / f"{name}.jsonl", rows)
    config = config_lib.check(choice_tables.use(small, path))
    store = prepare.prepare(tmp_path / "stores", config.data, config.seed)
    model = model_lib.Model.from_config(config.model)
    mesh = mesh_lib.make(config.machine.mesh)
    return api.Context(store, model, mesh, 4)

  return make


def _params(context):
  """Returns parameters that are large enough to tell answers apart."""
  params = jax.jit(context.model.init)(jax.random.key(0))
  return jax.tree.map(lambda leaf: 3 * leaf, params)


def _score_rows(context, params):
  """Returns sum and count of each choice in a row of its own, by example."""
  nll_of = jax.jit(context.model.token_nll)
  scores = {}
  choices = context.store.choices("heldout")
  for row, example in zip(choices.rows, choices.examples, strict=True):
    examples = batches.look_up(context.store, np.array([row]))
    batch = layouts.lay_out(
        examples, layouts.Shape(1, 192, 192), layouts.Split()
    )
    nll = np.asarray(nll_of(params, batch), np.float64)
    scores.setdefault(example, []).append((nll.sum(), batch.mask.sum()))
  return scores


def test_picks_equal_those_of_separate_rows(make_context):
  context = make_context(choice_tables.rows())
  params = _params(context)
  evaluation = choice.Choice("choosing", SPEC, context)(params)
  scores = _score_rows(context, params)
  right = {}
  choices = context.store.choices("heldout")
  for example, flag in zip(choices.examples, choices.right, strict=True):
    right.setdefault(example, []).append(flag)
  sums = [
      total for example_scores in scores.values() for total, _ in example_scores
  ]
  closeness.assert_close(evaluation.losses, np.array(sums))
  for suffix, score in (("", lambda s, n: s / n), ("_sum", lambda s, n: s)):
    hits = {
        example: right[example][
            int(np.argmin([score(*x) for x in example_scores]))
        ]
        for example, example_scores in scores.items()
    }
    assert evaluation.metrics[f"choosing/accuracy{suffix}"] == pytest.approx(
        np.mean(list(hits.values()))
    )
    tasks = context.store.task_index
    means = []
    for task in context.store.split_tasks("heldout"):
      of_task = [hit for example, hit in hits.items() if tasks[example] == task]
      path = f"choosing/{context.store.tasks[task]}/accuracy{suffix}"
      means.append(np.mean(of_task))
      assert evaluation.metrics[path] == pytest.approx(means[-1])
    assert evaluation.metrics[f"choosing/task_mean_accuracy{suffix}"] == (
        pytest.approx(np.mean(means))
    )


def _picked(context, params):
  """Returns the text that is picked for each example, by mean."""
  choices = context.store.choices("heldout")
  sums = choice.Choice("c", SPEC, context)(params).losses
  means = sums.astype(np.float64) / context.store.loss_lengths[choices.rows]
  rows = choices.rows[choice.picks(means, choices.examples)]
  return [answer for _, answer in context.store.texts(rows)]


def test_the_sequence_of_choices_does_not_matter(make_context):
  rows = choice_tables.rows()
  turned = [{**row, "from": row["from"][::-1]} for row in rows]
  context, turned_context = make_context(rows), make_context(turned, "turned")
  params = _params(context)
  assert _picked(context, params) == _picked(turned_context, params)
  assert len(set(_picked(context, params))) > 1


def test_sums_favour_short_answers_and_means_do_not(make_context):
  """Evaluates a model to which all tokens are alike."""
  rows = [{**row, "target": "red"} for row in choice_tables.rows()]
  for row in rows:
    row["from"] = ["a very dark shade of orange", "red", "blue"]
  context = make_context(rows)
  params = jax.tree.map(np.zeros_like, _params(context))
  evaluate = choice.Choice("c", SPEC, context)
  evaluation = evaluate(params)
  assert evaluation.metrics["c/accuracy_sum"] == 1.0
  lengths = context.store.loss_lengths[evaluate.ids]
  np.testing.assert_allclose(
      evaluation.losses / lengths, np.log(264), rtol=1e-6
  )


def test_ties_go_to_the_first():
  losses = np.array([2.0, 1.0, 1.0, 5.0, 5.0, 0.0])
  examples = np.array([4, 4, 4, 6, 6, 9])
  assert choice.picks(losses, examples).tolist() == [1, 3, 5]


def test_a_part_of_the_examples_keeps_their_choices_together(make_context):
  context = make_context(choice_tables.rows())
  full = choice.Choice("c", SPEC, context)
  spec = config_lib.Eval(max_examples=3)
  part = choice.Choice("c", spec, context)
  assert (len(part.examples), part.split_size) == (3, len(full.examples))
  names = [
      context.store.tasks[context.store.task_index[i]] for i in part.examples
  ]
  assert names == ["name", "name", "pick"]
  choices = context.store.choices("heldout")
  is_in_part = np.isin(choices.examples, part.examples)
  assert part.ids.tolist() == choices.rows[is_in_part].tolist()


def test_an_unknown_set(make_context):
  spec = config_lib.Eval(split="heldot")
  with pytest.raises(errors.InputError, match="no held-out set 'heldot'"):
    choice.Choice("c", spec, make_context(choice_tables.rows()))
