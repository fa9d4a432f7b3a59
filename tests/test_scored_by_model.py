"""Orders by losses of the parameters that a run starts from."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.helpers import closeness, xla
import zsgen
from zsgen import verify
from zsgen.core import artifacts, errors
from zsgen.core import config as config_lib
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.evals import answer_stores, api, example_losses, packed
from zsgen.evals import loss as loss_lib
from zsgen.models import model as model_lib
from zsgen.orders import model_scores
from zsgen.orders import order as order_lib
from zsgen.orders.embedders import progress
from zsgen.train import batches, layouts


@pytest.fixture
def scored(small):
  """Returns a config whose order is sorted by loss; it has 51 examples."""
  small.data.train_instances = 1
  small.order = dict(
      arrangement="scored", score="loss", sequence="descending", embedder=""
  )
  return small


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
  """Returns a context, parameters, and the ids of some training examples."""
  from tests.helpers import configs

  small = configs.small()
  small.data.train_instances = 1
  path = zsgen.run(small, tmp_path_factory.mktemp("w"), ["prepare"]).store
  config = config_lib.check(small)
  model = model_lib.Model.from_config(config.model)
  params = jax.jit(model.init)(jax.random.key(0))
  params = jax.tree.map(lambda leaf: 3 * leaf, params)
  mesh = mesh_lib.make(config.machine.mesh)
  context = api.Context(store_lib.open_store(path), model, mesh, 4)
  return context, params, np.arange(40)


def _separate(row: store_lib.TokenRow, model, params) -> float:
  """Returns the mean loss of a row of tokens that is alone in its batch."""
  examples = batches.Examples(np.zeros(1, np.int64), [row])
  batch = layouts.lay_out(examples, layouts.Shape(1, 192, 192), layouts.Split())
  nll = np.asarray(jax.jit(model.token_nll)(params, batch), np.float64)
  return nll.sum() / row.mask.sum()


def test_losses_are_those_of_the_evaluator(parts, tmp_path):
  context, params, ids = parts
  actual = example_losses.compute(params, ids, context, tmp_path)
  whole = packed.Packed(ids, loss_lib.example_losses, context, share=False)
  np.testing.assert_array_equal(actual, whole(params))
  expected = [
      _separate(context.store.row(i), context.model, params) for i in ids[:3]
  ]
  closeness.assert_close(actual[:3], np.array(expected))


@pytest.mark.parametrize("begin", [None, 257])
def test_views_count_the_same_answer_tokens(parts, begin, tmp_path):
  context, params, ids = parts
  store = context.store
  views = [
      kind(store, begin)
      for kind in (answer_stores.AnswerStore, answer_stores.PromptlessStore)
  ]
  for view in views:
    row = view.row(3)
    assert len(row.tokens) == view.lengths[3]
    assert row.mask.sum() == view.loss_lengths[3]
  answer = store.row(3).tokens[store.row(3).mask.astype(bool)].tolist()
  begins = [] if begin is None else [begin]
  assert views[1].row(3).tokens.tolist() == [*begins, *answer]
  counted = [
      row.tokens[row.mask.astype(bool)] for row in (v.row(3) for v in views)
  ]
  assert counted[0].tolist() == counted[1].tolist()
  assert len(counted[0]) == len(answer) - (begin is None)
  for number, view in enumerate(views):
    losses = example_losses.compute(
        params, ids, context._replace(store=view), tmp_path / str(number)
    )
    expected = [_separate(view.row(i), context.model, params) for i in ids[:2]]
    closeness.assert_close(losses[:2], np.array(expected))


def test_a_kill_loses_little_and_changes_nothing(parts, tmp_path, monkeypatch):
  context, params, ids = parts
  expected = example_losses.compute(params, ids, context, tmp_path / "whole")
  monkeypatch.setattr(progress, "_SECONDS", 0.0)
  computed = []
  lay_out = layouts.lay_out

  def counted(*arguments):
    if len(computed) == 4:
      raise KeyboardInterrupt
    computed.append(arguments)
    return lay_out(*arguments)

  monkeypatch.setattr(layouts, "lay_out", counted)
  with pytest.raises(KeyboardInterrupt):
    example_losses.compute(params, ids, context, tmp_path / "killed")
  parts_of = sorted((tmp_path / "killed").iterdir())
  # The fourth batch was on the devices. The third part is damaged.
  assert len(parts_of) == 3
  content = bytearray(parts_of[2].read_bytes())
  content[-1] ^= 1
  parts_of[2].write_bytes(content)
  lines = []
  monkeypatch.setattr(layouts, "lay_out", lay_out)
  actual = example_losses.compute(
      params, ids, context, tmp_path / "killed", lines.append
  )
  assert lines == ["scores   continues after 2 batches"]
  np.testing.assert_array_equal(actual, expected)


def test_an_order_by_loss(scored, tmp_path, monkeypatch, capsys):
  path = zsgen.run(scored, tmp_path, ["order"]).order
  order = order_lib.Order.load(path)
  assert path.name.startswith("scored-loss-descending-")
  assert len(order) == 51
  (artifact,) = (tmp_path / "scores").iterdir()
  values = np.load(artifact / model_scores.VALUES)
  assert values.dtype == np.float32
  expected = sorted(range(51), key=lambda i: (-values[i], i))
  assert order.ids.tolist() == expected
  np.testing.assert_array_equal(order.distances, values[expected])
  assert order.manifest["made_by"]["scores"]["score"] == "loss"
  capsys.readouterr()
  # It is an artifact: other sequences read it.
  monkeypatch.setattr(example_losses, "compute", None)
  scored.order.sequence = "saw"
  zsgen.run(scored, tmp_path, ["order"])
  assert f"scores   {artifact}" in capsys.readouterr().err
  assert f"scores {artifact}: 1 files verified" in verify.verify(tmp_path)
  content = bytearray((artifact / model_scores.VALUES).read_bytes())
  content[-1] ^= 1
  (artifact / model_scores.VALUES).write_bytes(content)
  scored.order.sequence = "fold"
  with pytest.raises(
      errors.InputError, match=r"values.npy: is damaged.*delete"
  ):
    zsgen.run(scored, tmp_path, ["order"])


def test_other_parameters_give_other_scores(scored, tmp_path):
  names = set()
  for seed in (0, 1):
    scored.train.seed = seed
    path = zsgen.run(scored, tmp_path, ["order"]).order
    names.add(
        json.loads((path / artifacts.MANIFEST).read_text())["fingerprint"]
    )
  assert len(names) == len(list((tmp_path / "scores").iterdir())) == 2


def test_an_order_by_ifd(scored, tmp_path):
  scored.order.update(score="ifd", budget=8)
  order = order_lib.Order.load(zsgen.run(scored, tmp_path, ["order"]).order)
  assert len(order) == 8
  assert (order.distances > 0).all()
  assert (np.diff(order.distances) <= 0).all()
  assert not [p for p in (tmp_path / "scores").iterdir() if p.name[0] == "."]


def test_no_model_is_an_error(parts, tmp_path):
  context, _, _ = parts
  order = config_lib.build(config_lib.Order, arrangement="scored", score="loss")
  with pytest.raises(errors.InputError, match="needs the model of a config"):
    order_lib.make(tmp_path, context.store, order, 0)


@pytest.mark.parametrize("change", ["loss", "length"])
def test_bad_models_and_data_leave_nothing_behind(
    scored, tmp_path, change, monkeypatch
):
  if change == "loss":
    losses = np.full(51, np.nan, np.float32)
    monkeypatch.setattr(example_losses, "compute", lambda *_: losses)
    message = "51 of 51 training examples is not finite.*Nothing was trained"
  else:
    scored.model.max_positions = 32
    message = "max_positions is 32"
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(scored, tmp_path, ["order"])
  assert not (tmp_path / "orders").exists()
  assert not list(tmp_path.glob("scores/[!.]*"))


@pytest.mark.slow
def test_a_mesh_agrees(scored, tmp_path):
  zsgen.run(scored, tmp_path, ["order"])
  (artifact,) = (tmp_path / "scores").iterdir()
  expected = np.load(artifact / model_scores.VALUES)
  shutil.rmtree(artifact)
  shutil.rmtree(tmp_path / "orders")
  scored.machine.mesh.update(data=2, fsdp=2)
  code = (
      "import json, sys, zsgen\n"
      "zsgen.run(json.loads(sys.argv[1]), sys.argv[2], ['order'])\n"
      "assert 'tensorflow' not in sys.modules\n"
  )
  subprocess.run(
      [sys.executable, "-c", code, scored.to_json(), str(tmp_path)],
      env=xla.environment(xla.devices(4)),
      check=True,
  )
  actual = np.load(artifact / model_scores.VALUES)
  closeness.assert_close(actual, expected)
