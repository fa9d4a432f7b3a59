"""Answers to prompts that share prefixes equal those to prompts read alone."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.helpers import choice_tables
from tests.models import small as archs
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import prepare
from zsgen.data import store as store_lib
from zsgen.evals import api, generate, shared_prompts
from zsgen.models import model as model_lib

pytest.importorskip("rouge_score")
pytestmark = pytest.mark.numerics

_PROMPT = "Which of the colours of this list does the painter like the most? "


@pytest.fixture(scope="module", name="store")
def _store(tmp_path_factory) -> store_lib.Store:
  """Prepares a store whose held-out prompts all begin alike."""
  from tests.helpers import configs

  rows = choice_tables.rows()
  for row in rows:
    row["input"] = _PROMPT + row["input"]
  directory = tmp_path_factory.mktemp("prompts")
  path = choice_tables.write(directory / "rows.jsonl", rows)
  config = config_lib.check(choice_tables.use(configs.small(), path))
  return prepare.prepare(directory, config.data, config.seed)


def _answers(store, name, share=True, **fields):
  """Returns the evaluator, and a random model's tokens for each prompt."""
  arch = dataclasses.replace(archs.ALL[name], vocab_size=264, max_positions=256)
  mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:1])
  context = api.Context(
      store, model_lib.Model.from_config(arch), mesh, 4, seed=3
  )
  spec = config_lib.build(
      config_lib.Eval, type="generate", max_new_tokens=12, **fields
  )
  evaluator = generate.Generate("written", spec, context, share)
  params = jax.tree.map(lambda array: array / 2, archs.loud(arch))
  answers = np.zeros((len(evaluator.ids), 12), np.int32)
  for slots, prompts in evaluator._batches:
    rows = evaluator._generate(params, *prompts, context.seed)
    answers[slots] = np.asarray(rows)[: len(slots)]
  return evaluator, answers


@pytest.mark.parametrize(
    ("name", "decoding"),
    [
        pytest.param("rms", "released", marks=pytest.mark.slow),
        ("gemma", "greedy"),
        pytest.param("gpt2", "greedy", marks=pytest.mark.slow),
        pytest.param("layer", "released", marks=pytest.mark.slow),
    ],
)
def test_answers_equal_those_to_separate_prompts(store, name, decoding):
  separate, expected = _answers(store, name, share=False, decoding=decoding)
  shared, actual = _answers(store, name, decoding=decoding)
  assert separate._shared_batches is None
  assert shared._shared_batches is not None
  np.testing.assert_array_equal(actual, expected)
  assert len(np.unique(actual, axis=0)) > 1


@pytest.mark.parametrize("name", ["rms", "gemma"])
def test_logits_and_caches_equal_those_of_separate_prompts(name):
  arch = dataclasses.replace(archs.ALL[name], vocab_size=90, max_positions=64)
  model, params = model_lib.Model.from_config(arch), archs.loud(arch)
  rng = np.random.default_rng(0)
  prefix = rng.integers(1, 90, 20)
  prompts = [
      np.append(prefix, rng.integers(1, 90, 2 + i)).astype(np.int32)
      for i in range(3)
  ]
  batches = shared_prompts.make_batches(prompts, 3)
  assert batches is not None and len(batches) == 1
  order = shared_prompts.members(batches[0])
  lengths = np.array([len(prompts[i]) for i in order], np.int32)
  tokens = np.zeros((3, 64), np.int32)
  for row, index in zip(tokens, order, strict=True):
    row[64 - len(prompts[index]) :] = prompts[index]
  shared = shared_prompts.lay_out(prompts, batches[0], 3)
  expected, cache = jax.jit(model.prefill, static_argnums=3)(
      params, tokens, lengths, 2
  )
  actual, shared_cache = jax.jit(model.prefill_shared, static_argnums=3)(
      params, shared, lengths, 2
  )
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(shared_cache.pads, cache.pads)
  real = np.arange(66) >= np.asarray(cache.pads)[:, None]
  for old, new in zip(
      jax.tree.leaves(cache.key_values),
      jax.tree.leaves(shared_cache.key_values),
      strict=True,
  ):
    assert new.shape == old.shape
    mask = real[..., None, None]
    np.testing.assert_allclose(new * mask, old * mask, rtol=1e-4, atol=1e-5)


def test_a_plan_reads_each_prefix_once():
  rng = np.random.default_rng(0)
  shared = rng.integers(5, 90, (2, 30))
  prompts = [
      np.append(shared[i % 2], rng.integers(5, 90, 3 + i)).astype(np.int32)
      for i in range(9)
  ]
  batches = shared_prompts.make_batches(prompts, 3)
  assert batches is not None
  numbers = [shared_prompts.members(batch).tolist() for batch in batches]
  assert sorted(sum(numbers, [])) == list(range(9))
  assert max(map(len, numbers)) <= 3
  read = sum(
      group.tokens(np.array([len(prompt) for prompt in prompts]))
      for batch in batches
      for row in batch.groups
      for group in row
  )
  assert read < 0.6 * sum(map(len, prompts))
  for batch, indices in zip(batches, numbers, strict=True):
    arrays = shared_prompts.lay_out(prompts, batch, 3)
    for line, index in zip(arrays.slots, indices, strict=False):
      slots = line[64 - len(prompts[index]) :]
      actual = arrays.tokens.ravel()[slots]
      np.testing.assert_array_equal(actual, prompts[index])
      positions = arrays.positions.ravel()[slots]
      np.testing.assert_array_equal(positions, np.arange(len(prompts[index])))


def test_prompts_without_a_common_beginning_have_no_plan():
  rng = np.random.default_rng(0)
  prompts = [rng.integers(5, 90, 40).astype(np.int32) for _ in range(4)]
  assert shared_prompts.make_batches(prompts, 4) is None


def test_long_prompts_do_not_lengthen_the_rows_of_short_ones():
  rng = np.random.default_rng(0)
  prompts = [
      np.append(prefix, rng.integers(5, 90, 3)).astype(np.int32)
      for prefix in (rng.integers(5, 90, 20), rng.integers(5, 90, 200))
      for _ in range(4)
  ]
  short, long = shared_prompts.make_batches(prompts, 4)
  assert (short.width, long.width) == (64, 256)
  assert (short.rows, short.length) == (1, 20 + 4 * 3)
  assert (long.rows, long.length) == (1, 200 + 4 * 3)
