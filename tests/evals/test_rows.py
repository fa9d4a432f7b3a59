"""Evaluations with shared prefixes give what whole examples give."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.helpers import choice_tables, closeness
from tests.models import small as archs
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import prepare
from zsgen.data import store as store_lib
from zsgen.evals import (
    api,
    choice,
    exact,
    loss,
    packed,
    prefixes,
    shared_batch,
    together,
)
from zsgen.evals import rows as rows_lib
from zsgen.models import execution as execution_lib
from zsgen.models import model as model_lib
from zsgen.train import batches, layouts

pytestmark = pytest.mark.numerics

_PROMPT = "Which of the colours of this list does the painter like the most? "


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> store_lib.Store:
  """Returns a store whose held-out examples and choices all share prompts."""
  from tests.helpers import configs

  rows = choice_tables.rows()
  for row in rows:
    row["input"] = _PROMPT + row["input"]
  directory = tmp_path_factory.mktemp("shared")
  path = choice_tables.write(directory / "rows.jsonl", rows)
  config = config_lib.check(choice_tables.use(configs.small(), path))
  return prepare.prepare(directory, config.data, config.seed)


def _context(store, name="rms", batch_size=4, attention="xla") -> api.Context:
  arch = dataclasses.replace(archs.ALL[name], vocab_size=264, max_positions=192)
  execution = execution_lib.Execution(attention=attention)
  model = model_lib.Model.from_config(arch)
  model = dataclasses.replace(model, execution=execution)
  return api.Context(store, model, mesh_lib.make(config_lib.Mesh()), batch_size)


def _compute_both(ids, reduce, context) -> list[np.ndarray]:
  """Returns the values without and with shared prefixes."""
  params = archs.loud(context.model.arch)
  forms = [
      packed.Packed(ids, reduce, context, share) for share in (False, True)
  ]
  kinds = [type(form.rows) for form in forms]
  assert kinds == [rows_lib.PlainRows, rows_lib.SharedRows]
  return [form(params) for form in forms]


@pytest.mark.parametrize("name", sorted(archs.ALL))
def test_the_loss_of_each_example_is_the_same(store, name):
  context = _context(store, name)
  ids = store.split_ids("heldout/choices")
  plain, shared = _compute_both(ids, loss.example_losses, context)
  np.testing.assert_allclose(shared, plain, rtol=1e-5)
  assert len(np.unique(plain)) > len(plain) // 2


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(archs.ALL))
def test_splash_gives_the_same_loss(store, name):
  ids = store.split_ids("heldout/choices")
  plain, shared = _compute_both(
      ids, loss.example_losses, _context(store, name, attention="splash")
  )
  np.testing.assert_allclose(shared, plain, rtol=1e-5)
  _, others = _compute_both(ids, loss.example_losses, _context(store, name))
  np.testing.assert_allclose(shared, others, rtol=1e-5)


def test_answers_and_their_right_tokens_are_the_same(store):
  context, ids = _context(store, "gemma"), store.split_ids("heldout/choices")
  plain, shared = _compute_both(ids, choice.answer_sums, context)
  np.testing.assert_allclose(shared, plain, rtol=1e-5)
  plain, shared = _compute_both(ids, exact.right_tokens, context)
  np.testing.assert_array_equal(shared, plain)


def test_the_values_do_not_depend_on_the_batch_size(store):
  ids = store.split_ids("heldout/choices")
  values = []
  for batch_size in (1, 32):
    context = _context(store, batch_size=batch_size)
    values.append(_compute_both(ids, choice.answer_sums, context)[1])
  closeness.assert_close(*values)


def test_fewer_slots_are_computed_in_no_larger_batches(store):
  context, ids = _context(store, batch_size=8), store.split_ids(
      "heldout/choices"
  )
  plain = rows_lib.PlainRows(ids, context)
  shared = rows_lib.make(ids, context, share=True)
  slots = [
      (rows * length, len(form.slots(rows, length)))
      for form in (plain, shared)
      for rows, length in (form.size,)
  ]
  (plain_size, plain_count), (size, count) = slots
  assert size <= plain_size
  assert size * count < 0.5 * plain_size * plain_count


def test_members_of_a_population_may_share_or_not(store):
  context = _context(store)
  split = store.split_ids("heldout/choices")
  # One example has nothing to share.
  members = [
      packed.Packed(ids, choice.answer_sums, context)
      for ids in (split, split[:1])
  ]
  kinds = [type(member.rows) for member in members]
  assert kinds == [rows_lib.SharedRows, rows_lib.PlainRows]
  params = archs.loud(context.model.arch)
  stacked = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf]), params)
  sharding = mesh_lib.batch_sharding(context.mesh)
  values = together.PackedPopulation(members, sharding)(stacked)
  closeness.assert_close(values[0], members[0](params))
  doubled = jax.tree.map(lambda leaf: 2 * leaf, params)
  closeness.assert_close(values[1], members[1](doubled))


def test_without_prefixes_to_share_rows_are_plain(store):
  ids = store.split_ids("heldout")
  context = _context(store)
  for plain in (
      rows_lib.make(ids, context, share=False),
      rows_lib.make(ids[:1], context, share=True),
  ):
    assert isinstance(plain, rows_lib.PlainRows)
  shared = rows_lib.make(ids, context, share=True)
  assert "tokens in common, which are computed once" in shared.note


def test_groups_whose_members_differ_are_refused(store):
  ids = store.split_ids("heldout")[:2]
  examples = batches.look_up(store, ids)
  shape, split = layouts.Shape(1, 384, 64), layouts.Split()
  wrong = prefixes.Group(int(store.prompt_lengths[ids].max()), (0, 1))
  with pytest.raises(errors.InputError, match="do not share"):
    shared_batch.lay_out(examples, [[wrong]], shape, split)
  short = shape._replace(length=96)
  groups = [[*prefixes.singles(2)]]
  with pytest.raises(errors.InputError, match="does not fit 1 rows of 96"):
    shared_batch.lay_out(examples, groups, short, split)
