"""Tables that a child process wrote, as suites."""

import dataclasses
import pathlib

from zsgen.core import config
from zsgen.data import suite
from zsgen.data.sources import catalog, child, files, table


def suite_of(
    name: str,
    path: pathlib.Path,
    data: config.Data,
    seed: int,
    scratch: pathlib.Path,
) -> suite.Suite:
  """A table of `child.rows` as the suite `name`.

  Its files are the table and, on this machine, those that it was read from.
  What it tells has, as `read`, the table's manifest. See `table.read`.
  """
  told = child.manifest(path)
  reader = table.reader_of(
      files.find(str(path), scratch), _columns(data.fields)
  )
  known = catalog.scan(
      reader, data.on_bad_row, scratch, unlabelled=told["unlabelled"]
  )
  made = catalog.suite(name, known, data, seed)
  read_from = [pathlib.Path(each["path"]) for each in told.pop("sources")]
  return dataclasses.replace(
      made,
      files=(*made.files, *read_from),
      told={**made.told, "read": told},
  )


def _columns(fields: config.Fields) -> config.Fields:
  """Where the parts of an example are in a table of `child.rows`."""
  return config.Fields(
      task="task",
      input="input" if fields.input else "",
      target="targets",
      definition="definition" if fields.definition else "",
      category="category" if fields.category else "",
      split="split",
      key="key",
      choices="choices" if fields.choices else "",
  )
