"""Examples whose answer does not fit: left out, or kept with weight 0."""

import json

import numpy as np
import pytest

from tests.helpers import configs
from zsgen import pipeline
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import prepare
from zsgen.data import store as store_lib
from zsgen.evals import subsets
from zsgen.pipeline import checks

# "Input: …\nOutput:" of a short and of a long request, and the limit.
_SHORT, _LONG, _LIMIT = "1", "2" * 60, 40
_ROWS = [
    *(("a", _SHORT, str(i)) for i in range(3)),
    *(("b", _LONG, str(i)) for i in range(8)),
    *(("h", _SHORT, "yes"), ("h", _LONG, "no"), ("h", "3", "a" * 60)),
]


@pytest.fixture
def data(tmp_path):
  path = tmp_path / "rows.jsonl"
  with path.open("w") as lines:
    for task, request, answer in _ROWS:
      row = {"task": task, "input": request, "target": answer}
      print(json.dumps(row), file=lines)
  return dict(
      source="table",
      path=str(path),
      max_length=_LIMIT,
      heldout={"heldout": {"tasks": ("h",)}},
  )


def _store(data, path, **options):
  section = config_lib.check({"data": {**data, **options}}).data
  return prepare.prepare(path / "stores", section, 0)


def test_unanswered_examples_are_kept_and_counted(data, tmp_path):
  plain = _store(data, tmp_path)
  assert plain.tasks == ["a", "h"]
  assert plain.manifest["dropped_by_task"] == {"b": 8, "h": 1}
  store = _store(data, tmp_path, unanswered="keep")
  assert store.path != plain.path
  assert store.tasks == ["a", "b", "h"]
  assert store.manifest["dropped_by_task"] == {}
  counts = store.manifest["counts"]
  assert counts["train"]["examples"] == 11
  assert counts["train"]["unanswered"] == 8
  assert counts["heldout"]["unanswered"] == 1
  lost = store.loss_lengths == 0
  assert lost.sum() == 9 and (store.lengths[lost] == _LIMIT).all()
  row = store.row(int(np.flatnonzero(lost)[0]))
  assert len(row.tokens) == _LIMIT and not row.mask.any()
  # Their texts are whole: they are compared like all others.
  assert store.compared_texts(np.flatnonzero(lost))[0].endswith(
      tuple("01234567")
  )


def test_held_out_examples_have_a_length_of_their_own(data, tmp_path):
  store = _store(data, tmp_path, max_length=200, heldout_max_length=_LIMIT)
  heldout = store.split_ids("heldout")
  assert store.lengths[heldout].max() == _LIMIT
  assert store.lengths[store.split_ids("train")].max() > _LIMIT
  assert store.manifest["counts"]["train"]["cut"] == 0
  plain = _store(data, tmp_path, max_length=200)
  assert plain.path != store.path
  assert plain.lengths[plain.split_ids("heldout")].max() > _LIMIT
  with pytest.raises(errors.InputError, match="heldout_max_length is 1"):
    config_lib.check({"data": {"heldout_max_length": 1}})


def _ids(store, **options):
  spec = config_lib.build(config_lib.Eval, **options)
  return len(subsets.select(spec, store, options.pop("cut", ""))[0])


def test_evaluations_skip_unanswered_examples_or_count_them_as_0(
    data, tmp_path
):
  store = _store(data, tmp_path, unanswered="keep")
  assert _ids(store) == 2
  assert _ids(store, unanswered="zero") == 3
  zero = {"heldout": {"unanswered": "zero"}}
  with pytest.raises(errors.InputError, match="are dropped: set"):
    config_lib.check({"evals": zero})


def test_only_losses_count_unanswered_examples():
  config = config_lib.check(
      {
          "data": {"unanswered": "keep"},
          "evals": {"heldout": {"type": "exact", "unanswered": "zero"}},
      }
  )
  with pytest.raises(errors.InputError, match="type 'exact' cannot"):
    checks.check_config(config)


def test_a_run_trains_on_unanswered_examples_with_weight_0(data, tmp_path):
  """Checks a run of which two steps have no loss token at all."""
  config = configs.small()
  config.data.source = "table"
  config.data.update(**data, unanswered="keep", train_instances=20)
  config.data.heldout_instances = 5
  config.order.update(arrangement="cluster", as_released=True, budget=-1)
  config.evals.heldout.unanswered = "zero"
  result = pipeline.run(config, tmp_path / "work", ["order", "train"])
  consumed = np.load(result.run / "consumed.npy")
  order = np.load(result.order / "ids.npy")
  assert consumed.ravel()[: len(order)].tolist() == order.tolist()
  assert len(order) == 11
  lines = (result.run / "metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  tokens = [row["train/loss_tokens"] for row in rows if "train/loss" in row]
  assert tokens == [3 * 3, 0, 0]
  assert [row["train/loss"] for row in rows if "train/loss" in row][1:] == [
      *(0.0, 0.0)
  ]
  losses = np.load(result.run / "evals/heldout/loss.npy")
  assert losses.shape[1] == 3
  assert ((losses == 0).sum(axis=1) == 1).all()
  means = [row["heldout/loss"] for row in rows if "heldout/loss" in row]
  assert means == pytest.approx(losses.mean(axis=1))


def test_views_have_no_targets_for_unanswered_examples(data, tmp_path):
  pytest.importorskip("seqio")
  from zsgen.data import views

  store = _store(data, tmp_path, unanswered="keep")
  views.register_suite(store_lib.open_store(store.path))
  import seqio

  task = seqio.get_mixture_or_task("zsgen:table:b")
  rows = list(task.get_dataset(split="train", shuffle=False))
  assert len(rows) == 8
  assert all(len(row["inputs"]) == _LIMIT for row in rows)
  assert all(len(row["targets"]) <= 1 for row in rows)
