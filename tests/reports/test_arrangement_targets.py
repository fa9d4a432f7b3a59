"""Targets R1 to R13 of 2406.11721, on curves that meet them or do not."""

import pathlib

import numpy as np
import pytest

from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.evals import reward
from zsgen.orders import trace as trace_lib
from zsgen.reports import arrangement, curves
from zsgen.reports.arrangement import (
    charts,
    contact,
    early,
    nearness,
    published,
)
from zsgen.reports.arrangement import experiments as experiments_lib

STEPS = np.arange(0, 101, 2)


def _run(metrics, steps=100):
  run = curves.RunRecords(
      pathlib.Path("run"),
      config_lib.check(config_lib.defaults()),
      steps,
      16,
      pathlib.Path("store"),
      pathlib.Path("order"),
  )
  run.__dict__["metrics"] = {
      name: curves.Curve(STEPS, np.asarray(values, float))
      for name, values in metrics.items()
  }
  return run


def _experiment(name, losses, data="", seeds=(0, 1, 2), **metrics):
  """Arms by loss(t), t the share of the steps; seeds differ by a constant."""
  t = STEPS / 100
  arms = {
      arm: {
          seed: _run(
              {
                  "heldout/loss": loss(t) + 0.01 * seed,
                  **{key: f(t) for key, f in metrics.items()},
              }
          )
          for seed in seeds
      }
      for arm, loss in losses.items()
  }
  return experiments_lib.Experiment(
      name, "nano", data, arms, pathlib.Path("sweep")
  )


def _falls(end, speed=20.0, start=3.0):
  return lambda t: end + (start - end) * np.exp(-speed * t)


def _states(outcomes):
  return {
      outcome.target.partition(" ")[0]: outcome.state for outcome in outcomes
  }


def test_targets_without_runs_are_not_run():
  outcomes = arrangement.check([])
  assert [outcome.target for outcome in outcomes] == [
      f"R{number}" for number in range(1, 15)
  ]
  assert {outcome.state for outcome in outcomes} == {"not run"}
  assert "configs/arrangement/settings.py" in outcomes[12].values


@pytest.mark.parametrize(("speed", "state"), [(100, "pass"), (3, "fail")])
def test_r1_asks_for_most_of_the_fall_at_once(speed, state):
  experiment = _experiment("early", {"random": _falls(1.0, speed)}, "niv2")
  outcome, *_ = early.check([experiment])
  assert outcome.target == "R1 (nano, niv2)"
  assert outcome.state == state
  assert outcome.values.endswith(
      "3 of 3 seeds" if state == "pass" else "0 of 3 seeds"
  )


def test_r1_needs_an_evaluation_that_early():
  experiment = _experiment("early", {"random": _falls(1.0)})
  for runs in experiment.arms.values():
    for run in runs.values():
      curve = run.metrics["heldout/loss"]
      run.metrics["heldout/loss"] = curves.Curve(
          curve.steps[::5], curve.values[::5]
      )
  outcome, *_ = early.check([experiment])
  assert outcome.state == "not run"
  assert "no evaluation in steps 1 to 3" in outcome.values


@pytest.mark.parametrize(("noise", "state"), [(0.2, "pass"), (0.0, "fail")])
def test_r2_asks_for_scores_that_jump_and_vary(noise, state):
  def scores(level):
    return lambda t: np.where(
        t > 0, level * (1 + noise * np.sin(400 * t)), 0.1 * level
    )

  experiment = _experiment(
      "early",
      {"random": _falls(1.0, 100)},
      **{
          "written/rouge1": scores(0.45),
          "written/rougeL": scores(0.43),
          "written/normalized_match": scores(0.3),
          # Case and punctuation count: nothing is right.
          "written/exact_match": scores(0.0),
      },
  )
  assert _states(early.check([experiment]))["R2"] == state


def _score_answers(experiment, rewards):
  """Gives four answers, of which the first and the third are right, rewards."""
  scores = {
      "reward": np.array(rewards, float),
      "normalized_match": np.array([1.0, 0.0, 1.0, 0.0]),
  }
  for run in experiment.arms["random"].values():
    run.__dict__["scores"] = lambda name, step: scores


