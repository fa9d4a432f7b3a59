"""The released code's orders, id by id, on Flan-mini and its key list.

Rows, tasks and splits come straight from the published files; only vectors are
the project's own. (2406.11721, spec section 7.)
"""

import collections
import json
import random

import numpy as np
import pytest

from tests.helpers import released_code
from zsgen.core import config
from zsgen.data import prepare
from zsgen.orders import cosines, embeddings, similarity
from zsgen.orders import order as order_lib

# Long enough for every row.
UNLIMITED = 1 << 20


@pytest.fixture(scope="module")
def rows(flan_mini):
  """Returns the ids of each task in file order, and the two key lists."""
  by_task = collections.defaultdict(list)
  for row in json.loads((flan_mini / "flan_mini.json").read_text("utf-8")):
    by_task[row["source"]].append(row["id"])
  lists = json.loads((flan_mini / "train_eval_key_list.json").read_text())
  return by_task, lists["train_key_list"], lists["eval_key_list"]


def _store(path, workdir, draw, train_instances, **options):
  data = config.build(
      config.Data,
      source="flan_mini",
      path=str(path),
      draw=draw,
      train_instances=train_instances,
      **{"max_length": UNLIMITED, **options},
  )
  return prepare.prepare(workdir / "stores", data, 0)


def _keys(workdir, store, **options):
  order = order_lib.make(
      workdir, store, config.build(config.Order, **options), 0
  )
  return store.keys(order.ids)


@pytest.mark.slow
def test_e2_three_orders_of_the_first_twenty_rows(flan_mini, rows, tmp_path):
  by_task, train, _ = rows
  pool = {task: by_task[task] for task in train if task in by_task}
  store = _store(flan_mini, tmp_path, "first_shuffle", 20)
  restated = {
      "cluster": released_code.cluster,
      "round_robin": released_code.round_robin,
      "random": released_code.random_,
  }
  for name, restate in restated.items():
    actual = _keys(
        tmp_path, store, arrangement=name, as_released=True, embedder=""
    )
    assert actual == restate(pool), name
    assert len(actual) == 27_340


@pytest.mark.slow
def test_examples_without_answer_are_ordered_like_all_others(
    flan_mini, rows, tmp_path
):
  by_task, train, _ = rows
  pool = {task: by_task[task] for task in train if task in by_task}
  cut = dict(max_length=1024, template="chat", unanswered="keep")
  store = _store(flan_mini, tmp_path, "first_shuffle", 20, **cut)
  options = dict(arrangement="random", as_released=True, embedder="")
  assert _keys(tmp_path, store, **options) == released_code.random_(pool)
  assert store.manifest["counts"]["train"]["unanswered"] > 1000


@pytest.mark.slow
def test_the_template_changes_no_order(flan_mini, tmp_path):
  orders = []
  for template in ("plain", "chat"):
    data = config.build(
        config.Data,
        source="flan_mini",
        path=str(flan_mini),
        template=template,
        draw="first_sample",
        train_instances=8,
        max_length=UNLIMITED,
    )
    store = prepare.prepare(tmp_path / "stores", data, 0)
    options = dict(arrangement="released", budget=1200)
    orders.append(_keys(tmp_path, store, **options))
  assert orders[0] == orders[1]


@pytest.mark.slow
@pytest.mark.parametrize("cosine", ["grid", "exact"])
def test_e6_five_settings(flan_mini, rows, tmp_path, cosine):
  _assert_e6(flan_mini, rows, tmp_path, 8, 1200, cosine)


@pytest.mark.slow
def test_e6_five_settings_of_the_whole_pool(flan_mini, rows, tmp_path):
  _assert_e6(flan_mini, rows, tmp_path, rows_per_task=10**6, budget=3000)


def _assert_e6(flan_mini, rows, tmp_path, rows_per_task, budget, cosine="grid"):
  """Python's random.seed(0) samples held-out rows and shuffles RT."""
  by_task, train, heldout = rows
  store = _store(flan_mini, tmp_path, "first_sample", rows_per_task)
  pool, target = store.split_ids("train"), store.split_ids("heldout")
  ids = [id_ for task in train for id_ in by_task[task][:rows_per_task]]
  assert store.keys(pool) == ids
  random.seed(0)
  sampled = [
      random.sample(by_task[task], min(5, len(by_task[task])))
      for task in heldout
      if by_task[task]
  ]
  assert store.keys(target) == sum(sampled, [])
  vectors = embeddings.obtain(tmp_path, store, config.build(config.Order))
  blocks = cosines.blocks if cosine == "exact" else similarity.blocks
  distance = np.empty((len(pool), len(target)))
  for part, products in blocks(vectors.take(pool), vectors.take(target)):
    distance[part] = -products.T
  for setting, restate in (
      ("NFT", released_code.nft),
      ("FFT", released_code.fft),
      ("RT", released_code.rt),
      ("MIN", released_code.min_),
      ("MAX", released_code.max_),
  ):
    count = budget if setting in ("MIN", "MAX") else budget // 2
    actual = _keys(
        tmp_path,
        store,
        arrangement="released",
        setting=setting,
        budget=budget,
        cosine=cosine,
    )
    assert actual == [ids[row] for row in restate(distance, count)], setting
