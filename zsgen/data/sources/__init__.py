"""Sources: each builds a suite from its options and a seed.

A source is a function of the section `config.data` (an instance of its own
options), the seed and a directory that it may keep files in, which need not
exist. It is registered in its module by `registry.source`. It returns a suite,
or a `catalog.Corpus`, which is scanned first, by one process or several.
"""

import pathlib

from zsgen.core import config, errors, registry
from zsgen.data import suite
from zsgen.data.sources import catalog

# The prompt that shows solved examples of a task, and the source that has some.
_SHOWING, _SOLVED = "niv2", "niv2"
_EXAMPLE_OPTIONS = ("shots", "negative_shots", "explanations")


def load(data: config.Data, seed: int, scratch: pathlib.Path) -> suite.Suite:
  """Returns the suite that `config.data` names.

  Args:
    data: the config's section.
    seed: draws held-out shares and instances.
    scratch: a directory that the source may keep files in; it need not exist.

  Raises:
    InputError: see `check`, or an error of the source.
  """
  source = open_source(data, seed, scratch)
  if isinstance(source, catalog.Corpus):
    return catalog.suite(source, scratch)
  return source


def open_source(
    data: config.Data, seed: int, scratch: pathlib.Path
) -> suite.Suite | catalog.Corpus:
  """Returns what a source registered; a corpus is not scanned yet.

  Args:
    data: the config's section.
    seed: draws held-out shares and instances.
    scratch: a directory that the source may keep files in; it need not exist.

  Raises:
    InputError: see `check`, or an error of the source.
  """
  check(data)
  component = registry.component("source", data.source, "config.data.source")
  return component.build(data, seed, scratch)


def check(data: config.Data) -> None:
  """Checks that the source has the solved examples that the prompt shows.

  Raises:
    InputError: it has none.
  """
  component = registry.component("source", data.source, "config.data.source")
  is_known = component.module.startswith("zsgen.") and data.source != _SOLVED
  if data.prompt != _SHOWING or not is_known:
    return
  for option in _EXAMPLE_OPTIONS:
    if value := getattr(data, option):
      raise errors.InputError(
          f"config.data.{option} is {value}, but the source {data.source} has"
          f" no solved examples to show (only {_SOLVED} has). Set"
          f" --config.data.{option}={type(value)(0)}, or use another"
          " config.data.prompt."
      )