@pytest.mark.parametrize(("speed", "state"), [(60, "pass"), (5, "fail")])
def test_r3_asks_for_rewards_that_rise_early(speed, state):
  experiment = _experiment(
      "early",
      {"random": _falls(1.0, 100)},
      **{"written/reward": _falls(-3.7, speed, start=-4.1)},
  )
  _score_answers(experiment, (2, 1, 3, 0))
  assert _states(early.check([experiment]))["R3"] == state


@pytest.mark.parametrize(
    ("rewards", "state"),
    [
        ((2, 2.5, 3, 0), "pass"),  # 3 of 4 pairs.
        ((2, 1, 3, 0), "fail"),  # All.
        ((2, 3, 1, 0), "fail"),
        ((4, 4, 4, 4), "fail"),
    ],
)
def test_r4_asks_for_higher_rewards_of_correct_answers(rewards, state):
  experiment = _experiment(
      "early",
      {"random": _falls(1.0, 100)},
      **{"written/reward": _falls(-3.7, 60, start=-4.1)},
  )
  _score_answers(experiment, rewards)
  assert _states(early.check([experiment]))["R4"] == state


def test_charts_of_answers_have_the_unit_of_the_published_curves():
  levels = {
      "rouge1": 0.45,
      "rougeL": 0.43,
      "normalized_match": 0.3,
      "reward": -3.7,
  }
  metrics = {f"written/{name}": _falls(level) for name, level in levels.items()}
  experiment = _experiment("early", {"random": _falls(1.0)}, **metrics)
  for run in experiment.arms["random"].values():
    run.__dict__["declaration"] = lambda _: reward.Reward.declaration
  scores, rewards = charts.written(experiment)
  assert scores.y == "score of written answers (share)"
  assert rewards.y == "reward of written answers (logits)"
  own = {line.label: line.curve for line in scores.lines}
  (figure,) = scores.published
  match = "normalised exact match"
  assert set(own) == set(figure.lines) == {"ROUGE-1", "ROUGE-L", match}
  assert own[match].values[-1] == pytest.approx(0.3)
  assert figure.lines[match].values == pytest.approx(
      published.by_share("early/niv2_scores")["EM"].values / 100, nan_ok=True
  )
  assert {line.label for line in rewards.lines} == {"random"}
  assert set(rewards.published[0].lines) == {"NIV2", "P3", "Flan"}
  assert rewards.published[0].lines["NIV2"].values[-1] == pytest.approx(-3.522)


def test_r3_and_r4_need_a_reward_model():
  experiment = _experiment("early", {"random": _falls(1.0, 100)})
  states = _states(early.check([experiment]))
  assert states["R3"] == states["R4"] == "not run"


@pytest.mark.parametrize(
    ("lengths", "state"), [((1, 5, 50), "pass"), ((50, 5, 1), "fail")]
)
def test_r5_compares_lengths_of_answers_with_speeds(
    monkeypatch, lengths, state
):
  class Store:
    tasks = ("quick", "slower", "slowest")
    task_index = np.arange(3)
    loss_lengths = np.array(lengths)

    def split_ids(self, split):
      return np.arange(3)

  monkeypatch.setattr(early.store_lib, "open_store", lambda path: Store())
  tasks = {
      f"heldout/{task}/loss": _falls(1.0, speed)
      for task, speed in zip(Store.tasks, (50, 10, 5), strict=True)
  }
  experiment = _experiment("early", {"random": _falls(1.0)}, **tasks)
  assert _states(early.check([experiment]))["R5"] == state


def test_without_written_answers_r2_is_not_run():
  outcomes = early.check([_experiment("early", {"random": _falls(1.0)})])
  assert _states(outcomes)["R2"] == "not run"


NEAR_FIRST = {"NFT": 0.5, "RT": 0.6, "FFT": 0.8}


@pytest.mark.parametrize(("name", "target"), [("wsd", "R8"), ("tmt", "R10")])
def test_near_before_random_before_far(name, target):
  losses = {arm: _falls(end) for arm, end in NEAR_FIRST.items()}

  def judge(losses):
    return _states(nearness.check([_experiment(name, losses)]))

  assert judge(losses)[target] == "pass"
  assert judge({**losses, "RT": _falls(0.4)})[target] == "fail"
  # The right end alone is not enough: the first tenth counts too.
  assert judge({**losses, "NFT": _falls(0.5, 5)})[target] == "fail"
  del losses["FFT"]
  assert judge(losses)[target] == "not run"


