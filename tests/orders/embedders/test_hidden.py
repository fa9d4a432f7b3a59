"""The embedder `hidden`: means of hidden states, and what they depend on."""

import dataclasses
import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests.helpers import closeness, configs, embedding, refusals
import zsgen
from zsgen import verify
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.models import depth
from zsgen.models import model as model_lib
from zsgen.orders import embeddings, grid
from zsgen.orders import order as order_lib
from zsgen.orders.embedders import by_model, hidden, row_batches

# Tokens of the longest example, at least.
LONGEST = 192


@pytest.fixture
def config(small):
  """Returns a config whose order embeds by its model; it has 59 examples."""
  small.data.train_instances = 1
  small.order = dict(arrangement="tmt", budget=8, embedder="hidden")
  return small


@pytest.fixture(scope="module")
def setup(workdirs):
  """Returns a store, and random parameters of a small model."""
  small = configs.small()
  small.data.train_instances = 1
  workdir = workdirs.get(small, "prepare")
  store = store_lib.open_store(next((workdir / "stores").glob("[!.]*")))
  config = config_lib.check(small)
  model = model_lib.Model.from_config(config.model)
  params = jax.jit(model.init)(jax.random.key(0))
  params = jax.tree.map(lambda leaf: 3 * leaf, params)
  mesh = mesh_lib.make(config.machine.mesh)
  return store, by_model.Loaded(model, params, {}, mesh, "drawn")


@functools.cache
def _compiled(model, layer):
  return jax.jit(functools.partial(depth.hidden_states, model, layer=layer))


def _states(loaded, tokens, layer=-1):
  """Returns the hidden states of one example, float64 [T, D]."""
  length = len(tokens)
  row = np.zeros((1, LONGEST), np.int32)
  row[0, :length] = tokens
  positions = np.arange(LONGEST)[None] % length
  segments = (np.arange(LONGEST) < length).astype(np.int32)[None]
  compute = _compiled(loaded.model, layer)
  states = compute(loaded.trained, row, positions, segments)
  return np.asarray(states[0, :length], np.float64)


def test_vectors_are_position_weighted_means(setup):
  store, loaded = setup
  ids = np.array([3, 50, 7, 0])
  for text in ("prompt+answer", "prompt"):
    vectors = hidden.compute(loaded, store, ids, text)
    for vector, example in zip(vectors, ids, strict=True):
      row = store.row(example)
      end = len(row.tokens) if text != "prompt" else row.mask.argmax()
      weights = np.arange(1, end + 1)
      states = _states(loaded, row.tokens[:end])
      closeness.assert_close(vector, weights @ states / weights.sum())


def test_some_rows_are_embedded_without_an_artifact(setup, tmp_path):
  store, loaded = setup
  models = by_model.NO_MODELS._replace(
      shapes=lambda _: (loaded.model.arch, None), load=lambda *_: loaded
  )
  order = config_lib.build(config_lib.Order, embedder="hidden")
  ids = np.array([3, 50, 7, 0])
  rows = embeddings.compute(store, order, ids, models, tmp_path)
  assert len(rows) == store.examples
  expected = hidden.compute(loaded, store, ids)
  expected /= np.linalg.norm(expected, axis=1, keepdims=True)
  np.testing.assert_array_equal(rows.take(ids).block(0, 4), grid.snap(expected))
  with pytest.raises(IndexError):
    rows.take(np.array([1])).block(0, 1)


@pytest.mark.slow
def test_a_layer_is_the_output_of_so_many_blocks(setup):
  _, loaded = setup
  tokens = np.arange(5)
  embedding = np.asarray(loaded.trained["embedding"])[tokens]
  np.testing.assert_array_equal(_states(loaded, tokens, 0), embedding)
  arch = loaded.model.arch
  params = {
      **loaded.trained,
      "blocks": jax.tree.map(lambda leaf: leaf[:1], loaded.trained["blocks"]),
  }
  alone = dataclasses.replace(
      loaded.model, arch=dataclasses.replace(arch, layers=1)
  )
  expected = _states(loaded._replace(model=alone, trained=params), tokens, 1)
  np.testing.assert_array_equal(_states(loaded, tokens, 1), expected)
  # The last block, before the norm and after it.
  last, normed = (_states(loaded, tokens, layer) for layer in (2, -1))
  scale = np.asarray(loaded.trained["final_norm"]["scale"], np.float64)
  rms = np.sqrt((last**2).mean(-1, keepdims=True) + arch.norm_eps)
  closeness.assert_close(normed, last / rms * scale)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [4, 5])
def test_layers_of_a_pattern(layers):
  arch = dataclasses.replace(
      config_lib.Model(),
      layers=layers,
      width=16,
      heads=1,
      kv_heads=1,
      head_width=16,
      mlp_width=16,
      pattern=("local", "global"),
      window=3,
  )
  model = model_lib.Model.from_config(arch)
  params = model.init(jax.random.key(1))
  row = jnp.arange(8)[None]
  for layer in range(layers + 1):
    smaller = dataclasses.replace(arch, layers=layer)
    cut = depth.truncate(params, arch, layer)
    if layer:
      shapes = jax.eval_shape(model_lib.Model(smaller).init, jax.random.key(0))
      assert jax.tree.map(jnp.shape, cut) == jax.tree.map(jnp.shape, shapes)
    states = depth.hidden_states(
        model, params, row, row, jnp.ones_like(row), layer
    )
    if layer == layers:
      final = depth.hidden_states(model, params, row, row, jnp.ones_like(row))
      norm = np.sqrt((np.asarray(states) ** 2).mean(-1, keepdims=True) + 1e-6)
      closeness.assert_close(np.asarray(final), np.asarray(states) / norm)


