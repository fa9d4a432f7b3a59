"""`config.model.init='hf:…'`: a directory in Hugging Face's layout."""

import dataclasses
import pathlib

from zsgen.core import config
from zsgen.models import hugging_face
from zsgen.train import trees
from zsgen.train.starts import api


@dataclasses.dataclass(frozen=True, kw_only=True)
class Directory(api.Start):
  """Parameters of a directory in Hugging Face's layout.

  Attributes:
    path: the directory.
  """

  path: pathlib.Path

  def compute_fingerprint(self) -> str:
    """Returns a digest of the directory's files."""
    return hugging_face.digest(self.path)

  def load(self, shardings: trees.Shardings) -> trees.Params:
    """Reads the parameters, onto the mesh.

    Raises:
      InputError: a file is damaged, or a weight is missing.
    """
    return hugging_face.load(self.path, self.arch, shardings)


def make(model: config.Model, argument: str) -> Directory:
  """Returns the start of `hf:ARGUMENT`.

  Args:
    model: the section `config.model`.
    argument: a directory, or a name on the hub.

  Raises:
    InputError: there is no such directory, its architecture is not computed,
      or the config contradicts it.
  """
  path = hugging_face.locate(argument)
  name = f"the Hugging Face directory {path}"
  arch = api.merge(model, hugging_face.arch_of(path), name)
  text = api.describe(name, arch)
  return Directory(arch=arch, description=text, path=path, base=argument)