def test_r9_is_about_the_end():
  losses = {"fine": _falls(0.9, 10), "coarse": _falls(1.0, 30)}
  (outcome,) = [
      outcome
      for outcome in nearness.check([_experiment("granularity", losses)])
      if outcome.target.startswith("R9")
  ]
  assert outcome.state == "pass" and "below after step" in outcome.values
  losses = {"fine": losses["coarse"], "coarse": losses["fine"]}
  outcomes = nearness.check([_experiment("granularity", losses)])
  assert _states(outcomes)["R9"] == "fail"


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ((0.61, 0.62, 0.65, 0.68, 0.69, 0.685), "pass"),
        ((0.61, 0.66, 0.65, 0.68, 0.69, 0.70), "fail"),
        ((0.69, 0.68, 0.67, 0.66, 0.65, 0.64), "fail"),
    ],
)
def test_r12_asks_for_earlier_rounds_below(ends, state):
  names = ("r0_5", "r5_10", "r10_15", "r15_20", "r20_25", "r25_30")
  losses = dict(zip(names, map(_falls, ends), strict=True))
  outcomes = nearness.check([_experiment("slices", losses)])
  assert _states(outcomes)["R12"] == state


def _switched(before, after):
  return lambda t: np.where(
      t <= 0.5,
      before(t),
      before(0.5) + (after - before(0.5)) * (1 - np.exp(-40 * (t - 0.5))),
  )


SETTINGS = {
    "MIN": _falls(0.5),
    "NFT": _switched(_falls(0.5), 0.52),
    "RT": _falls(0.58),
    "FFT": _switched(_falls(0.85), 0.6),
    "MAX": _falls(0.85),
}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "pass"),
        ({"NFT": _falls(0.55)}, "fail"),  # Not MIN before the switch.
        ({"FFT": SETTINGS["MAX"]}, "fail"),  # No recovery.
        ({"MIN": _falls(0.55), "NFT": _falls(0.55)}, "pass"),  # A tie.
        ({"RT": _falls(0.45)}, "fail"),
    ],
)
def test_r13_asks_for_equal_halves_and_recovery(change, state):
  outcomes = nearness.check([_experiment("settings", {**SETTINGS, **change})])
  assert _states(outcomes)["R13"] == state


@pytest.mark.parametrize(
    ("figure", "zero_shot", "name", "tier", "states"),
    [
        ("similarity_wsd", 1.25, "wsd", "paper", {"R8": "pass"}),
        ("granularity", 2.35, "granularity", "paper", {"R9": "pass"}),
        ("tmt_sharegpt", 0.949, "tmt", "sharegpt", {"R11": "pass"}),
        ("tmt_no_robots", 1.498, "tmt", "norobots", {"R11": "pass"}),
        ("tmt_round_slices", 3.14, "slices", "paper", {"R12": "pass"}),
    ],
)
def test_published_curves_meet_the_targets_about_them(
    figure, zero_shot, name, tier, states
):
  arms = {}
  lines = published.series(figure)
  steps = np.arange(0, min(line.steps[-1] for line in lines.values()) + 1, 10)
  for arm, line in lines.items():
    is_trained = line.steps > 0
    losses = np.interp(
        steps,
        [0, *line.steps[is_trained]],
        [zero_shot, *line.values[is_trained]],
    )
    arms[arm] = {0: _run({}, int(steps[-1]))}
    arms[arm][0].metrics["heldout/loss"] = curves.Curve(steps, losses)
  experiment = experiments_lib.Experiment(name, tier, "", arms, pathlib.Path())
  judged = _states(nearness.check([experiment]))
  decided = {key: state for key, state in judged.items() if state != "not run"}
  assert decided == states


def test_arms_of_other_lengths_or_seeds_are_refused():
  losses = {arm: _falls(end) for arm, end in NEAR_FIRST.items()}
  experiment = _experiment("tmt", losses)
  experiment.arms["RT"][1] = _run({"heldout/loss": STEPS}, steps=101)
  with pytest.raises(errors.InputError, match=r"has 101 steps, and .* 100"):
    nearness.check([experiment])
  del experiment.arms["RT"][1]
  with pytest.raises(errors.InputError, match="RT has the seeds 0, 2, and NFT"):
    nearness.check([experiment])


