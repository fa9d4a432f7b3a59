"""Trains populations of small models."""

from collections.abc import Iterator

from benchmarks import population
from benchmarks.parts import task as task_lib


def measure(task: task_lib.Task) -> Iterator[task_lib.Row]:
  """Yields tokens per second of all members, together and one by one."""
  for members in task.sizes.members:
    separate, joint = population.measure(
        task.sizes.tier, members, task.sizes.laps
    )
    yield {
        "case": f"{task.sizes.tier}, {members} together",
        "rate": joint,
        "figures": {
            "one after another": separate,
            "ratio": joint / separate,
        },
    }
