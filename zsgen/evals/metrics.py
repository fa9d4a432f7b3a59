"""Lists the metrics of evaluations, and checks targets against them."""

from collections.abc import Mapping, Sequence

from zsgen import evals
from zsgen.core import config, errors
from zsgen.evals import subsets
from zsgen.train import metrics

_TRAIN = "train/"


def names(specs: Mapping[str, config.Eval]) -> list[str]:
  """Returns the paths of all metrics that are known without the store."""
  paths = [
      f"{name}/{mean}"
      for name, spec in specs.items()
      for metric in evals.declaration(spec).metrics
      for mean in metric.names
  ]
  return [*paths, *(f"{_TRAIN}{metric.name}" for metric in metrics.TRAINING)]


def find(specs: Mapping[str, config.Eval], path: str) -> metrics.Metric | None:
  """Returns the metric of a path, such as "heldout/TASK/loss".

  Args:
    specs: the section `config.evals`.
    path: a path in metrics.jsonl.
  """
  if path.startswith(_TRAIN):
    known = {metric.name: metric for metric in metrics.TRAINING}
    return known.get(path.removeprefix(_TRAIN))
  name, _, rest = path.partition("/")
  if name not in specs:
    return None
  return evals.declaration(specs[name]).metric(rest.rpartition("/")[2])


def check_targets(
    specs: Mapping[str, config.Eval],
    targets: Mapping[str, config.Target],
    tasks: Mapping[str, Sequence[str]] | None = None,
) -> None:
  """Checks that an evaluation reports the metric of each target.

  Args:
    specs: the section `config.evals`.
    targets: the section `config.targets`.
    tasks: names of the tasks of each held-out set; None if not known yet.

  Raises:
    InputError: no evaluation does; the message lists the metrics.
  """
  known = names(specs)
  for name, target in targets.items():
    if target.metric in known or _is_of_part(target.metric, specs, tasks):
      continue
    suggestion = errors.did_you_mean(target.metric, known)
    raise errors.InputError(
        f"config.targets.{name}.metric is {target.metric!r}, which no"
        f" evaluation reports.{suggestion} Known metrics: {', '.join(known)},"
        " and NAME/TASK/SCORE for each task of an evaluation."
    )


def _is_of_part(
    path: str,
    specs: Mapping[str, config.Eval],
    tasks: Mapping[str, Sequence[str]] | None,
) -> bool:
  """Returns whether a metric is that of a task or a part of the examples."""
  name, _, rest = path.partition("/")
  task, _, score = rest.rpartition("/")
  spec = specs.get(name)
  metric = evals.declaration(spec).metric(score) if spec else None
  if not spec or not metric:
    return False
  if not task:
    return metric.by_part
  if not metric.by_task or score != metric.name:
    return False
  if tasks is None:
    return True
  known = tasks.get(spec.split, ())
  return task in known and len(known) <= subsets.MOST_TASKS
