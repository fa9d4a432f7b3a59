"""Tokenizers by name, free of TensorFlow; seqio's side is `vocabularies.py`.

Text is data: a string such as "</s>" inside a text never becomes the end
token. Only `encode_special` knows such strings; it is for the pieces that a
chat template writes.
"""

from collections.abc import Callable, Sequence
import pathlib
import tempfile
from typing import Protocol

import numpy as np

from zsgen.core import config, errors
from zsgen.data.tokenizers import (
    continued,
    hf,
    hf_files,
    losses,
    saved,
    sentencepiece,
)
from zsgen.data.tokenizers.bytes import Bytes
from zsgen.data.tokenizers.rewrites import Rewrites


class Tokenizer(Protocol):
  """What the project asks of a tokenizer."""

  @property
  def vocab_size(self) -> int:
    """One more than the largest id."""
    ...

  @property
  def pad_id(self) -> int:
    """The end token's where the tokenizer has none of its own; seldom 0."""
    ...

  @property
  def bos_id(self) -> int | None:
    """The token before every text; None if there is none."""
    ...

  @property
  def eos_id(self) -> int:
    """The token that ends an answer."""
    ...

  @property
  def fingerprint(self) -> str:
    """SHA-256 of everything that decides ids, wherever the files are."""
    ...

  @property
  def chat_template(self) -> str | None:
    """Jinja text that turns a conversation into text; None if there is none."""
    ...

  @property
  def special_tokens(self) -> dict[str, str]:
    """Strings of special tokens by Hugging Face's names: "eos_token", …."""
    ...

  @property
  def special_ids(self) -> dict[str, int]:
    """Ids of all special tokens by their strings."""
    ...

  @property
  def continued(self) -> continued.Continued | None:
    """How text that follows other text is encoded; None: as any text."""
    ...

  @property
  def lost(self) -> losses.Lost | None:
    """Finds what is lost of a text; None where nothing can be."""
    ...

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text (uint32), without BOS or EOS; no special ones.

    Raises:
      UnicodeEncodeError: a text has half a surrogate pair.
    """
    ...

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """As `encode_batch`, but special tokens' strings become their ids."""
    ...

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Text of the ids, special ones left out.

    Bytes that are no UTF-8 are left out, or stand as U+FFFD.
    """
    ...

  def save(self, directory: pathlib.Path) -> None:
    """Writes what `load` reads; makes the directory where it is absent."""

  def export(self, directory: pathlib.Path) -> None:
    """Writes what transformers' AutoTokenizer reads, beside a model."""


# Kinds that have no files.
_MADE: dict[str, Callable[[], Tokenizer]] = {
    "bytes": Bytes,
    "rewrites": Rewrites,
}
# How each other kind is read from config.data.tokenizer_path.
_READ: dict[str, Callable[[str], Tokenizer]] = {
    "sentencepiece": sentencepiece.read,
    "hf": hf.read,
}
TOKENIZERS = (*_MADE, *_READ)


def get(data: config.Data) -> Tokenizer:
  """The tokenizer that `config.data` names.

  Raises:
    InputError: see `check`, or whatever is wrong with the files.
  """
  check(data)
  if data.tokenizer in _MADE:
    return _MADE[data.tokenizer]()
  return _READ[data.tokenizer](data.tokenizer_path)


def check(data: config.Data) -> None:
  """Checks the name and the path of the tokenizer; reads nothing.

  Raises:
    InputError: an unknown name, or a path that is missing or not needed.
  """
  errors.choose(
      dict.fromkeys(TOKENIZERS), data.tokenizer, "config.data.tokenizer"
  )
  if data.tokenizer in _MADE and data.tokenizer_path:
    raise errors.InputError(
        f"config.data.tokenizer_path: the tokenizer {data.tokenizer!r} has no"
        " files. Set config.data.tokenizer='hf' or 'sentencepiece' to use"
        " these, or leave the path away."
    )
  if data.tokenizer in _READ and not data.tokenizer_path:
    raise errors.InputError(
        f"config.data.tokenizer={data.tokenizer!r} needs"
        " config.data.tokenizer_path: for sentencepiece a .model file, for hf"
        " a directory or a name on the hub."
    )


def check_patterns(tokenizer: Tokenizer) -> None:
  """Tries regular expressions of a tokenizer's files that are not known.

  Raises:
    InputError: one of them backtracks without bound.
  """
  if isinstance(tokenizer, hf.Hf):
    tokenizer.check_patterns()


def special_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
  """Ids as config.json of a model names them; the end never stands for pad."""
  pad = tokenizer.pad_id
  return {
      "bos_token_id": tokenizer.bos_id,
      "eos_token_id": tokenizer.eos_id,
      "pad_token_id": None if pad == tokenizer.eos_id else pad,
  }


def has_ids_of(tokenizer: Tokenizer, directory: pathlib.Path) -> bool:
  """Whether a tokenizer has every id of another one, for the same string.

  Args:
    tokenizer: may have more ids than the other one.
    directory: of the other one, in Hugging Face's layout.

  Returns:
    False also where the directory has no tokenizer.

  Raises:
    InputError: its files are damaged.
  """
  with tempfile.TemporaryDirectory() as exported:
    own = pathlib.Path(exported)
    tokenizer.export(own)
    if (directory / hf_files.TOKENIZER).is_file():
      return (
          hf_files.strings(directory).items() <= hf_files.strings(own).items()
      )
    models = [each / sentencepiece.FILE for each in (directory, own)]
    return all(model.is_file() for model in models) and (
        models[0].read_bytes() == models[1].read_bytes()
    )


def load(directory: pathlib.Path) -> Tokenizer:
  """The tokenizer that was saved to a directory.

  Raises:
    InputError: it is not there, or its files are not those that were saved.
  """
  record = saved.read(directory)
  found = _load(record["kind"], directory)
  if found.fingerprint != record["fingerprint"]:
    raise saved.damaged(directory)
  return found


def _load(kind: str, directory: pathlib.Path) -> Tokenizer:
  if kind in _MADE:
    return _MADE[kind]()
  if kind == "sentencepiece":
    return sentencepiece.read(str(directory / sentencepiece.FILE))
  if kind == "hf":
    return hf.read(str(directory))
  raise saved.damaged(directory)
