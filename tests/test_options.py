"""Options mean what they say: refused before any work, or they do something."""

import numpy as np
import pytest

import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.pipeline import experiment
from zsgen.train import memory, optimizer

PARTS = ({"arrangement": "random"},)
TAKE = {"arrangement": "take", "parts": PARTS}
TARGET = {"metric": "heldout/loss", "below": 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"order": {"arrangement": "random", "by": "category"}},
            "order.by is not an option. It is an option of arr",
        ),
        (
            {"order": {"arrangement": "cluster", "clusters": 3}},
            "clusters is 3, but config.order.by is 'task': only by='kmeans'",
        ),
        (
            {"order": {"arrangement": "cluster", "by": 3}},
            "by must be of type str",
        ),
        (
            {
                "order": {
                    "arrangement": "concatenate",
                    "parts": ({"arrangement": "random", "pick": "farthest"},),
                }
            },
            r"config\.order\.parts\[0\]\.pick is not an option",
        ),
        (
            {"order": {"arrangement": "random", "encoder_dtype": "bfloat16"}},
            "It is an option of embedder='encoder' or 'minilm'",
        ),
        (
            {
                "order": {
                    "embedder": "",
                    "arrangement": "random",
                    "text": "prompt",
                }
            },
            "text is 'prompt', but config.order.embedder is '': nothing reads",
        ),
        (
            {"order": {**TAKE, "start": 4, "stop": 4}},
            "stop is 4, but the range",
        ),
        ({"order": {"rounds": (3, 3)}}, r"rounds is \(3, 3\); give"),
        (
            {"order": {"arrangement": "reverse", "parts": 3}},
            "config.order.parts must be of type tuple, not 3",
        ),
        (
            {"data": {"shots": 3}},
            "config.data.shots is not an option. It is an option of prompt='niv2'",
        ),
        ({"data": {"tokenizer_path": "x"}}, "tokenizer_path is not an option"),
        (
            {"data": {"train_instances": 10**6 + 1}},
            "train_instances is 1,000,001; it must be at most 1,000,000: the",
        ),
        (
            {"model": {"rope_low": 2.0}},
            "rope_low is 2.0, but .*rope_scaling is",
        ),
        (
            {"model": {"positions": "learned", "rope_theta": 5e4}},
            "rope_theta is 50000.0, but config.model.positions is 'learned'",
        ),
        (
            {"model": {"rope_local_theta": 5.0}},
            "rope_local_theta is 5.0, but .*pattern has no 'local' block",
        ),
        ({"model": {"init": "hf:gs://b/x"}}, "init is 'gs://b/x', .* a URL"),
        ({"model": {"init": "run:s3://b/x"}}, "init is 's3://b/x', .*only tho"),
        (
            {"order": {"embedder": "hidden", "checkpoint": "s3://b/x@5"}},
            "order.checkpoint is 's3://b/x', .*only those of Google",
        ),
        ({"lora": {"alpha": 3.0}}, "alpha is 3.0, but config.lora.rank is 0"),
        (
            {
                "evals": {
                    "a": {
                        "type": "generate",
                        "decoding": "sample",
                        "temperature": 0.0,
                        "top_k": 3,
                    }
                }
            },
            r"config\.evals\.a\.top_k is 3, but temperature is 0",
        ),
        (
            {"evals": {"a": {"type": "generate", "top_p": 0.5}}},
            r"config\.evals\.a\.top_p is 0.5, but decoding='greedy' does not",
        ),
        (
            {"targets": {"t": {**TARGET, "metric": "heldout/los"}}},
            r"metric is 'heldout/los', which no .* mean \"heldout/loss\"",
        ),
        (
            {"targets": {"t": {**TARGET, "metric": "heldout/a/rougeL"}}},
            "which no evaluation reports",
        ),
        ({"machine": {"trackio": "project"}}, "trackio is not installed. Run"),
        ({"machine": {"wandb": "project"}}, "wandb is not installed. Run `pip"),
    ],
)
def test_unused_options_are_refused_before_any_work(
    small, tmp_path, options, message
):
  with pytest.raises(errors.InputError, match=message):
    small.update(options)
    experiment.Experiment(config_lib.check(small), tmp_path / "w")
  assert not (tmp_path / "w").exists()