def test_a_kill_loses_little_and_changes_nothing(setup, tmp_path, monkeypatch):
  store, loaded = setup
  ids = np.arange(store.examples)
  monkeypatch.setattr(hidden, "_TOKENS", 512)
  expected = hidden.compute(loaded, store, ids)
  embedding.interrupt(
      lambda: hidden.compute(loaded, store, ids, partial=tmp_path),
      monkeypatch,
  )
  assert len(list(tmp_path.iterdir())) > 1
  lines = []
  actual = hidden.compute(
      loaded, store, ids, partial=tmp_path, log=lines.append
  )
  assert "continues after" in lines[0]
  np.testing.assert_array_equal(actual, expected)


@pytest.mark.slow
def test_an_order_by_the_start(config, tmp_path, capsys):
  order = order_lib.Order.load(zsgen.run(config, tmp_path, ["order"]).order)
  recipe = order.manifest["made_by"]["embedder"]
  assert recipe["name"] == "hidden"
  (model,) = recipe["parameters"]["models"]
  assert model["weights"] == "new"
  (artifact,) = (tmp_path / "embeddings").glob("[!.]*")
  vectors = np.load(artifact / "vectors.npy")
  assert vectors.shape[1] == 32
  closeness.assert_close(np.linalg.norm(vectors, axis=1), np.ones(len(vectors)))
  assert any(str(artifact) in line for line in verify.verify(tmp_path))
  assert "states of new parameters" in capsys.readouterr().err
  # Other options make other vectors.
  config.order.feature_dtype = "bfloat16"
  zsgen.run(config, tmp_path, ["order"])
  (other,) = {*(tmp_path / "embeddings").glob("[!.]*")} - {artifact}
  rounded = np.load(other / "vectors.npy")
  assert 0 < closeness.relative_error(rounded, vectors) < 0.03


@pytest.mark.slow
def test_an_order_by_a_checkpoint(config, workdirs, tmp_path, monkeypatch):
  monkeypatch.setattr(row_batches, "_STEP", 256)  # One program.
  (run,) = (workdirs.get(configs.small(), "train") / "runs").iterdir()
  config.order.checkpoint = f"{run}@5"
  order = order_lib.Order.load(zsgen.run(config, tmp_path, ["order"]).order)
  (model,) = order.manifest["made_by"]["embedder"]["parameters"]["models"]
  assert model["step"] == 5
  (artifact,) = (tmp_path / "embeddings").glob("[!.]*")
  # The checkpoint as the start of a run gives the same vectors.
  config.order.checkpoint = ""
  config.model = {"init": f"run:{run}@5"}
  zsgen.run(config, tmp_path, ["order"])
  (other,) = {*(tmp_path / "embeddings").glob("[!.]*")} - {artifact}
  np.testing.assert_array_equal(
      np.load(artifact / "vectors.npy"), np.load(other / "vectors.npy")
  )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(hidden_layer=3), "hidden_layer is 3, but the model has 2 blocks"),
        (dict(checkpoint="run"), "checkpoint is 'run'; it must be a run's"),
        (dict(checkpoint="nowhere@5"), "there is no directory nowhere"),
    ],
)
def test_bad_options_are_errors_before_any_work(
    config, tmp_path, options, message
):
  config.order.update(options)
  refusals.assert_refused(config, tmp_path, "order", message)


@pytest.mark.slow
def test_a_step_that_is_gone_lists_those_that_are_there(
    config, workdirs, tmp_path
):
  (run,) = (workdirs.get(configs.small(), "train") / "runs").iterdir()
  config.order.checkpoint = f"{run}@7"
  message = "has no checkpoint of step 7.*those of steps 5, 10"
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(config, tmp_path, ["order"])


def test_without_a_model_it_is_an_error(setup, tmp_path):
  store, _ = setup
  order = config_lib.build(config_lib.Order, embedder="hidden")
  with pytest.raises(errors.InputError, match="needs the model of a config"):
    embeddings.obtain(tmp_path, store, order)


def test_vectors_that_are_not_finite_are_an_error(setup, tmp_path):
  _, loaded = setup
  vectors = np.array([[1.0, 2.0], [np.nan, 1.0]], np.float32)
  with pytest.raises(
      errors.InputError, match=r"1 of 2 examples.*example 9.*dr"
  ):
    by_model.check_finite(vectors, np.array([8, 9]), loaded, tmp_path)
  assert not tmp_path.exists()


@pytest.mark.slow
def test_a_mesh_agrees(config, tmp_path):
  one, mesh = embedding.embed_on_two_meshes(config, tmp_path)
  closeness.assert_close(mesh, one)
