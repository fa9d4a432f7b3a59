"""The Order artifact: what it holds, and what it refuses."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from zsgen.core import artifacts, config, errors
from zsgen.orders import order as order_lib


def _make(workdir, store, seed=0, **options):
  return order_lib.make(
      workdir,
      store,
      config.build(config.Order, **{"budget": 8, **options}),
      seed,
  )


def test_holds_ids_rounds_and_statistics(store, workdir):
  order = _make(workdir, store)
  assert order.path.name.startswith("tmt-nearest-rounds-")
  assert len(order) == len(set(order.ids.tolist())) == 8
  assert order.ids.dtype == np.int64
  assert set(order.ids) <= set(store.split_ids("train"))
  columns = "position id epoch task round distance similarity".split()
  assert order.table.column_names == columns
  tasks = [store.tasks[i] for i in store.task_index[order.ids]]
  assert order.table["task"].to_pylist() == tasks
  assert order.rounds.min() == 1
  # The picker need not be the nearest of all held-out examples.
  assert (order.distances >= 1 - order.similarity).all()
  counted = order.statistics(store)
  assert counted == order.manifest["statistics"]
  assert counted["examples"] == 8
  assert counted["tasks"] == len(set(tasks))
  assert counted["rounds"] == order.rounds.max()
  assert counted["loss_tokens"] == store.loss_lengths[order.ids].sum()
  assert order.statistics(store, 3)["examples"] == 3


def test_fingerprint_is_that_of_ids_and_store(store, workdir):
  order = _make(workdir, store)
  content = order.ids.astype("<i8").tobytes() + store.fingerprint.encode()
  assert order.fingerprint == hashlib.sha256(content).hexdigest()


def test_an_order_is_written_once(store, workdir):
  first = _make(workdir, store)
  written = (first.path / "manifest.json").stat().st_mtime_ns
  second = _make(workdir, store)
  assert (second.path / "manifest.json").stat().st_mtime_ns == written
  assert second.ids.tolist() == first.ids.tolist()


def test_the_name_depends_on_relevant_options_only(store, workdir):
  def name(**options):
    return _make(workdir, store, **options).path.name

  name(arrangement="random")
  for unread in (dict(encoder="/some/where"), dict(pick="farthest")):
    with pytest.raises(errors.InputError, match="is not an option"):
      name(arrangement="random", **unread)  # The order is there all the same.
  distinct = [
      name(),
      name(pick="farthest"),
      name(sequence="shuffled"),
      name(target="far"),
      name(text="prompt"),
      name(budget=7),
      name(seed=1),
      name(arrangement="random"),
      name(arrangement="random", embedder=""),
  ]
  assert len(set(distinct)) == len(distinct)


def test_without_an_embedder_the_target_is_unused(store, workdir):
  order = _make(workdir, store, arrangement="cluster", embedder="")
  assert np.isnan(order.similarity).all()
  assert order.manifest["statistics"]["mean_similarity"] is None
  assert order.manifest["statistics"]["rounds"] == 0
  assert order.manifest["made_by"]["target"] is None
  assert not (workdir / "embeddings").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(arrangement="tnt"), 'mean "tmt"'),
        (dict(embedder="ngrams"), 'mean "ngram"'),
        (dict(embedder=""), "embedder is ''"),
        (dict(target="held-out"), 'mean "heldout"'),
        (dict(target="train"), "must be a held-out set"),
        (dict(budget=22), "is 22, but the pool has 21"),
        (dict(budget=0), "budget is 0"),
        (
            dict(arrangement="random", pick="farthest"),
            "order.pick is not an option",
        ),
    ],
)
def test_bad_options_leave_nothing_behind(store, workdir, options, message):
  with pytest.raises(errors.InputError, match=message):
    _make(workdir, store, **options)
  assert not (workdir / "orders").exists()


def test_another_store_is_an_error(make_store, workdir):
  order = _make(workdir, make_store(0))
  with pytest.raises(errors.InputError, match="made for another store"):
    order_lib.Order.load(order.path, make_store(1))


def _forge(order, store, ids):
  """Writes other ids, with a fingerprint and a table that fit."""
  ids = np.array(ids)
  table = order.table.slice(0, len(ids)).set_column(1, "id", [ids])
  pq.write_table(table, order.path / "order.parquet")
  np.save(order.path / "ids.npy", ids)
  manifest = {
      **order.manifest,
      "fingerprint": order_lib.fingerprint(ids, store.fingerprint),
  }
  del manifest["digest"], manifest["files"]
  artifacts.write_manifest(order.path, manifest)


def test_a_repeated_id_in_an_epoch_is_an_error(store, workdir):
  order = _make(workdir, store)
  _forge(order, store, [3, 1, 3])
  with pytest.raises(errors.InputError, match="id 3 occurs twice"):
    order_lib.Order.load(order.path)


@pytest.mark.parametrize("wrong", [-1, 21, 10**6])
def test_ids_outside_the_training_set_are_errors(store, workdir, wrong):
  order = _make(workdir, store)
  _forge(order, store, [3, wrong])
  with pytest.raises(errors.InputError, match=f"position 1 is {wrong}"):
    order_lib.Order.load(order.path, store)


@pytest.mark.parametrize("name", ["ids.npy", "order.parquet", "manifest.json"])
def test_damage_is_an_error(store, workdir, name):
  order = _make(workdir, store)
  file = order.path / name
  file.write_bytes(file.read_bytes()[:-9])
  with pytest.raises(errors.InputError, match="damaged"):
    order_lib.Order.load(order.path)
  file.unlink()
  with pytest.raises(errors.InputError, match="damaged"):
    order_lib.Order.load(order.path)


def test_a_manifest_that_does_not_match_names_the_field(store, workdir):
  order = _make(workdir, store)
  recipe = {**order.manifest["made_by"], "seed": 5}
  manifest = {**order.manifest, "made_by": recipe}
  del manifest["digest"]
  artifacts.write_manifest(order.path, manifest)
  with pytest.raises(errors.InputError, match=r"made_by\.seed is 5"):
    _make(workdir, store)
