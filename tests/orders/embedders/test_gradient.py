"""The embedder `gradient`: equal to gradients of single examples."""

import dataclasses
import functools
import math
import tracemalloc

import jax
from jax import numpy as jnp
import numpy as np
import optax
import pytest

from tests.helpers import closeness, configs, embedding, refusals
import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.orders import order as order_lib
from zsgen.orders.embedders import (
    by_model,
    example_gradients,
    gradient,
    projection,
    row_batches,
)
from zsgen.pipeline import features
from zsgen.train import optimizer, starts

DIM = 24
LORA = config_lib.Lora(rank=2, targets="attention/query|mlp/down")


@pytest.fixture
def config(small):
  """Returns a config whose order embeds by gradients; it has 59 examples."""
  small.data.train_instances = 1
  small.order = dict(
      arrangement="tmt", budget=8, embedder="gradient", gradient_dim=DIM
  )
  return small


@pytest.fixture
def run(workdirs):
  """Returns a finished run with checkpoints of steps 5 and 10."""
  (run,) = (workdirs.get(configs.small(), "train") / "runs").iterdir()
  return run


@pytest.fixture(scope="module")
def store(workdirs):
  small = configs.small()
  small.data.train_instances = 1
  workdir = workdirs.get(small, "prepare")
  return store_lib.open_store(next((workdir / "stores").glob("[!.]*")))


def _loaded(lora=config_lib.NO_LORA):
  """Returns random parameters and moments of a small model."""
  arch = dataclasses.replace(config_lib.Model(), **configs.SIZES)
  model = model_lib.Model.from_config(arch, lora)
  params = jax.jit(model.init)(jax.random.key(0))
  # Adapters that change nothing yet have gradients of zero.
  params = jax.tree.map(lambda leaf: 3 * leaf + 0.01, params)
  trained, frozen = lora_lib.split(params, lora)
  first = jax.tree.map(lambda leaf: 1e-3 * jnp.cos(40 * leaf), trained)
  second = jax.tree.map(lambda leaf: 1e-6 * (1 + leaf**2), trained)
  adam = by_model.Adam(7, 0.9, 0.95, 1e-5, 1e-3)
  mesh = mesh_lib.make(config_lib.Mesh())
  return by_model.Loaded(
      model, trained, frozen, mesh, "drawn", (first, second), adam
  )


@functools.cache
def _compiled(model):
  """Returns the gradient of a weighted loss of tokens, from their logits."""

  def loss(trained, frozen, tokens, weights):
    params = lora_lib.join(trained, frozen)
    positions = jnp.arange(tokens.shape[1])[None]
    # What follows an example changes nothing before it.
    segments = jnp.ones_like(positions)
    logits = model.logits(params, tokens, positions, segments)
    scores = jax.nn.log_softmax(logits[0, :-1])
    nll = -jnp.take_along_axis(scores, tokens[0, 1:, None], axis=1)[:, 0]
    return (nll * weights[1:]).sum()

  return jax.jit(jax.grad(loss))


def _gradient(loaded, row):
  """Returns the gradient of the mean loss of an example."""
  tokens, weights = np.zeros((1, 192), np.int32), np.zeros(192, np.float32)
  tokens[0, : len(row.tokens)] = row.tokens
  weights[: len(row.mask)] = row.mask / row.mask.sum()
  compute = _compiled(loaded.model)
  return compute(loaded.trained, loaded.frozen, tokens, weights)


