"""Segments of an order that is arranged anew while a run trains.

`runs/<run>/segments/<step>/` holds what is left of the order before that step,
in its new sequence, as an order's directory does:
  ids.npy        int64 [n], the ids of all steps from `step` on
  order.parquet  as that of an order; `position` counts from the segment on
  manifest.json  what made it, its fingerprint, and the shapes of its steps
It is written before any of it is consumed, and never computed again: losses of
a model are floats of a machine. The steps up to the next segment consume it.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.orders import computed
from zsgen.orders import order as order_lib

# The directory of segments in a run's directory.
NAME = "segments"
# The field of a run's `made_by` with the steps of its segments.
REMAKE = "remake"
# Files that decide what is consumed, and those that describe it.
FILES = (order_lib.IDS, order_lib.TABLE, artifacts.MANIFEST)


class Segment(NamedTuple):
  """A segment that was loaded and checked.

  Attributes:
    path: its directory.
    step: the first step that consumes it.
    ids: the rest of the order from that step on, int64 [n].
    manifest: what made it, fingerprint, statistics and file hashes.
  """

  path: pathlib.Path
  step: int
  ids: np.ndarray
  manifest: Mapping[str, Any]

  @property
  def fingerprint(self) -> str:
    """SHA-256 (hex) of the ids and the store's fingerprint."""
    return self.manifest["fingerprint"]

  def table(self) -> pa.Table:
    """Returns order.parquet, [n] rows."""
    return pq.read_table(self.path / order_lib.TABLE)


def steps_of(manifest: Mapping[str, Any]) -> tuple[int, ...]:
  """Returns the steps before which a run's order is arranged anew, ascending.

  Args:
    manifest: of the run; () for a static order.
  """
  return tuple(manifest["made_by"].get(REMAKE, {}).get("steps", ()))


def path_of(run: pathlib.Path, step: int) -> pathlib.Path:
  """Returns the directory of the segment that begins with a step."""
  return run / NAME / str(step)


def recipe(run: str, step: int, rest: np.ndarray, store: str) -> dict[str, Any]:
  """Returns what decides a segment, as JSON values.

  Args:
    run: the identity of the run.
    step: the first step of the segment.
    rest: the ids that are left, in any sequence.
    store: the fingerprint of the store.
  """
  left = order_lib.fingerprint(np.sort(rest), store)
  return {"run": run, "step": step, "rest": left, "store": store}


def save(
    run: pathlib.Path,
    made_by: Mapping[str, Any],
    store: store_lib.Store,
    table: pa.Table,
    mesh: Mapping[str, int],
    **fields: Any,
) -> None:
  """Writes a segment, in full or not at all.

  Args:
    run: the run's directory.
    made_by: what `recipe` returned.
    store: the store of the run.
    table: the rest in its new sequence, with the columns of an order.
    mesh: sizes of the axes of the devices that computed it.
    **fields: further fields of the manifest, JSON values.
  """
  with computed.writing(
      *(path_of(run, made_by["step"]), made_by, store, mesh),
      kind="segment",
      count=len(table),
      **order_lib.describe(store, table),
      **fields,
  ) as partial:
    np.save(partial / order_lib.IDS, table["id"].to_numpy())
    pq.write_table(table, partial / order_lib.TABLE)


def load(
    run: pathlib.Path, identity: str, step: int, rest: np.ndarray, store: str
) -> Segment:
  """Loads a segment, and checks that it is one of a run.

  Args:
    run: the run's directory.
    identity: the identity of the run.
    step: the first step of the segment.
    rest: the ids that were left before it, in any sequence.
    store: the fingerprint of the store.

  Raises:
    InputError: it is missing or damaged, or does not have these ids.
  """
  path = path_of(run, step)
  made_by = recipe(identity, step, rest, store)
  manifest = artifacts.check_made_by(path, made_by)
  artifacts.check_files(path, manifest["files"])
  segment = Segment(
      path, step, artifacts.load_array(path / order_lib.IDS), manifest
  )
  is_same = (
      order_lib.fingerprint(segment.ids, store) == segment.fingerprint
      and np.array_equal(np.sort(segment.ids), np.sort(rest))
      and np.array_equal(segment.ids, segment.table()["id"].to_numpy())
  )
  if not is_same:
    raise errors.InputError(
        f"{path}: its ids are not those that were left before step {step}."
        f" It was changed; {artifacts.advise(path)}."
    )
  return segment


@dataclasses.dataclass(frozen=True)
class RemadeOrder(order_lib.Order):
  """An order whose rest was arranged anew: what a run consumes in the end.

  Attributes:
    joined: its table, with the segments in it.
    segments: these segments, ascending.
  """

  joined: pa.Table
  segments: tuple[Segment, ...]

  @property
  def table(self) -> pa.Table:
    """The columns of order.parquet, [n] rows."""
    return self.joined


def join(
    order: order_lib.Order,
    segments: Iterable[Segment],
    first: int,
    batch_size: int,
) -> order_lib.Order:
  """Returns an order with segments in the place of its rest.

  Args:
    order: as it was made before training.
    segments: those that are written, ascending.
    first: the step that consumes the beginning of the order.
    batch_size: examples of a step.
  """
  table, read = order.table, tuple(segments)
  if not read:
    return order
  for segment in read:
    begin = (segment.step - first) * batch_size
    later = segment.table().cast(table.schema)
    table = pa.concat_tables([table.slice(0, begin), later])
  positions = pa.array(np.arange(len(table)))
  table = table.set_column(0, "position", positions).combine_chunks()
  ids = table["id"].to_numpy()
  return RemadeOrder(order.path, ids, order.manifest, table, read)