def test_an_existing_order_does_not_hide_an_option(small, tmp_path):
  small.order.arrangement = "cluster"
  zsgen.run(small, tmp_path, ["order"])
  small.order.clusters = 3
  with pytest.raises(errors.InputError, match="only by='kmeans' reads it"):
    zsgen.run(small, tmp_path, ["order"])


def test_options_that_depend_on_the_store_and_the_order(small, tmp_path):
  small.train.warmup_steps = 10
  with pytest.raises(errors.InputError, match="Lower it to 9 or less"):
    zsgen.run(small, tmp_path, ["train"])
  small.train.warmup_steps = 9
  small.targets.t = {**TARGET, "metric": "heldout/no_such_task/loss"}
  with pytest.raises(errors.InputError, match="no_such_task/loss', which no"):
    zsgen.run(small, tmp_path, ["train"])
  del small.targets["t"]
  small.profile = (3, 11)
  with pytest.raises(errors.InputError, match=r"config\.profile is"):
    zsgen.run(small, tmp_path, ["train"])
  small.profile = ()
  small.population = 2
  with pytest.raises(
      errors.InputError, match=r"population is 2, but .* one run"
  ):
    zsgen.run(small, tmp_path, ["train"])
  assert not (tmp_path / "runs").exists()


def test_bigrams_read_text_and_target_without_an_embedder(small, tmp_path):
  store = store_lib.open_store(zsgen.run(small, tmp_path, ["prepare"]).store)
  names = []
  for text in ("prompt", "prompt+answer"):
    order = config_lib.build(
        config_lib.Order,
        arrangement="similarity",
        measure="bigram_kl",
        embedder="",
        text=text,
    )
    recipe = order_lib.recipe_of(store, order)
    assert (recipe["text"], recipe["target"]) == (text, "heldout")
    names.append(order_lib.make(tmp_path, store, order, 0).path.name)
  assert len(set(names)) == 2


def test_without_a_clip_gradients_are_unchanged():
  gradients = {"w": np.array([3.0, -4.0], np.float32)}
  updates = []
  for clip in (0.0, 1e9, 1.0):
    train = config_lib.Train(clip=clip, learning_rate=1.0)
    hyper = optimizer.hyper_at(train, 0, 10)
    transform = optimizer.transformation(hyper, "float32")
    state = transform.init(gradients)
    for scale in (1.0, 0.001):  # Adam hides a scale that stays.
      scaled = {"w": scale * gradients["w"]}
      update, state = transform.update(scaled, state, gradients)
    updates.append(np.asarray(update["w"]))
  assert np.abs(updates[0]).min() > 0
  np.testing.assert_array_equal(updates[0], updates[1])
  assert not np.allclose(updates[0], updates[2])


def test_parameters_too_large_for_any_device(monkeypatch, small, tmp_path):
  monkeypatch.setattr(memory, "find_room", lambda mesh: 2**16)
  with pytest.raises(errors.InputError, match="parameters and moments take"):
    zsgen.run(small, tmp_path, ["train"])
  assert not (tmp_path / "runs").exists()


def test_epochs_too_large_for_memory(small, tmp_path, monkeypatch):
  small.order = {
      "arrangement": "repeat",
      "parts": PARTS,
      "epochs": 10**5,
  }
  monkeypatch.setattr("zsgen.orders.arrangements.compose._LONGEST", 10**6)
  with pytest.raises(errors.InputError, match="at most 1,000,000 are held"):
    zsgen.run(small, tmp_path, ["order"])
