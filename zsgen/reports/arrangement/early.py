"""Targets on the first steps: R1 to R5."""

from collections.abc import Sequence

import numpy as np

from zsgen.data import store as store_lib
from zsgen.reports import curves
from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.arrangement import rules
from zsgen.reports.arrangement.rules import Verdict, View
from zsgen.reports.outcomes import Outcome

# The published onset: 50 of 1,800 steps.
_ONSET = 0.03
_ENOUGH = 0.8
# The published rewards are level after 100 of 1,800 steps.
_LEVEL = 0.06
_AREAS = 0.6, 0.9
_WRITTEN = "written"
# The exact match of the paper: without case and punctuation.
_MATCH = "normalized_match"


def check(
    experiments: Sequence[experiments_lib.Experiment],
) -> list[Outcome]:
  """Judges R1 to R5."""
  return [
      outcome for rule in RULES for outcome in rules.check(rule, experiments)
  ]


def _onset(view: View) -> Verdict:
  """R1: most of the improvement comes in the first 3% of the steps."""
  curve = view.curve(_arm(view))
  zero_shot = rules.zero_shot(curve)
  early = zero_shot - rules.value_at(curve, _ONSET * view.steps)
  fall = zero_shot - float(curve.values.min())
  share = early / fall if fall > 0 else 0.0
  values = f"{share:.2f} of a fall of {fall:.3f} nats from {zero_shot:.3f}"
  return Verdict(share >= _ENOUGH, values)


def _scores(view: View) -> Verdict:
  """R2: scores jump, then vary without a trend; the loss is steadier."""
  arm, steps = _arm(view), view.steps
  scores = {
      name: view.curve(arm, f"{_WRITTEN}/{name}")
      for name in ("rouge1", "rougeL", _MATCH)
  }
  plateaus = {
      name: rules.mean_over(curve, 0.1 * steps, steps)
      for name, curve in scores.items()
  }
  jumps = {
      name: _share(
          rules.zero_shot(curve),
          rules.value_at(curve, 0.05 * steps),
          plateaus[name],
      )
      for name, curve in scores.items()
  }
  noise = _variation(scores[_MATCH], steps)
  loss_noise = _variation(view.curve(arm), steps)
  is_met = (
      min(jumps["rougeL"], jumps[_MATCH]) >= _ENOUGH
      and plateaus["rouge1"] >= plateaus["rougeL"] > plateaus[_MATCH]
      and noise >= 3 * loss_noise
  )
  values = (
      f"share of the plateau at 5% of the steps: {rules.format_values(jumps)};"
      f" plateaus: {rules.format_values(plateaus)}; variation after 10%: exact match"
      f" {noise:.3f}, loss {loss_noise:.3f}"
  )
  return Verdict(is_met, values)


def _rewards(view: View) -> Verdict:
  """R3: rewards rise and level off early."""
  curve, steps = _reward(view), view.steps
  begin = rules.zero_shot(curve)
  plateau = rules.mean_over(curve, 0.1 * steps, steps)
  share = _share(begin, rules.value_at(curve, _LEVEL * steps), plateau)
  values = (
      f"{share:.2f} of the change from {begin:.3f} to {plateau:.3f} at 6% of the"
      " steps"
  )
  return Verdict(plateau > begin and share >= _ENOUGH, values)


def _reward_tells(view: View) -> Verdict:
  """R4: rewards of correct answers are above those of wrong ones."""
  last = int(_reward(view).steps[-1])
  areas = []
  for run in view.runs(_arm(view)):
    scores = run.scores(_WRITTEN, last)
    is_right = scores[_MATCH] > 0
    if is_right.all() or not is_right.any():
      raise rules.NotRun("all answers are correct, or all are wrong")
    areas.append(_area(scores["reward"], is_right))
  area = float(np.mean(areas))
  low, high = _AREAS
  return Verdict(low <= area <= high, f"AUC {area:.3f}")


def _reward(view: View) -> curves.Curve:
  """Returns the mean reward of the written answers."""
  try:
    return view.curve(_arm(view), f"{_WRITTEN}/reward")
  except rules.NotRun as error:
    raise rules.NotRun(
        "no reward model: --config=configs/arrangement/early.py:TIER,DIR"
    ) from error


def _area(values: np.ndarray, is_right: np.ndarray) -> float:
  """Returns the probability that a right value is above a wrong one."""
  right, wrong = values[is_right][:, None], values[~is_right]
  return float(np.mean((right > wrong) + 0.5 * (right == wrong)))


def _speeds(view: View) -> Verdict:
  """R5: tasks with short answers get better sooner."""
  correlations = [_speed(run) for run in view.runs(_arm(view))]
  correlation = float(np.mean(correlations))
  return Verdict(correlation > 0, f"Spearman's correlation {correlation:+.3f}")


def _speed(run: curves.RunRecords) -> float:
  """Correlates answers' lengths with steps to 90% of a task's fall."""
  times = {
      task: time
      for task, curve in run.tasks("heldout").items()
      if (time := _time_to_fall(curve)) is not None
  }
  if len(times) < 3:
    raise rules.NotRun(f"the loss of only {len(times)} tasks falls")
  lengths = _answer_lengths(run)
  correlation = rules.rank_correlation(
      [lengths[task] for task in times], [*times.values()]
  )
  if np.isnan(correlation):
    raise rules.NotRun("all tasks fall at the same step")
  return correlation


def _answer_lengths(run: curves.RunRecords) -> dict[str, float]:
  """Mean number of loss tokens of the held-out examples, by task."""
  store = store_lib.open_store(run.store)
  ids = store.split_ids(run.config.evals["heldout"].split)
  counts, tasks = store.loss_lengths[ids], store.task_index[ids]
  return {
      store.tasks[task]: float(counts[tasks == task].mean())
      for task in np.unique(tasks)
  }


def _time_to_fall(curve: curves.Curve) -> int | None:
  """The first step at which 90% of the fall is done; None without a fall."""
  start, low = curve.values[0], curve.values.min()
  if low >= start:
    return None
  is_there = curve.values <= start - 0.9 * (start - low)
  return int(curve.steps[np.argmax(is_there)])


def _share(start: float, value: float, plateau: float) -> float:
  return (value - start) / (plateau - start) if plateau != start else 0.0


def _variation(curve: curves.Curve, steps: int) -> float:
  """The coefficient of variation after a tenth of the steps."""
  values = curve.values[curve.steps > 0.1 * steps]
  return float(values.std() / values.mean()) if values.mean() else 0.0


def _arm(view: View) -> str:
  """The only arm: every data set of E1 has one order."""
  return next(iter(view.experiment.arms))


RULES = (
    rules.Rule(
        "R1",
        "early",
        (),
        "random order: at least 0.8 of the fall of the loss in the first 3% of"
        " the steps",
        _onset,
    ),
    rules.Rule(
        "R2",
        "early",
        (),
        "ROUGE-L, normalised exact match (EM) at 0.8 of the plateau by 5%;"
        " ROUGE-1 >= ROUGE-L > EM; EM varies 3 times as much as loss",
        _scores,
    ),
    rules.Rule(
        "R3",
        "early",
        (),
        "rewards rise, and are at 0.8 of the rise to their plateau by 6%",
        _rewards,
    ),
    rules.Rule(
        "R4",
        "early",
        (),
        "rewards of correct answers above those of wrong ones: AUC 0.6 to 0.9",
        _reward_tells,
    ),
    rules.Rule(
        "R5",
        "early",
        (),
        "tasks with longer answers take longer for 90% of their fall",
        _speeds,
    ),
)
