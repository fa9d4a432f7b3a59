"""Tasks and Mixtures that the user's own module registers with seqio."""

import dataclasses
import pathlib

from zsgen.core import config, errors, registry
from zsgen.core.schema import option, section
from zsgen.data import suite
from zsgen.data.sources import child, options


@dataclasses.dataclass(frozen=True)
class Options(options.Rows):
  """The options of `seqio`."""

  # The name of the Task or Mixture.
  dataset: str = option("")
  # The module that registers the Task or Mixture.
  module: str = option("")
  # Names of the features with the parts of an example.
  fields: config.Fields = section(config.Fields)


@registry.source("seqio", options=Options)
def seqio_task(data: Options, seed: int, scratch: pathlib.Path) -> suite.Suite:
  """Returns a seqio Task or Mixture, with its preprocessors, as a suite.

  The text is `inputs_pretokenized` and `targets_pretokenized` where the
  preprocessors leave them, else the features themselves if they are text,
  else their tokens decoded by the Task's vocabulary. What preprocessors draw
  at random is the same for every seed. A Mixture gives each of its tasks
  in full, in the sequence of their names: its rates are ignored.

  Args:
    data: `module` is imported, `dataset` the name it registers; `fields`
      name features other than inputs and targets. `fields.task` at its
      default means the Task's name. A held-out set may name a `split`: its
      tasks are "TASK.SPLIT"; splits that none names are not read.
    seed: draws the instances.
    scratch: the directory for the table of the rows.

  Raises:
    InputError: a module that does not import, an unknown name, a split or
      feature that is missing, a preprocessor that fails, or whatever the
      table finds wrong.
  """
  rows_path = rows(data, seed, scratch)
  return child.suite_of("seqio", rows_path, data, data.fields, seed, scratch)


def rows(data: Options, seed: int, scratch: pathlib.Path) -> pathlib.Path:
  """Writes the rows to a Parquet file with the columns `child.COLUMNS`.

  The same for every seed. Raises as `seqio_task` does.
  """
  del seed
  for name in ("module", "dataset"):
    if not getattr(data, name):
      raise errors.InputError(
          f"config.data.{name}: is empty; seqio needs a module to import"
          " (config.data.module) and the name of a Task or Mixture that it"
          " registers (config.data.dataset)."
      )
  request = {
      "kind": "seqio",
      "dataset": data.dataset,
      "module": data.module,
      "splits": child.splits(data, data.fields),
      "fields": dataclasses.asdict(data.fields),
  }
  return child.rows(request, data.on_bad_row, scratch)
