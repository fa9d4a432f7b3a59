"""Lists the metrics of evaluations, and checks targets against them."""

from collections.abc import Mapping, Sequence

from zsgen.core import config, errors
from zsgen.evals import judge, subsets

# What each type scores: means over examples and over tasks, and of each task.
_SCORES = {
    "loss": ("loss",),
    "choice": ("accuracy", "accuracy_sum"),
    "exact": ("exact_match",),
    "generate": judge.NAMES,
    "copy_input": judge.NAMES,
    "copy_first_example": judge.NAMES,
}
_KIND = "_exact_match"
_TRAIN = tuple(
    f"train/{name}"
    for name in ("loss", "grad_norm", "learning_rate", "tokens", "loss_tokens")
)


def names(evals: Mapping[str, config.Eval]) -> list[str]:
  """Returns the paths of all metrics that are known without the store."""
  paths = []
  for name, spec in evals.items():
    for score in _SCORES[spec.type]:
      paths += [f"{name}/{score}", f"{name}/task_mean_{score}"]
    if spec.type == "exact":
      paths.append(f"{name}/token_accuracy")
  return [*paths, *_TRAIN]


def check_targets(
    evals: Mapping[str, config.Eval],
    targets: Mapping[str, config.Target],
    tasks: Mapping[str, Sequence[str]] | None = None,
) -> None:
  """Checks that an evaluation reports the metric of each target.

  Args:
    evals: the section `config.evals`.
    targets: the section `config.targets`.
    tasks: names of the tasks of each held-out set; None if not known yet.

  Raises:
    InputError: no evaluation does; the message lists the metrics.
  """
  known = names(evals)
  for name, target in targets.items():
    if target.metric in known or _is_of_part(target.metric, evals, tasks):
      continue
    near = errors.did_you_mean(target.metric, known)
    raise errors.InputError(
        f"config.targets.{name}.metric is {target.metric!r}, which no"
        f" evaluation reports.{near} Known metrics: {', '.join(known)}, and"
        " NAME/TASK/SCORE for each task of an evaluation."
    )


def _is_of_part(
    metric: str,
    evals: Mapping[str, config.Eval],
    tasks: Mapping[str, Sequence[str]] | None,
) -> bool:
  """Returns whether a metric is that of a task or a kind of rewrites."""
  name, _, rest = metric.partition("/")
  task, _, score = rest.rpartition("/")
  spec = evals.get(name)
  if spec is None:
    return False
  if not task:
    return spec.type == "exact" and score.endswith(_KIND)
  if score not in _SCORES[spec.type]:
    return False
  if tasks is None:
    return True
  there = tasks.get(spec.split, ())
  return task in there and len(there) <= subsets.MOST_TASKS
