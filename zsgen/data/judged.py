"""What generated answers are judged by: the store's `heldout.parquet`.

Of each held-out example its input, all references (the loss knows the first
only), and the answer of the first solved example that its prompt may show.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from zsgen.data import suite

_FIELDS = {
    "input": pa.string(),
    "references": pa.list_(pa.string()),
    "first_example": pa.string(),
}
SCHEMA = pa.schema({"id": pa.int64(), **_FIELDS})


class Answered(NamedTuple):
  """A held-out example; `first_example` is None where there is none."""

  input: str
  references: list[str]
  first_example: str | None


def columns(examples: Sequence[suite.Example]) -> dict[str, pa.Array]:
  """The columns of a chunk; null but for held-out examples."""
  found = [_of(each) for each in examples]
  return {
      name: pa.array([each and getattr(each, name) for each in found], kind)
      for name, kind in _FIELDS.items()
  }


def of_chunk(table: pa.Table) -> pa.Table:
  """The rows of `heldout.parquet` from a chunk's, with their ids."""
  known = table.filter(pc.call_function("is_valid", [table["references"]]))
  return known.select(SCHEMA.names).cast(SCHEMA)


def answered(table: pa.Table) -> list[Answered]:
  """The rows of `heldout.parquet`."""
  wanted = table.select(list(_FIELDS)).to_pylist()
  return [Answered(**row) for row in wanted]


def _of(example: suite.Example) -> Answered | None:
  if example.split == suite.TRAIN or example.right is not None:
    return None
  asked, references = example.input, list(example.targets)
  if example.turns:  # Judged is the last thing to say.
    said = {turn.role: turn.text for turn in example.turns}
    asked, references = said.get("user", ""), [said.get("assistant", "")]
  solved = [shot.output for shot in example.shots if shot.positive]
  return Answered(asked, references, solved[0] if solved else None)
