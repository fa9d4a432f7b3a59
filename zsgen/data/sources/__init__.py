"""Sources by name: each makes a suite from `config.data` and a seed."""

from collections.abc import Callable, Mapping
import dataclasses
import importlib
import pathlib
from typing import Any

from zsgen.core import config, errors
from zsgen.data import suite
from zsgen.data.sources import draws, heldout

Source = Callable[[config.Data, int, pathlib.Path], suite.Suite]


def _from_files(module: str) -> Source:
  """Returns a source of files; its module is imported when it is called."""

  def source(
      data: config.Data, seed: int, scratch: pathlib.Path
  ) -> suite.Suite:
    loaded = importlib.import_module(f"{__name__}.{module}")
    return getattr(loaded, module)(data, seed, scratch)

  return source


def _generated(module: str) -> Source:
  """Returns a source that keeps nothing on disk; see `_from_files`."""

  def source(
      data: config.Data, seed: int, scratch: pathlib.Path
  ) -> suite.Suite:
    del scratch
    loaded = importlib.import_module(f"{__name__}.{module}")
    return getattr(loaded, module)(data, seed)

  return source


SOURCES: dict[str, Source] = {
    "chat": _from_files("chat"),
    "flan_mini": _from_files("flan_mini"),
    "niv2": _from_files("niv2"),
    "p3": _from_files("p3"),
    "rewrites": _generated("rewrites"),
    "seqio": _from_files("seqio_task"),
    "synth": _generated("synth"),
    "table": _from_files("table"),
    "tfds": _from_files("tfds"),
    "worlds": _generated("worlds"),
}
_FILES = ("path", "heldout", "on_bad_row", "deduplicate", "draw")
# The options of `config.data` that each source reads, beside those that all
# do; others must stay as they are by default.
_READS: dict[str, tuple[str, ...]] = {
    "chat": (
        *_FILES,
        *("fields.task", "fields.category", "fields.split", "fields.key"),
    ),
    "flan_mini": _FILES,
    "niv2": (*_FILES, "track"),
    "p3": _FILES,
    "rewrites": ("rewrites",),
    "seqio": (*_FILES[1:], "dataset", "module", "fields"),
    "synth": (),
    "table": (*_FILES, "fields"),
    "tfds": (*_FILES, "dataset", "fields"),
    "worlds": (),
}
_SOME_READ = (*_FILES, "track", "fields", "dataset", "module", "rewrites")
# Sources that make as many examples as they are asked for, and the most.
_GENERATED = ("synth", "worlds")
_MOST = 10**6
# What shows solved examples of a task, and the source that has them.
_SHOWN = ("shots", "negative_shots", "explanations")
_SOLVED = "niv2"


def load(data: config.Data, seed: int, scratch: pathlib.Path) -> suite.Suite:
  """The suite that `config.data` names.

  Args:
    data: the config's section.
    seed: draws held-out shares and instances.
    scratch: a directory that the source may keep files in; it need not exist.

  Raises:
    InputError: see `check`; or whatever the source finds wrong.
  """
  check(data)
  return SOURCES[data.source](data, seed, scratch)


def check(data: config.Data) -> None:
  """Checks what can be wrong before anything is read.

  Raises:
    InputError: an unknown source, an option that it does not read, more
      examples than can be made, solved examples that it does not have, or a
      draw that there is not.
  """
  errors.choose(SOURCES, data.source, "config.data.source")
  _check_options(data)
  _check_shots(data)
  heldout.seeds(data)
  _check_generated(data)
  if data.source == "rewrites":
    from zsgen.data.sources import rewrites

    rewrites.check(data)
  if data.draw not in draws.DRAWS:
    raise errors.InputError(
        f"config.data.draw: {data.draw!r} is not known."
        f"{errors.did_you_mean(data.draw, draws.DRAWS)} There are:"
        f" {', '.join(draws.DRAWS)}."
    )


def _check_options(data: config.Data) -> None:
  """Options that the source does not read are not set."""
  reads = _READS.get(data.source, _SOME_READ)
  unread = {
      f"config.data.{name}": value
      for name, value in _given(data).items()
      if name not in reads and name.partition(".")[0] not in reads
  }
  if unread:
    it, are = ("it", "it is") if len(unread) == 1 else ("them", "they are")
    raise errors.InputError(
        f"{', '.join(unread)}: the source {data.source} does not read {it}, but"
        f" {are} set to {', '.join(map(repr, unread.values()))}. Of these it"
        f" reads: {', '.join(reads) or 'none'}."
    )


def _given(data: config.Data) -> dict[str, Any]:
  """Options that are not as by default, of those that not all sources read."""
  default, given = config.Data(), {}
  for name in _SOME_READ:
    value, usual = getattr(data, name), getattr(default, name)
    if dataclasses.is_dataclass(value):
      value, usual = dataclasses.asdict(value), dataclasses.asdict(usual)
      given |= {f"{name}.{k}": v for k, v in value.items() if v != usual[k]}
    elif value != usual:
      # Held-out sets: their names.
      given[name] = list(value) if isinstance(value, Mapping) else value
  return given


def _check_generated(data: config.Data) -> None:
  """Examples that are generated are few enough to be made in hours."""
  for option in ("train_instances", "heldout_instances"):
    value = getattr(data, option)
    if data.source in _GENERATED and value > _MOST:
      raise errors.InputError(
          f"config.data.{option} is {value:,}; it must be at most {_MOST:,}: the"
          f" source {data.source} makes that many examples of each task."
      )


def _check_shots(data: config.Data) -> None:
  """Solved examples are asked only of a source that has some."""
  if data.prompt != "niv2" or data.source not in {*_READS} - {_SOLVED}:
    return
  for option in _SHOWN:
    if value := getattr(data, option):
      raise errors.InputError(
          f"config.data.{option} is {value}, but the source {data.source} has"
          f" no solved examples to show (only {_SOLVED} has). Set"
          f" --config.data.{option}={type(value)(0)}, or take another"
          " config.data.prompt."
      )
