"""What the figures of experiments draw, some beside the published figures."""

from collections.abc import Callable, Mapping
import functools

from zsgen.orders import order as order_lib
from zsgen.orders import trace as trace_lib
from zsgen.reports import curves, trace_view
from zsgen.reports.arrangement import experiments as experiments_lib
from zsgen.reports.arrangement import published
from zsgen.reports.interactive import sets
from zsgen.train import metrics

_PILOT = (
    "pilot/task851_synthetic_multiply_evens",
    "pilot/task900_freebase_qa_category_classification",
)
# The published figures of an experiment, by its tier; "" is any other.
_FIGURES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "early": {"": ("early/loss",)},
    "pilot": {"": _PILOT},
    "prefixes": {"": _PILOT},
    "wsd": {"": ("similarity_wsd",)},
    "granularity": {"": ("granularity",)},
    "tmt": {
        "sharegpt": ("tmt_sharegpt",),
        "norobots": ("tmt_no_robots",),
        "": ("tmt_flan_mini",),
    },
    "slices": {"": ("tmt_round_slices",)},
    "settings": {"": ("tmt_five_settings",)},
    "settings and controls": {"": ("tmt_five_settings",)},
}
# Written answers of E1: metrics by the published names of their curves. The
# published EM ignores case and punctuation.
_WRITTEN = "written"
_SCORES = {"ROUGE1": "rouge1", "ROUGEL": "rougeL", "EM": "normalized_match"}
_REWARD = "reward"
_PERCENT = 0.01  # The unit of published scores.
X = "share of the steps"
Y = "held-out loss / zero-shot loss"
# The distances that WSD weighs against each other; E3 has all nine.
_DISTANCES = ("cosine_min", "cosine_avg")


def build(experiment: experiments_lib.Experiment) -> list[sets.Chart]:
  """Returns all charts of an experiment: loss, scores, rewards and distances.

  Raises:
    InputError: a trace is damaged or belongs to another order.
  """
  return [loss(experiment), *written(experiment), *distances(experiment)]


def loss(experiment: experiments_lib.Experiment) -> sets.Chart:
  """Returns the held-out loss of all arms, with the published curves.

  Losses are divided by the loss before training, and steps by their number,
  because absolute losses and lengths differ.
  """
  by_tier = _FIGURES.get(experiment.name, {})
  names = by_tier.get(experiment.tier, by_tier.get("", ()))
  return sets.Chart(
      "loss",
      X,
      Y,
      _lines(experiment, _relative),
      [_published(name, published.relative(name)) for name in names],
  )


def written(experiment: experiments_lib.Experiment) -> list[sets.Chart]:
  """Returns scores and rewards of the answers of E1, with published curves.

  Returns:
    [] for other experiments; no rewards if the runs had no reward model.
  """
  if experiment.name != "early":
    return []
  return [
      build_chart(experiment)
      for build_chart, names in (
          (_scores, _SCORES.values()),
          (_rewards, (_REWARD,)),
      )
      if all(
          f"{_WRITTEN}/{name}" in run.metrics
          for by_seed in experiment.arms.values()
          for run in by_seed.values()
          for name in names
      )
  ]


def distances(experiment: experiments_lib.Experiment) -> list[sets.Chart]:
  """Returns the distances of what was trained on to the held-out set.

  Returns:
    [] if the order of a run has no trace.

  Raises:
    InputError: a trace is damaged or belongs to another order.
  """
  traces: dict[str, trace_lib.Trace] = {}
  for arm in experiment.arms:
    for seed in experiment.seeds:
      run = experiment.arms[arm][seed]
      order = order_lib.Order.load(run.order)
      trace = trace_lib.find(order, run.config.evals["heldout"].split)
      if trace is None:
        return []
      traces[str(run.path)] = trace

  def curve_of(measure: str) -> Callable[[curves.RunRecords], curves.Curve]:
    """Returns a function from a run to its curve of a measure."""
    return lambda run: _distance(traces[str(run.path)], measure)

  is_e3 = experiment.name == "prefixes"
  return [
      sets.Chart(
          measure,
          X,
          trace_view.title(measure),
          _lines(experiment, curve_of(measure)),
      )
      for measure in (trace_lib.MEASURES if is_e3 else _DISTANCES)
  ]


def _scores(experiment: experiments_lib.Experiment) -> sets.Chart:
  """Returns the chart of all scores of the written answers, as shares."""
  declared = _declared(experiment)
  lines, published_lines = [], {}
  for series, curve in published.by_share("early/niv2_scores").items():
    name = _SCORES[series]
    words = declared[name].words
    lines += _lines(experiment, _written_curve(name), words)
    published_lines[words] = curve._replace(values=_PERCENT * curve.values)
  y = declared[_SCORES["EM"]].with_unit("score of written answers")
  figure = _published("early/niv2_scores", published_lines)
  return sets.Chart("scores", X, y, lines, [figure])


def _rewards(experiment: experiments_lib.Experiment) -> sets.Chart:
  """Returns the chart of the rewards of the written answers."""
  y = _declared(experiment)[_REWARD].with_unit("reward of written answers")
  lines = _lines(experiment, _written_curve(_REWARD))
  figure = _published("early/reward", published.by_share("early/reward"))
  return sets.Chart("rewards", X, y, lines, [figure])


def _declared(
    experiment: experiments_lib.Experiment,
) -> Mapping[str, metrics.Metric]:
  """Returns the metrics of the written answers by name."""
  declared = experiment.run().declaration(_WRITTEN)
  return {metric.name: metric for metric in declared.metrics}


def _written_curve(name: str) -> Callable[[curves.RunRecords], curves.Curve]:
  return functools.partial(_share, path=f"{_WRITTEN}/{name}")


def _published(name: str, lines: Mapping[str, curves.Curve]) -> sets.Published:
  return sets.Published(f"2406.11721: {name}", lines)


def _lines(
    experiment: experiments_lib.Experiment,
    curve_of: Callable[[curves.RunRecords], curves.Curve],
    label: str = "",
) -> list[sets.Line]:
  """Returns a curve of each run of the seeds that all arms have.

  Args:
    experiment: its runs.
    curve_of: returns the curve of a run.
    label: of the lines; "" for the name of each arm.
  """
  return [
      sets.Line(label or arm, seed, curve_of(runs[seed]))
      for arm, runs in experiment.arms.items()
      for seed in experiment.seeds
  ]


def _relative(run: curves.RunRecords) -> curves.Curve:
  share = _share(run, experiments_lib.LOSS)
  return curves.Curve(share.steps, share.values / share.values[0])


def _share(run: curves.RunRecords, path: str) -> curves.Curve:
  """Returns a metric against the share of the steps."""
  steps, values = run.metrics[path]
  return curves.Curve(steps / run.steps, values)


def _distance(trace: trace_lib.Trace, measure: str) -> curves.Curve:
  share = trace.examples / trace.examples[-1]
  return curves.Curve(share, trace.means(measure))
