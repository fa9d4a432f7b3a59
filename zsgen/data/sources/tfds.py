"""TensorFlow Datasets that are prepared on disk; nothing is downloaded."""

import dataclasses
import os
import pathlib

from zsgen.core import errors, registry
from zsgen.core.schema import option
from zsgen.data import suite
from zsgen.data.sources import child, options


@dataclasses.dataclass(frozen=True)
class Options(options.Table):
  """The options of `tfds`; `path` is the directory of prepared data sets."""

  # The dataset, as NAME[/CONFIG][:VERSION].
  dataset: str = option("")


@registry.source("tfds", options=Options)
def tfds(data: Options, seed: int, scratch: pathlib.Path) -> suite.Suite:
  """Returns a TFDS data set as a suite.

  Args:
    data: `dataset` is NAME[/CONFIG][:VERSION], the highest version by
      default; `path` the directory that it is prepared in (data_dir);
      `fields` name its features, nested ones as "a/b". A class becomes its
      name; without `fields.task` the data set is one task. A held-out set may
      name a `split`: its tasks are "TASK.SPLIT".
    seed: draws the instances.
    scratch: the directory for the table of its rows.

  Raises:
    InputError: a data set that is not prepared, a split or feature that it
      does not have, or whatever the table finds wrong.
  """
  rows_path = rows(data, seed, scratch)
  return child.suite_of("tfds", rows_path, data, data.fields, seed, scratch)


def rows(data: Options, seed: int, scratch: pathlib.Path) -> pathlib.Path:
  """Writes the rows to a Parquet file with the columns `child.COLUMNS`.

  The same for every seed. Raises as `tfds` does.
  """
  del seed
  for name in ("dataset", "path"):
    if not getattr(data, name):
      raise errors.InputError(
          f"config.data.{name}: is empty; tfds needs the name of a data set"
          " (config.data.dataset) and the directory that it is prepared in"
          " (config.data.path, TFDS' data_dir)."
      )
  request = {
      "kind": "tfds",
      "dataset": data.dataset,
      "data_dir": _directory(data.path),
      "splits": child.splits(data, data.fields),
      "fields": dataclasses.asdict(data.fields),
  }
  return child.rows(request, data.on_bad_row, scratch)


def _directory(path: str) -> str:
  """Returns an absolute path, or the URL of a bucket unchanged."""
  if "://" in path:
    return path
  return os.path.abspath(os.path.expanduser(path))
