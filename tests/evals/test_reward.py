"""Rewards of answers: in the metrics, the files and the tables."""

import json

import numpy as np
import pytest

from tests.helpers import tiny_models
import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors

pytest.importorskip("rouge_score")
pytest.importorskip("transformers", reason="the extra hf brings transformers")


@pytest.fixture
def reward_model(tmp_path):
  directory = tiny_models.reward(tmp_path / "reward", "llama2")
  return tiny_models.with_tokenizer(directory)


@pytest.fixture
def rewarded(small, reward_model):
  """Returns a config that scores references and generated answers."""
  common = {
      "type": "reward",
      "reward_model": str(reward_model),
      "reward_length": 512,
      "max_examples": 5,
  }
  small.evals.right = {**common, "answers": "references"}
  small.evals.written = {
      **common,
      "max_new_tokens": 4,
      "form": "ultra",
      "reward_length": 40,
  }
  return small


@pytest.mark.slow
def test_rewards_of_references_and_of_generated_answers(rewarded, tmp_path):
  path = zsgen.run(rewarded, tmp_path / "w", ["evaluate"]).evaluation
  metrics = json.loads((path / "metrics.json").read_text())
  for name in ("right", "written"):
    lines = (path / f"evals/{name}/predictions.jsonl").read_text().splitlines()
    records = list(map(json.loads, lines))
    values = np.load(path / f"evals/{name}/loss.npy")[0]
    assert len(records) == len(values) == 5
    np.testing.assert_allclose([r["reward"] for r in records], values)
    assert metrics[f"{name}/reward"] == pytest.approx(values.mean(), rel=1e-5)
  assert metrics["right/exact_match"] == metrics["right/rougeL"] == 1
  assert metrics["right/cut_texts"] == 0 and metrics["written/cut_texts"] == 1
  intervals = json.loads((path / "intervals.json").read_text())
  low, high = intervals["right"]["reward"]["interval"]
  assert low < metrics["right/reward"] < high
  assert 0 < intervals["written"]["exact_match"]["majority"] <= 1

  # The files of the reward model are what counts, not where they are.
  moved = tmp_path / "moved"
  (tmp_path / "reward").rename(moved)
  for name in ("right", "written"):
    rewarded.evals[name]["reward_model"] = str(moved)
  again = zsgen.run(rewarded, tmp_path / "w", ["evaluate"]).evaluation
  assert again == path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward_model": ""}, "reward_model is empty"),
        (
            {"answers": "references", "max_new_tokens": 4},
            "max_new_tokens is 4, but answers='references'",
        ),
        ({"temperature": 2.0}, "decoding='greedy' does not read it"),
    ],
)
def test_options_without_effect(rewarded, options, message):
  rewarded.evals.right = {**rewarded.evals.right, "answers": "generated"}
  rewarded.evals.right = {**rewarded.evals.right, **options}
  with pytest.raises(errors.InputError, match=message):
    config_lib.check(rewarded)


@pytest.mark.slow
def test_more_tokens_than_the_reward_model_has_positions(rewarded, tmp_path):
  rewarded.evals.right["reward_length"] = 513
  with pytest.raises(errors.InputError, match="reward_length is 513, and"):
    zsgen.run(rewarded, tmp_path / "w", ["evaluate"])
