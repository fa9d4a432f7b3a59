"""The options in which the runs of a page differ."""

from collections.abc import Mapping
import json
from typing import Any

from zsgen.core import config as config_lib
from zsgen.reports import curves, origins
from zsgen.reports.interactive import encoding
from zsgen.reports.interactive import subject as subject_lib

_VALUE = 1000


def build(subject: subject_lib.Subject) -> dict[int, dict[str, str]]:
  """Returns the options of each run that not all runs have alike, as JSON."""
  options = {i: flatten(run) for i, run in subject.runs.items()}
  names = sorted({name for values in options.values() for name in values})
  differing = [
      name
      for name in names
      if len({values.get(name) for values in options.values()}) > 1
  ]
  return {
      i: {
          encoding.words(name): encoding.words(values[name], _VALUE)
          for name in differing
          if name in values
      }
      for i, values in options.items()
  }


def flatten(run: curves.RunRecords) -> Mapping[str, str]:
  """Returns the options of a run as JSON, by their dotted names."""
  values: dict[str, Any] = origins.flatten(config_lib.to_dict(run.config))
  return {
      name: json.dumps(value, default=str) for name, value in values.items()
  }
