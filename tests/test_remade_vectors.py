"""The rest of an order may be arranged anew by vectors of the model."""

import numpy as np
import pytest

from tests.helpers import refusals, remade_runs, restarts
import zsgen
from zsgen import verify
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.orders import embeddings, segments, sources
from zsgen.orders import order as order_lib
from zsgen.orders.embedders import row_batches
from zsgen.pipeline import checks, features
from zsgen.train import starts

HIDDEN = {"embedder": "hidden"}
GRADIENT = {"embedder": "gradient", "gradient_dim": 24}


@pytest.fixture
def remade(small):
  """Returns a config whose order is TMT by hidden states of each segment."""
  config = small.copy_and_resolve_references()
  config.name, config.data.train_instances = "remade", 1
  config.order = {
      "arrangement": "tmt",
      "budget": 38,
      "remake_every": 4,
      **HIDDEN,
  }
  config.machine.keep = 5
  return config


@pytest.mark.parametrize(
    ("order", "is_read"),
    [
        (dict(arrangement="tmt", **HIDDEN), True),
        (dict(arrangement="tmt", **GRADIENT), True),
        (dict(arrangement="cluster", by="kmeans", **HIDDEN), True),
        (dict(arrangement="similarity", measure="euclid_avg", **HIDDEN), True),
        (dict(arrangement="transport", **HIDDEN), True),
        (dict(arrangement="released", setting="MIN", **HIDDEN), True),
        (dict(arrangement="scored", score="wsd", **HIDDEN), True),
        (dict(arrangement="scored", score="loss", embedder="ngram"), True),
        (dict(arrangement="tmt", embedder="ngram"), False),
        (dict(arrangement="cluster", **HIDDEN), False),
        (dict(arrangement="similarity", measure="bigram_kl", **HIDDEN), False),
        (dict(arrangement="similarity", pick="random", **HIDDEN), False),
        (dict(arrangement="random", **HIDDEN), False),
        (dict(arrangement="tmt", checkpoint="run@5", **HIDDEN), False),
        (dict(arrangement="tmt", checkpoints=("run@5",), **GRADIENT), False),
    ],
)
def test_what_may_be_arranged_anew(small, order, is_read):
  small.order = {**order, "remake_every": 4}
  config = config_lib.check(small)
  if is_read:
    checks.check_config(config)
  else:
    with pytest.raises(errors.InputError, match="by the same values again"):
      checks.check_config(config)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (
            {"checkpoint": "nowhere@5"},
            r"those of checkpoints, which training does not change \(nowhere@5",
        ),
        ({"embedder": "ngram"}, "embedder='ngram' reads nothing of the model"),
        (
            {"arrangement": "random"},
            "'random' with .* reads nothing of the mod",
        ),
        (
            {"arrangement": "released", "setting": "NFT"},
            "may leave out some of the examples that remain",
        ),
        ({"remake_steps": (4,)}, "Set one of them"),
        ({"hidden_layer": 3}, "hidden_layer is 3, but the model has 2 blocks"),
    ],
)
def test_bad_options_are_errors_before_any_work(
    remade, tmp_path, order, message
):
  remade.order.update(order)
  refusals.assert_refused(remade, tmp_path, "train", message)


@pytest.mark.slow
def test_every_segment_is_verified_and_logged(remade, workdirs):
  run = remade_runs.only_run(workdirs.get(remade, "train"))
  order, consumed = remade_runs.load_order(run), remade_runs.consumed_ids(run)
  assert sorted(consumed.tolist()) == sorted(order.ids.tolist())
  np.testing.assert_array_equal(consumed[:16], order.ids[:16])
  lines = verify.verify(run)
  for step, stop in zip(remade_runs.STEPS, (32, 38), strict=True):
    ids, manifest = remade_runs.load_segment(run, step)
    np.testing.assert_array_equal(
        consumed[step * 4 : stop], ids[: stop - step * 4]
    )
    assert any(manifest["fingerprint"][:12] in line for line in lines)
  assert f"run {run}: 10 steps verified of 10" in lines
  assert remade_runs.remade_steps(run) == list(remade_runs.STEPS)
  assert not list(run.glob("segments/.*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("embedder", "option", "lora"),
    [(HIDDEN, "checkpoint", 0), (GRADIENT, "checkpoints", 2)],
)
def test_vectors_are_those_of_the_checkpoint_of_that_step(
    remade, workdirs, tmp_path, embedder, option, lora
):
  remade.order.update(embedder)
  remade.lora.rank = lora
  run = remade_runs.only_run(workdirs.get(remade, "train"))
  order = remade_runs.load_order(run)
  store = store_lib.open_store(order.store_path)
  name = f"{run}@4"
  remade.order.update({"remake_every": 0, "budget": -1})
  remade.order[option] = name if option == "checkpoint" else (name,)
  config = config_lib.check(remade)
  rest = np.sort(order.ids[16:])
  vectors = embeddings.compute(
      store,
      config.order,
      np.union1d(rest, sources.target_ids(store, config.order)),
      features.make_models(config, starts.make(config.model, 0, config.lora)),
      tmp_path,
  )
  pool = sources.pool(tmp_path, store, vectors=vectors)
  rows = np.searchsorted(pool.facts.ids, rest)
  expected, _ = order_lib.tabulate(store, config.order, pool.take(rows), 0)
  ids, _ = remade_runs.load_segment(run, 4)
  segment = segments.Segment(segments.path_of(run, 4), 4, ids, {}).table()
  assert segment.cast(expected.schema).equals(expected)
  # It is another sequence than by the vectors of the start.
  assert ids.tolist() != order.ids[16:].tolist()


@pytest.mark.slow
def test_a_killed_run_has_the_bytes_of_an_unbroken_one(
    remade, workdirs, tmp_path
):
  # Before a segment is written, with its vectors on the disk; before it is
  # consumed.
  moments = "segment:4", "step:4"
  unbroken = workdirs.get(remade, "train")
  remade_runs.assert_kills_change_nothing(
      remade, moments, tmp_path / "killed", unbroken
  )


@pytest.mark.slow
def test_a_written_segment_is_never_embedded_again(
    remade, workdirs, tmp_path, monkeypatch
):
  finished = remade_runs.only_run(workdirs.get(remade, "train"))
  run = remade_runs.copy_until_first_segment(finished, tmp_path)
  monkeypatch.setattr(row_batches, "compute", None)
  zsgen.run(remade, run.parents[1], ["train"])
  assert restarts.records(run) == restarts.records(finished)
  assert restarts.parameters(run) == restarts.parameters(finished)
