"""Every arrangement works on vectors of a model, as on those of texts."""

import shutil

import numpy as np
import pytest

import zsgen
from zsgen.data import store as store_lib
from zsgen.orders import grid, trace
from zsgen.orders import order as order_lib

ARRANGEMENTS = (
    dict(arrangement="tmt", pick="farthest", cosine="exact"),
    dict(arrangement="similarity", measure="cosine_min"),
    dict(arrangement="similarity", measure="euclid_avg", granularity="task"),
    dict(arrangement="scored", score="cosine_max", sequence="saw"),
    dict(arrangement="cluster", by="kmeans", clusters=3),
    dict(arrangement="released", setting="MIN"),
    dict(arrangement="transport"),
    dict(
        arrangement="concatenate",
        parts=[dict(arrangement="tmt"), dict(arrangement="random")],
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "embedder",
    [dict(embedder="hidden"), dict(embedder="gradient", gradient_dim=64)],
)
def test_every_arrangement_reads_vectors_of_a_model(small, tmp_path, embedder):
  small.data.train_instances = 1
  for options in ARRANGEMENTS:
    small.order = {**options, **embedder}
    path = zsgen.run(small, tmp_path, ["order"]).order
    order = order_lib.Order.load(path)
    assert len(np.unique(order.ids)) == len(order) == 51
    assert np.isfinite(order.similarity).all()
  # All of them read one artifact, and a trace finds it.
  assert len(list(tmp_path.glob("embeddings/[!.]*"))) == 1
  store = store_lib.open_store(order.store_path)
  measured = trace.make(order, store, batch_size=4, every=4)
  assert measured.description["embedder"] == embedder["embedder"]
  # Without them, a run makes them again by its model.
  shutil.rmtree(tmp_path / "embeddings")
  measured.path.unlink()
  small.order.trace_every = 4
  zsgen.run(small, tmp_path, ["order"])
  assert trace.find(order, "heldout").table == measured.table


@pytest.mark.slow
def test_tmt_picks_by_exact_products(small, tmp_path):
  small.data.train_instances = 1
  small.order = dict(arrangement="tmt", budget=-1, embedder="hidden")
  order = order_lib.Order.load(zsgen.run(small, tmp_path, ["order"]).order)
  store = store_lib.open_store(order.store_path)
  (file,) = tmp_path.glob("embeddings/[!.]*/vectors.npy")
  vectors = grid.snap(np.load(file)).astype(np.float64)
  heldout = store.split_ids("heldout")
  similarities = vectors @ vectors[heldout].T
  np.testing.assert_array_equal(
      order.similarity, similarities[order.ids].max(axis=1)
  )
  # In the first round, every held-out example picks its nearest row.
  nearest = similarities[store.split_ids("train")].argmax(axis=0)
  assert set(order.ids[order.rounds == 1]) == set(nearest)
