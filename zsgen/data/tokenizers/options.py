"""The option of tokenizers that are read from files."""

import dataclasses

from zsgen.core import config, errors
from zsgen.core.schema import option


@dataclasses.dataclass(frozen=True)
class Files(config.Data):
  """What tokenizers that are read from files add to `config.data`."""

  # The tokenizer's files. sentencepiece: a .model file; hf: a directory, or a
  # name on the hub.
  tokenizer_path: str = option("", kind="local", machine=True)


def path_of(data: Files) -> str:
  """Returns the path of a tokenizer; raises InputError if it is empty.

  The schema does not require it, because `train_tokenizer` reads the config of
  a tokenizer that does not exist yet.
  """
  if not data.tokenizer_path:
    raise errors.InputError(
        f"config.data.tokenizer={data.tokenizer!r} needs"
        " config.data.tokenizer_path: for sentencepiece a .model file, for hf"
        " a directory or a name on the hub."
    )
  return data.tokenizer_path
