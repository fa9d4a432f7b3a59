"""Sources by name: each makes a suite from `config.data` and a seed."""

from collections.abc import Callable
import pathlib

from zsgen import config, errors
from zsgen.data import suite
from zsgen.data.sources import (
    chat,
    draws,
    flan_mini,
    niv2,
    p3,
    seqio_task,
    synth,
    table,
    tfds,
    worlds,
)

Source = Callable[[config.Data, int, pathlib.Path], suite.Suite]


def _generated(make: Callable[[config.Data, int], suite.Suite]) -> Source:
  """A source that keeps nothing on disk."""

  def source(data: config.Data, seed: int, scratch: pathlib.Path):
    del scratch
    return make(data, seed)

  return source


SOURCES: dict[str, Source] = {
    "chat": chat.chat,
    "flan_mini": flan_mini.flan_mini,
    "niv2": niv2.niv2,
    "p3": p3.p3,
    "seqio": seqio_task.seqio_task,
    "synth": _generated(synth.synth),
    "table": table.table,
    "tfds": tfds.tfds,
    "worlds": _generated(worlds.worlds),
}
_FILES = ("path", "heldout", "on_bad_row", "deduplicate", "draw")
# The options of `config.data` that each source reads, beside those that all
# do; others must stay as they are by default.
_READS: dict[str, tuple[str, ...]] = {
    "chat": (*_FILES, "fields"),
    "flan_mini": _FILES,
    "niv2": (*_FILES, "track"),
    "p3": _FILES,
    "seqio": (*_FILES[1:], "dataset", "module", "fields"),
    "synth": (),
    "table": (*_FILES, "fields"),
    "tfds": (*_FILES, "dataset", "fields"),
    "worlds": (),
}
_SOME_READ = (*_FILES, "track", "fields", "dataset", "module")


def load(data: config.Data, seed: int, scratch: pathlib.Path) -> suite.Suite:
  """The suite that `config.data` names.

  Args:
    data: the config's section.
    seed: draws held-out shares and instances.
    scratch: a directory that the source may keep files in; it need not exist.

  Raises:
    InputError: an unknown source, an option that it does not read, a draw
      that there is not, or whatever the source finds wrong.
  """
  source = errors.choose(SOURCES, data.source, "config.data.source")
  _check_options(data)
  if data.draw not in draws.DRAWS:
    raise errors.InputError(
        f"config.data.draw: {data.draw!r} is not known."
        f"{errors.did_you_mean(data.draw, draws.DRAWS)} There are:"
        f" {', '.join(draws.DRAWS)}."
    )
  return source(data, seed, scratch)


def _check_options(data: config.Data) -> None:
  """Options that the source does not read are not set."""
  default = config.Data()
  reads = _READS.get(data.source, _SOME_READ)
  for name in _SOME_READ:
    value = getattr(data, name)
    if name not in reads and value != getattr(default, name):
      raise errors.InputError(
          f"config.data.{name}: the source {data.source} does not read it, but"
          f" it is set to {value!r}. It reads: {', '.join(reads) or 'none'} of"
          f" {', '.join(_SOME_READ)}."
      )