def _projected(gradients, seed):
  """Returns the product of a gradient and the whole matrix of signs."""
  key, total = jax.random.key(seed), 0.0
  flat = example_gradients.flatten(gradients)
  for number, path in enumerate(sorted(flat)):
    leaf = np.asarray(flat[path], np.float64).ravel()
    rows = min(len(leaf), projection._ELEMENTS // DIM)
    blocks = [
        projection.random_signs(
            jax.random.fold_in(jax.random.fold_in(key, number), block),
            rows,
            DIM,
        )
        for block in range(-(-len(leaf) // rows))
    ]
    total += leaf @ np.concatenate(blocks)[: len(leaf)]
  return total


@pytest.mark.parametrize(
    "lora", [config_lib.NO_LORA, pytest.param(LORA, marks=pytest.mark.slow)]
)
def test_vectors_are_those_of_single_examples(store, lora, monkeypatch):
  monkeypatch.setattr(projection, "_ELEMENTS", 500 * DIM)
  loaded = _loaded(lora)
  training, heldout = 3, int(store.split_ids("heldout")[0])
  ids = np.array([heldout, training])
  options = gradient.Options(gradient_dim=DIM, projection_seed=5)
  actual = gradient.compute(loaded, store, ids, options)
  plain, moved = (_gradient(loaded, store.row(i)) for i in ids)
  adam, constants = optax.scale_by_adam(0.9, 0.95, 1e-5), loaded.adam
  state = optax.ScaleByAdamState(jnp.int32(constants.count), *loaded.moments)
  moved, _ = adam.update(moved, state)
  expected = [_projected(tree, 5) for tree in (plain, moved)]
  for vector, reference in zip(actual, expected, strict=True):
    closeness.assert_close(vector, reference)


@pytest.mark.slow
def test_batches_do_not_matter(store, monkeypatch, tmp_path):
  loaded, ids = _loaded(), np.arange(store.examples)
  options = gradient.Options(gradient_dim=DIM)
  expected = gradient.compute(loaded, store, ids, options)
  monkeypatch.setattr(gradient, "_TOKENS", 600)
  embedding.interrupt(
      lambda: gradient.compute(loaded, store, ids, options, tmp_path),
      monkeypatch,
  )
  lines = []
  resumed = gradient.compute(
      loaded, store, ids, options, tmp_path, lines.append
  )
  assert "continues after" in lines[0]
  np.testing.assert_array_equal(
      resumed, gradient.compute(loaded, store, ids, options)
  )
  closeness.assert_close(resumed, expected)


@pytest.mark.slow
def test_a_subset_of_the_parameters_without_moments(store):
  loaded, ids = _loaded(), np.array([3])
  pattern = r"blocks/0/mlp/(up|down)/kernel"
  options = gradient.Options(gradient_dim=DIM, gradient_parameters=pattern)
  bare = loaded._replace(moments=None, adam=None)
  (actual,) = gradient.compute(bare, store, ids, options)
  subset, _ = example_gradients.select(_gradient(loaded, store.row(3)), pattern)
  assert set(subset) == {f"blocks/0/mlp/{n}/kernel" for n in ("up", "down")}
  closeness.assert_close(actual, _projected(subset, 0))


def test_products_survive_the_projection():
  rng = np.random.default_rng(0)
  values = rng.normal(size=(2, 5000)).astype(np.float32)
  values[1] += values[0]
  dim = 2048
  result = projection.project(values, jax.random.key(0), dim)
  actual, expected = result @ result.T / dim, values @ values.T
  np.testing.assert_allclose(actual, expected, rtol=0.1)


@pytest.mark.slow
def test_an_order_by_two_checkpoints(config, run, tmp_path, monkeypatch):
  monkeypatch.setattr(row_batches, "_STEP", 256)  # One program.
  config.order.checkpoints = (f"{run}@5", f"{run}@10")
  order = order_lib.Order.load(zsgen.run(config, tmp_path, ["order"]).order)
  assert len(order) == 8
  recipe = order.manifest["made_by"]["embedder"]["parameters"]
  assert [model["step"] for model in recipe["models"]] == [5, 10]
  (artifact,) = (tmp_path / "embeddings").glob("[!.]*")
  vectors = np.load(artifact / "vectors.npy")
  assert vectors.shape[1] == 2 * DIM
  # The learning rates of the updates before: a cosine over 10 steps.
  train = config_lib.check(configs.small()).train
  rates = [optimizer.learning_rate(train, step, 10) for step in (4, 9)]
  for half, rate in zip(np.split(vectors, 2, axis=1), rates, strict=True):
    lengths = np.linalg.norm(half, axis=1)
    np.testing.assert_allclose(lengths, math.sqrt(rate / sum(rates)), rtol=1e-5)


def test_a_checkpoint_brings_its_moments(config, run):
  config = config_lib.check(config)
  start = starts.make(config.model, 0)
  loaded = features.make_models(config, start).load(f"{run}@5", "float32", True)
  assert loaded.adam is not None and loaded.moments is not None
  assert loaded.adam.count == 5
  assert loaded.adam._replace(count=0, learning_rate=0.0) == by_model.Adam(
      0, 0.9, 0.95, 1e-5, 0.0
  )
  arch = dataclasses.replace(config.model, init=f"run:{run}@5")
  expected = starts.make(arch, 0).load_all(loaded.mesh)
  closeness.assert_same(loaded.trained, expected)
  for moment in loaded.moments:
    assert jax.tree.structure(moment) == jax.tree.structure(expected)
  assert min(leaf.min() for leaf in jax.tree.leaves(loaded.moments[1])) >= 0


@pytest.mark.slow
def test_a_checkpoint_of_adapters(config, tmp_path):
  adapted = configs.small()
  adapted.lora.rank = 2
  run = zsgen.run(adapted, tmp_path / "run", ["train"]).run
  config.order.checkpoints = (f"{run}@5",)
  models = features.make_models(
      config_lib.check(config), starts.make(config_lib.check(config).model, 0)
  )
  loaded = models.load(f"{run}@5", "float32", True)
  paths = example_gradients.flatten(loaded.trained)
  assert paths and all("/lora_" in path for path in paths)
  assert loaded.frozen
  zsgen.run(config, tmp_path, ["order"])
  (artifact,) = (tmp_path / "embeddings").glob("[!.]*")
  assert np.load(artifact / "vectors.npy").shape[1] == DIM


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(gradient_dim=50_000), "the gradient has .* would be larger"),
        (
            dict(gradient_parameters="mlp"),
            "matches no trained parameter.*blocks",
        ),
        (dict(text="prompt"), "has no loss to differentiate"),
        (dict(checkpoints=("a@b",)), r"checkpoints\[0\] is 'a@b'"),
    ],
)
def test_bad_options_are_errors_before_any_work(
    config, tmp_path, options, message
):
  config.order.update(options)
  refusals.assert_refused(config, tmp_path, "order", message)


