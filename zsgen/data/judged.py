"""References for generated answers: the store's `heldout.parquet`.

It has, for each held-out example, its input, all references (the loss uses the
first only), and the answer of the first solved example that its prompt may
show.
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
  """Returns the columns of a chunk; null except for held-out examples."""
  rows = [_build_answer(example) for example in examples]
  return {
      name: pa.array([row and getattr(row, name) for row in rows], kind)
      for name, kind in _FIELDS.items()
  }


def of_chunk(table: pa.Table) -> pa.Table:
  """Returns the rows of `heldout.parquet` of a chunk, with their ids."""
  known = table.filter(pc.call_function("is_valid", [table["references"]]))
  return known.select(SCHEMA.names).cast(SCHEMA)


def answered(table: pa.Table) -> list[Answered]:
  """Returns the rows of `heldout.parquet`."""
  fields = table.select(list(_FIELDS)).to_pylist()
  return [Answered(**row) for row in fields]


def _build_answer(example: suite.Example) -> Answered | None:
  """Returns what an answer is judged by; None for other examples."""
  if example.split == suite.TRAIN or example.right is not None:
    return None
  question, references = example.input, list(example.targets)
  if example.turns:  # The last turn is judged.
    last_texts = {turn.role: turn.text for turn in example.turns}
    question, references = last_texts.get("user", ""), [
        last_texts.get("assistant", "")
    ]
  solved = [shot.output for shot in example.shots if shot.positive]
  return Answered(question, references, solved[0] if solved else None)
