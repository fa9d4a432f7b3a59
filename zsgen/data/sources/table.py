"""The user's own tables: JSON lines, a JSON array, CSV, TSV, Parquet, Arrow.

`config.data.path` is a file, a directory or a glob (see files.py);
`config.data.fields` says which columns an example is made of. Where no column
tells the split, files named train, heldout, validation or test do.
"""

import pathlib
from typing import Any

from zsgen import config
from zsgen.data import suite
from zsgen.data.sources import catalog, files, records, rows

# The task of rows that name none.
TASK = "table"


def table(data: config.Data, seed: int, scratch: pathlib.Path) -> suite.Suite:
  """The user's tables as a suite; tasks in the order in which they come.

  Args:
    data: `path` and `fields`. Texts are taken as they stand. A row without
      columns for definition and input is plain text: answer only.
    seed: draws the instances.
    scratch: a directory for what cannot be read where it stands.

  Raises:
    InputError: no such file, bad rows, or no held-out set.
  """
  return read("table", data, seed, scratch)


def read(
    name: str, data: config.Data, seed: int, scratch: pathlib.Path
) -> suite.Suite:
  """The tables at `data.path` as the suite `name`; see `table`."""
  found = files.find(data.path, scratch)
  fields = data.fields
  columns = [
      fields.task,
      fields.input,
      fields.target,
      fields.definition,
      fields.category,
      fields.split,
      fields.key,
  ]
  made = rows.Rows(
      found, lambda row, origin: example(row, origin, fields), scratch, columns
  )
  known = catalog.scan(made, data.on_bad_row, unlabelled=TASK)
  return catalog.suite(name, known, data, seed)


def example(
    row: Any, origin: rows.Origin, fields: config.Fields
) -> suite.Example:
  """A row as an example.

  Raises:
    InputError: a column that is named is missing, no text, or empty. An input
      may be empty where there is a definition.
  """
  place = origin.place
  definition = _column(row, fields.definition, place)
  # The definition may say it all.
  asked = (
      records.field(row, fields.input, (str,), place)
      if fields.input and definition
      else _column(row, fields.input, place)
  )
  return suite.Example(
      task=_column(row, fields.task, place) or TASK,
      category=_column(row, fields.category, place),
      split=_column(row, fields.split, place) or origin.file.split,
      definition=definition,
      input=asked,
      targets=records.texts(row, fields.target, place),
      key=records.key(row, fields.key, place) if fields.key else origin.key,
  )


def _column(row: Any, name: str, place: str) -> str:
  """The column's text; "" if no column is named."""
  return records.text(row, name, place) if name else ""
