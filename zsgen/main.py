"""`python -m zsgen.main --config=configs/tmt.py`: flags and dispatch."""

from absl import flags

from zsgen import command

_STAGE = flags.DEFINE_string(
    "stage",
    None,
    "One stage: prepare, order, train, report, export, evaluate or plan.",
)
_SHOW_BATCH = flags.DEFINE_bool(
    "show_batch", False, "Print the first batch, loss tokens marked, and stop."
)


def main() -> None:
  """Runs what the flags say."""
  from zsgen import pipeline  # After flags: --help and typos answer at once.

  if _SHOW_BATCH.value:
    pipeline.show_batch(command.CONFIG.value, command.WORKDIR.value)
  else:
    stages = [_STAGE.value] if _STAGE.value else None
    pipeline.run(command.CONFIG.value, command.WORKDIR.value, stages)


if __name__ == "__main__":
  command.start(main)
