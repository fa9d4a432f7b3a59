"""Every arrangement, made from a config on the embedded suite."""

import numpy as np
import pytest

import zsgen
from zsgen.core import config as config_lib
from zsgen.core import registry
from zsgen.orders import measures
from zsgen.orders import order as order_lib

NEAREST = dict(arrangement="similarity", measure="cosine_min")
ORDERS = {
    "random": dict(arrangement="random", budget=400),
    "round_robin": dict(arrangement="round_robin", per_task=5),
    "cluster": dict(arrangement="cluster", budget=400),
    "cluster_category": dict(arrangement="cluster", by="category", budget=400),
    "cluster_kmeans": dict(
        arrangement="cluster", by="kmeans", clusters=7, budget=400
    ),
    **{
        f"similarity_{measure}": dict(
            arrangement="similarity", measure=measure, budget=400
        )
        for measure in measures.MEASURES
    },
    "similarity_task": dict(
        arrangement="similarity", granularity="task", budget=400
    ),
    "specialist": dict(
        arrangement="similarity",
        measure="cosine_min",
        target_task="",
        budget=400,
    ),
    "tmt": dict(arrangement="tmt", budget=400),
    "tmt_slice": dict(arrangement="tmt", rounds=(1, 3), in_round="shuffled"),
    "tmt_prompt": dict(arrangement="tmt", text="prompt", budget=400),
    **{
        f"released_{setting}": dict(
            arrangement="released", setting=setting, budget=400
        )
        for setting in ("NFT", "FFT", "RT", "MIN", "MAX")
    },
    "scored": dict(arrangement="scored", sequence="saw", window=8, budget=400),
    "transport": dict(arrangement="transport", budget=300),
    "concatenate": dict(
        arrangement="concatenate",
        parts=(
            dict(arrangement="tmt", rounds=(0, 3)),
            dict(arrangement="random"),
        ),
        budget=400,
    ),
    "interleave": dict(
        arrangement="interleave",
        parts=(NEAREST, NEAREST | dict(pick="farthest")),
        budget=400,
    ),
    "reverse": dict(arrangement="reverse", parts=(NEAREST,)),
    "take": dict(arrangement="take", stop=400, parts=(NEAREST,)),
    "repeat": dict(
        arrangement="repeat",
        epochs=2,
        parts=(dict(arrangement="random", budget=200),),
    ),
    "by_task": dict(
        arrangement="by_task",
        parts=(dict(arrangement="take", stop=4, parts=(NEAREST,)),),
    ),
    "within": dict(
        arrangement="within",
        parts=(
            dict(arrangement="tmt", budget=400),
            dict(arrangement="random"),
        ),
    ),
    "matched": dict(
        arrangement="matched", parts=(dict(arrangement="tmt", budget=400),)
    ),
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  return tmp_path_factory.mktemp("arrangements")


def _make(workdir, order):
  config = config_lib.defaults()
  config.data.train_instances = 30
  for name, value in order.items():
    config.order[name] = value
  result = zsgen.run(config, workdir, ["order"])
  return order_lib.Order.load(result.order)


def test_every_arrangement_is_tested():
  names = {order["arrangement"] for order in ORDERS.values()}
  assert names | {"file"} == set(registry.names("arrangement"))


@pytest.mark.parametrize("name", ORDERS)
def test_every_arrangement_is_built_from_a_config(workdir, name):
  order = dict(ORDERS[name])
  if name == "specialist":
    order["target_task"] = _heldout_task(workdir)
  actual = _make(workdir, order)
  if "budget" in order and order["arrangement"] != "released":
    assert len(actual) == order["budget"]
  assert actual.manifest["made_by"]["arrangement"] == order["arrangement"]
  assert np.isfinite(actual.similarity).all()
  repeated = _make(workdir, order)
  assert repeated.path == actual.path


def _heldout_task(workdir):
  """The first held-out task of the suite."""
  order = _make(workdir, ORDERS["random"])
  store = zsgen.data.store.open_store(order.store_path)
  return store.tasks[store.split_tasks("heldout")[0]]


def test_a_specialist_reads_one_task(workdir):
  task = _heldout_task(workdir)
  options = dict(arrangement="tmt", budget=60)
  specialist = _make(workdir, options | dict(target_task=task))
  assert specialist.ids.tolist() != _make(workdir, options).ids.tolist()
  assert specialist.manifest["made_by"]["target_task"] == task
  with pytest.raises(zsgen.core.errors.InputError, match="target_task"):
    _make(workdir, options | dict(target_task=task + "x"))