def test_targets_of_a_refused_experiment_are_not_run():
  losses = {arm: _falls(end) for arm, end in NEAR_FIRST.items()}
  refused = _experiment("tmt", losses), "RT has the seeds 0"
  outcomes = arrangement.check([_experiment("wsd", losses)], [refused])
  by_target = {outcome.target: outcome for outcome in outcomes}
  assert by_target["R8 (nano)"].state == "pass"
  assert by_target["R10 (nano)"].state == "not run"
  assert by_target["R11 (nano)"].values == "RT has the seeds 0"
  assert len(outcomes) == 14 and "R10" not in by_target


def test_settings_are_joined_with_controls_on_shared_seeds():
  settings = _experiment("settings", SETTINGS, seeds=(0, 1))
  controls = _experiment("controls", {"uniform": _falls(0.4)}, seeds=(1, 2))
  wsd = _experiment("wsd", SETTINGS)
  (joined,) = experiments_lib.join_controls([controls, wsd, settings])
  assert set(joined.arms) == {*SETTINGS, "uniform"}
  assert joined.seeds == [1] and list(joined.arms["uniform"]) == [1]
  assert joined.title == "settings and controls, nano"
  other = _experiment("controls", {"uniform": _falls(0.4)}, seeds=(2,))
  assert not experiments_lib.join_controls([other, settings])
  for run in controls.arms["uniform"].values():
    object.__setattr__(run, "steps", 101)
  assert not experiments_lib.join_controls([controls, settings])


class _Trace:
  """A trace of two tasks whose nearest example comes at one step each."""

  tasks = ("a", "b")
  examples = 16 * STEPS

  def __init__(self, contacts):
    self.contacts = contacts

  def values(self, measure):
    assert measure == "cosine_min"
    return np.stack(
        [np.where(STEPS >= step, -0.9, -0.3) for step in self.contacts], axis=1
    )


@pytest.mark.parametrize(
    ("falls", "r6", "r7"),
    [((40, 70), "pass", "pass"), ((60, 20), "fail", "fail")],
)
def test_r6_and_r7_ask_for_falls_at_first_contact(monkeypatch, falls, r6, r7):
  monkeypatch.setattr(contact.order_lib.Order, "load", lambda path: None)
  monkeypatch.setattr(trace_lib, "find", lambda order, split: _Trace((40, 70)))
  t = {
      f"heldout/{task}/loss": lambda t, s=step: np.where(100 * t >= s, 1.0, 3.0)
      for task, step in zip("ab", falls, strict=True)
  }
  experiment = _experiment("pilot", {"cluster": _falls(1.0)}, **t)
  falls_slowly = {f"heldout/{task}/loss": lambda t: 3 - 2 * t for task in "ab"}
  random = _experiment("pilot", {"random": _falls(1.0)}, **falls_slowly)
  pilot, prefixes = (
      experiments_lib.Experiment(
          name, "nano", "", {**experiment.arms, **random.arms}, pathlib.Path()
      )
      for name in ("pilot", "prefixes")
  )
  states = _states(contact.check([pilot, prefixes]))
  assert (states["R6"], states["R7"]) == (r6, r7)


@pytest.mark.parametrize(
    ("count", "state"),
    [(10, "pass"), (9, "not run")],  # The tier smoke has ten.
)
def test_r7_needs_ten_steps(monkeypatch, count, state):
  steps = np.arange(1, count + 1) * 100 // count
  monkeypatch.setitem(globals(), "STEPS", steps)
  monkeypatch.setattr(_Trace, "examples", 16 * steps)
  monkeypatch.setattr(contact.order_lib.Order, "load", lambda path: None)
  monkeypatch.setattr(trace_lib, "find", lambda order, split: _Trace((40, 70)))
  t = {
      f"heldout/{task}/loss": lambda t, s=step: np.where(100 * t >= s, 1.0, 3.0)
      for task, step in zip("ab", (40, 70), strict=True)
  }
  experiment = _experiment("prefixes", {"cluster": _falls(1.0)}, **t)
  assert _states(contact.check([experiment]))["R7"] == state


def test_without_a_trace_r6_names_the_command(monkeypatch):
  monkeypatch.setattr(contact.order_lib.Order, "load", lambda path: None)
  monkeypatch.setattr(trace_lib, "find", lambda order, split: None)
  losses = {"cluster": _falls(1.0), "random": _falls(1.0)}
  outcome, *_ = contact.check([_experiment("pilot", losses)])
  assert outcome.state == "not run"
  assert "python -m zsgen.orders trace" in outcome.values
