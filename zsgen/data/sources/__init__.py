"""Sources by name: each makes a suite from `config.data` and a seed."""

from collections.abc import Callable

from zsgen import config, errors
from zsgen.data import suite
from zsgen.data.sources import draws, flan_mini, niv2, synth, worlds

Source = Callable[[config.Data, int], suite.Suite]

SOURCES: dict[str, Source] = {
    "flan_mini": flan_mini.flan_mini,
    "niv2": niv2.niv2,
    "synth": synth.synth,
    "worlds": worlds.worlds,
}
# What a source can do beside drawing by the seed.
_DRAWS = {"flan_mini": draws.DRAWS, "niv2": tuple(draws.BY_TASK)}


def load(data: config.Data, seed: int) -> suite.Suite:
  """The suite that `config.data` names.

  Raises:
    InputError: an unknown source, a draw that it cannot do, or whatever the
      source finds wrong.
  """
  source = errors.choose(SOURCES, data.source, "config.data.source")
  known = _DRAWS.get(data.source, ("seed",))
  if data.draw not in known:
    raise errors.InputError(
        f"config.data.draw: {data.source} cannot draw by {data.draw!r}."
        f"{errors.did_you_mean(data.draw, known)} It can by:"
        f" {', '.join(known)}."
    )
  return source(data, seed)
