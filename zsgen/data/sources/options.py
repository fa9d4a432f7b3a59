"""The options that several sources share; they extend `config.data`."""

from collections.abc import Mapping
import dataclasses

from zsgen.core import config, errors
from zsgen.core.schema import option, section
from zsgen.data.sources import draws

# Examples of a task that are generated in hours.
_MAX_INSTANCES = 10**6


@dataclasses.dataclass(frozen=True)
class Rows(config.Data):
  """The options of sources whose rows somebody else has written."""

  # Held-out sets by name; {}: the source's own.
  heldout: Mapping[str, config.Heldout] = dataclasses.field(
      default_factory=dict, metadata=dict(of=config.Heldout)
  )
  # What to do with a row that cannot be used. error: stop; skip: leave it out
  # and count it.
  on_bad_row: str = option("error", choices=("error", "skip"))
  # Whether to leave out training examples that repeat the prompt and answer of
  # another one.
  deduplicate: bool = option(False)
  # How the examples of a task are drawn.
  draw: str = option("seed", choices=draws.DRAWS)
  # Seed of held-out sets without a seed of their own: of shares, instances and
  # references; None: they are drawn together with the training examples.
  heldout_seed: int | None = option(None, low=0, high=2**32 - 1, newer=True)

  def check(self, section: str) -> None:
    """Raises InputError for seeds of held-out sets that nothing reads."""
    del section
    draws.check_seeds(self.heldout, self.draw)


@dataclasses.dataclass(frozen=True)
class Files(Rows):
  """The options of sources that read files."""

  # The file, directory or glob to read.
  path: str = option("", machine=True)


@dataclasses.dataclass(frozen=True)
class Table(Files):
  """The options of sources that read columns of files."""

  # Names of the columns with the parts of an example.
  fields: config.Fields = section(config.Fields)


@dataclasses.dataclass(frozen=True)
class Generated(config.Data):
  """The options of sources that generate any number of examples."""

  # Seed of the held-out instances; None: that of the training instances.
  heldout_seed: int | None = option(None, low=0, high=2**32 - 1, newer=True)

  def check(self, section: str) -> None:
    """Raises InputError for more examples than can be made in hours."""
    for name in ("train_instances", "heldout_instances"):
      value = getattr(self, name)
      if value > _MAX_INSTANCES:
        raise errors.InputError(
            f"{section}.{name} is {value:,}; it must be at most"
            f" {_MAX_INSTANCES:,}: the source {self.source} makes that many"
            " examples of each task."
        )


def heldout(data: config.Data) -> Mapping[str, config.Heldout]:
  """Returns the held-out sets that a config names."""
  return data.heldout if isinstance(data, Rows) else {}


def heldout_seed(data: config.Data, seed: int) -> int:
  """Returns the seed of held-out sets without their own.

  Args:
    data: the config's section.
    seed: the seed of the training examples.
  """
  own = getattr(data, "heldout_seed", None)
  return seed if own is None else own


def on_bad_row(data: config.Data) -> str:
  """Returns what happens to a row that cannot be used."""
  return data.on_bad_row if isinstance(data, Rows) else "error"


def path(data: config.Data) -> str:
  """Returns where a source's files are; "" if it reads none."""
  return data.path if isinstance(data, Files) else ""
