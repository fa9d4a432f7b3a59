"""What an interactive page is about: runs, and how they are compared."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import NamedTuple

from zsgen.core import artifacts
from zsgen.data import store as store_lib
from zsgen.orders import order as order_lib
from zsgen.orders import segments
from zsgen.reports import alignment, curves
from zsgen.reports import comparison as comparison_lib


class Member(NamedTuple):
  """A run or an evaluation of a page.

  Attributes:
    label: runs of one label differ in their seed.
    seed: config.seed.
    run: its records.
    metrics: its curves by path.
    is_parent: whether only the curves are shown: those of a fork's parent.
  """

  label: str
  seed: int
  run: curves.RunRecords
  metrics: Mapping[str, curves.Curve]
  is_parent: bool = False


class Compared(NamedTuple):
  """A run next to the reference's run of its seed.

  Attributes:
    member: the position of the run among the members.
    reference: that of the reference's run.
    evaluation: the name of the evaluation.
    pair: both, at the steps and examples that they share.
  """

  member: int
  reference: int
  evaluation: str
  pair: alignment.Pair


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
  """What a page shows.

  Attributes:
    members: runs; those of the reference come first.
    reference: the label that others are compared with; "" for none.
    compared: differences to the reference.
  """

  members: Sequence[Member]
  reference: str = ""
  compared: Sequence[Compared] = ()

  @functools.cached_property
  def labels(self) -> list[str]:
    """The labels, in the sequence of the members."""
    return list(dict.fromkeys(member.label for member in self.members))

  @functools.cached_property
  def runs(self) -> dict[int, curves.RunRecords]:
    """The runs with examples, by their positions among the members."""
    return {
        i: member.run
        for i, member in enumerate(self.members)
        if not member.is_parent
    }

  @functools.cached_property
  def trained(self) -> dict[int, curves.RunRecords]:
    """The runs with an order, by their positions among the members."""
    return {i: run for i, run in self.runs.items() if run.steps}

  @functools.cached_property
  def evaluations(self) -> list[str]:
    """The names of all evaluations."""
    return list(
        dict.fromkeys(
            name
            for run in self.runs.values()
            for name in run.config.evaluations
        )
    )

  @functools.cached_property
  def open_store(self) -> Callable[[pathlib.Path], store_lib.Store]:
    """The function that opens a store, once."""
    return functools.cache(store_lib.open_store)

  @functools.cached_property
  def orders(self) -> dict[int, pathlib.Path]:
    """What has the order of each trained run.

    It is the directory of the order, which runs may share; or that of the run,
    if it arranged its order anew.
    """
    manifests = {
        i: artifacts.read_manifest(run.path, "run")
        for i, run in self.trained.items()
    }
    return {
        i: run.path if segments.steps_of(manifests[i]) else run.order
        for i, run in self.trained.items()
    }

  def load_order(self, member: int) -> order_lib.Order:
    """Returns the order that a trained run consumes, which is loaded once.

    Args:
      member: the position of the run among the members.

    Raises:
      InputError: the order or a segment of it is damaged.
    """
    path = self.orders[member]
    if path not in self._loaded:
      self._loaded[path] = self.trained[member].load_order()
    return self._loaded[path]

  @functools.cached_property
  def _loaded(self) -> dict[pathlib.Path, order_lib.Order]:
    """The orders that are loaded, by what has them."""
    return {}


def from_run(run: curves.RunRecords) -> Subject:
  """Returns a run, and the curves of the run that it was forked from."""
  config = run.config
  members = [Member(config.name, config.seed, run, run.metrics)]
  if run.parent_metrics:
    label = f"parent of {config.name}"
    members.append(
        Member(label, config.seed, run, run.parent_metrics, is_parent=True)
    )
  return Subject(members)


def from_comparisons(
    comparisons: Sequence[comparison_lib.Comparison],
) -> Subject:
  """Returns the runs of comparisons, with the differences of the first one.

  Args:
    comparisons: of runs, of evaluations, or of both, the runs first.
  """
  members: list[Member] = []
  numbers: dict[tuple[str, int], int] = {}
  for comparison in comparisons:
    labels = {member.label for member in members}
    for label, by_seed in comparison.runs.items():
      unique = f"{label} (evaluation)" if label in labels else label
      for seed, run in by_seed.items():
        numbers.setdefault((label, seed), len(members))
        members.append(Member(unique, seed, run, run.metrics))
  first = comparisons[0]
  compared = [
      Compared(numbers[label, seed], numbers[first.reference, seed], name, pair)
      for label in first.runs
      if label != first.reference
      for name in first.evals
      for seed, pair in first.pairs(label, name).items()
  ]
  return Subject(members, first.reference, compared)