def test_weights_of_checkpoints():
  assert gradient._weights([0.0]) == [1.0]
  weights = gradient._weights([3e-4, 1e-4])
  np.testing.assert_allclose(weights, [math.sqrt(0.75), 0.5])
  with pytest.raises(errors.InputError, match="learning rate is 0 at all"):
    gradient._weights([0.0, 0.0])


def test_a_gradient_of_zero_is_an_error():
  vectors = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
  with pytest.raises(
      errors.InputError, match=r"1 examples are zero.*example 6"
  ):
    gradient._scale_to_unit(vectors, np.array([5, 6]), _loaded())


def test_the_vectors_of_all_checkpoints_are_in_memory_once(
    store, tmp_path, monkeypatch
):
  ids = np.resize(np.flatnonzero(store.loss_lengths), 4000)
  drawn = np.random.default_rng(0).standard_normal((2, len(ids), 64))
  raw = drawn.astype(np.float32)

  def compute(loaded, store, ids, options, partial, log, out):
    out[:] = raw[int(partial.name)]

  def load(name, *_):
    adam = by_model.Adam(7, 0.9, 0.95, 1e-5, {"a": 3e-4, "b": 1e-4}[name])
    return by_model.Loaded(None, {}, {}, None, name, adam=adam)

  monkeypatch.setattr(gradient, "compute", compute)
  monkeypatch.setattr(gradient, "_ROWS", 100)
  models = by_model.NO_MODELS._replace(
      shapes=lambda name: (config_lib.Model(), None), load=load
  )
  options = gradient.Options(gradient_dim=64, checkpoints=("a", "b"))
  arguments = store, ids, "prompt+answer", models, tmp_path, lambda line: None
  tracemalloc.start()
  try:
    vectors = gradient.Gradient(options).embed_rows(*arguments).vectors
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert peak < 1.5 * vectors.nbytes
  unit = raw / np.linalg.norm(raw, axis=2, keepdims=True)
  expected = np.concatenate([math.sqrt(0.75) * unit[0], 0.5 * unit[1]], axis=1)
  np.testing.assert_allclose(vectors, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_mesh_agrees(config, run, tmp_path):
  config.order.checkpoints = (f"{run}@5",)
  one, mesh = embedding.embed_on_two_meshes(config, tmp_path)
  closeness.assert_close(mesh, one)
