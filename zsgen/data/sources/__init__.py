"""Sources by name: each makes a suite from `config.data` and a seed."""

from collections.abc import Callable

from zsgen import config, errors
from zsgen.data import suite
from zsgen.data.sources import niv2, synth, worlds

Source = Callable[[config.Data, int], suite.Suite]

SOURCES: dict[str, Source] = {
    "niv2": niv2.niv2,
    "synth": synth.synth,
    "worlds": worlds.worlds,
}


def load(data: config.Data, seed: int) -> suite.Suite:
  """The suite that `config.data` names.

  Raises:
    InputError: an unknown source, or whatever the source finds wrong.
  """
  source = errors.choose(SOURCES, data.source, "config.data.source")
  return source(data, seed)
