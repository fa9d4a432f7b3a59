"""`config.model.init='tiny'`: the base that is part of the package."""

import pathlib

from zsgen.core import config
from zsgen.models import presets
from zsgen.train.starts import api, directory

_PATH = pathlib.Path(__file__).parents[2] / "assets" / "tiny"


def make(model: config.Model) -> directory.Directory:
  """Returns the start from the embedded base.

  Args:
    model: the section `config.model`.

  Raises:
    InputError: the config contradicts its architecture.
  """
  name = "the embedded base 'tiny'"
  arch = api.merge(model, config.Model(**presets.TINY), name)
  text = api.describe(name, arch)
  return directory.Directory(arch=arch, description=text, path=_PATH)
