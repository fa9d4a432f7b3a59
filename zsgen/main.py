"""Runs an experiment: makes the data and the order, trains, and reports.

  python -m zsgen.main --config=configs/tmt.py

The same command resumes a run that was stopped.
"""

from collections.abc import Iterable

from absl import flags
from ml_collections import config_flags

from zsgen.core import command, errors

# The value of --show_batch without a step.
_FIRST = "first"
_STAGE = flags.DEFINE_string(
    "stage",
    None,
    "Runs one stage and what it needs: prepare, order, train, report, export,"
    " evaluate or plan. By default, the first four run.",
)


class _StepParser(flags.ArgumentParser):
  """Parses a flag with a step, or without one for the first step."""

  syntactic_help = "a step; none for the first one"

  def parse(self, argument: str | int) -> str | int | None:
    """Returns the step, `_FIRST` if the flag has none, or None for no flag."""
    if argument in ("true", _FIRST):
      return _FIRST
    if argument == "false":
      return None
    if not str(argument).isdecimal():
      raise ValueError(f"{argument!r} is not a step, such as 0 or 12")
    return int(argument)

  def flag_type(self) -> str:
    """Returns the type that absl shows in its help."""
    return "step"


_SHOW_BATCH = flags.DEFINE_flag(
    flags.Flag(
        _StepParser(),
        flags.ArgumentSerializer(),
        "show_batch",
        None,
        "Prints the batch of a step as text, with the loss tokens marked, and"
        " exits: --show_batch for the first step, --show_batch=STEP for another"
        " one.",
        boolean=True,
    )
)


def check_stage(stage: str | None, overrides: Iterable[str]) -> None:
  """Raises InputError for options of the plan without --stage=plan.

  Only the command line is checked: a config file serves several stages.

  Args:
    stage: the only stage to run; None for all stages of an experiment.
    overrides: options that the command line sets, such as "plan.rows".
  """
  for name in overrides:
    if name.startswith("plan.") and stage != "plan":
      raise errors.InputError(
          f"--config.{name}: only --stage=plan reads it. Add --stage=plan, or"
          " leave it out."
      )


def main() -> None:
  """Runs what the flags say."""
  from zsgen import pipeline  # After flags: --help and typos answer at once.

  flag = flags.FLAGS[command.CONFIG.name]
  check_stage(_STAGE.value, config_flags.get_override_values(flag))
  if _SHOW_BATCH.value is not None:
    step = None if _SHOW_BATCH.value == _FIRST else _SHOW_BATCH.value
    pipeline.show_batch(command.CONFIG.value, command.WORKDIR.value, step)
  else:
    stages = [_STAGE.value] if _STAGE.value else None
    pipeline.run(command.CONFIG.value, command.WORKDIR.value, stages)


def start() -> None:
  """Runs the command `zsgen`; the flags of this module are in its --help."""
  command.start(main, [_STAGE, _SHOW_BATCH], in_buckets=True)


if __name__ == "__main__":
  start()
