"""Tokenizers by name, without TensorFlow; `vocabularies.py` is for seqio.

Text is data: a string such as "</s>" in a text never becomes the end token.
Only `encode_special` recognises such strings; it is for the text of chat
templates.
"""

from collections.abc import Sequence
import pathlib
import tempfile
from typing import Protocol, cast

import numpy as np

from zsgen.core import config, registry
from zsgen.data.tokenizers import (
    continued,
    hf,
    hf_files,
    losses,
    saved,
    sentencepiece,
)
from zsgen.data.tokenizers.bytes import Bytes as Bytes


class Tokenizer(Protocol):
  """The interface of a tokenizer."""

  @property
  def vocab_size(self) -> int:
    """The largest id plus 1."""
    ...

  @property
  def pad_id(self) -> int:
    """The end token's id if the tokenizer has no padding token; rarely 0."""
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
    """SHA-256 of everything that determines ids, wherever the files are."""
    ...

  @property
  def chat_template(self) -> str | None:
    """Jinja source that turns a conversation into text, or None."""
    ...

  @property
  def special_tokens(self) -> dict[str, str]:
    """Strings of special tokens by Hugging Face's names, like "eos_token"."""
    ...

  @property
  def special_ids(self) -> dict[str, int]:
    """Ids of all special tokens by their strings."""
    ...

  @property
  def continued(self) -> continued.Continued | None:
    """How to encode text that follows other text; None if like any text."""
    ...

  @property
  def lost(self) -> losses.Lost | None:
    """Finds the text that is lost; None if none can be."""
    ...

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Returns the ids of each text (uint32), without BOS, EOS or special
    tokens.

    Raises:
      UnicodeEncodeError: a text has half a surrogate pair.
    """
    ...

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Encodes like `encode_batch`, but strings of special tokens become their
    ids.
    """
    ...

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Returns the text of ids, without special tokens.

    Bytes that are not UTF-8 are left out or become U+FFFD.
    """
    ...

  def save(self, directory: pathlib.Path) -> None:
    """Writes the files that `load` reads, and creates the directory if needed."""
    ...

  def export(self, directory: pathlib.Path) -> None:
    """Writes the files that transformers' AutoTokenizer reads, next to a model."""
    ...


def get(data: config.Data) -> Tokenizer:
  """Returns the tokenizer that `config.data` names.

  Raises:
    InputError: its files are missing or invalid.
  """
  component = registry.component(
      "tokenizer", data.tokenizer, "config.data.tokenizer"
  )
  return component.build(data)


def check_patterns(tokenizer: Tokenizer) -> None:
  """Tries unknown regular expressions in a tokenizer's files.

  Raises:
    InputError: a regular expression backtracks without bound.
  """
  if isinstance(tokenizer, hf.Hf):
    tokenizer.check_patterns()


def special_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
  """Returns ids by their names in a model's config.json.

  The end token is never the padding token.
  """
  pad = tokenizer.pad_id
  return {
      "bos_token_id": tokenizer.bos_id,
      "eos_token_id": tokenizer.eos_id,
      "pad_token_id": None if pad == tokenizer.eos_id else pad,
  }


def has_ids_of(tokenizer: Tokenizer, directory: pathlib.Path) -> bool:
  """Returns whether a tokenizer has every id of another one, for the same
  string.

  Args:
    tokenizer: may have more ids than the other one.
    directory: the directory of the other one, in Hugging Face's layout.

  Returns:
    Whether it has; False if the directory has no tokenizer.

  Raises:
    InputError: the files of the other one are damaged.
  """
  has_spec = (directory / hf_files.TOKENIZER).is_file()
  if has_spec and isinstance(tokenizer, hf.Hf):
    return hf_files.strings(directory).items() <= tokenizer.strings.items()
  with tempfile.TemporaryDirectory() as temporary:
    exported_path = pathlib.Path(temporary)
    tokenizer.export(exported_path)
    if has_spec:
      return (
          hf_files.strings(directory).items()
          <= hf_files.strings(exported_path).items()
      )
    models = [path / sentencepiece.FILE for path in (directory, exported_path)]
    return all(model.is_file() for model in models) and (
        models[0].read_bytes() == models[1].read_bytes()
    )


def load(directory: pathlib.Path) -> Tokenizer:
  """Loads the tokenizer that was saved to a directory.

  Raises:
    InputError: there is no tokenizer, or its files have changed.
  """
  record = saved.read(directory)
  tokenizer = _load(record["kind"], directory, record["fingerprint"])
  if tokenizer.fingerprint != record["fingerprint"]:
    raise saved.damaged(directory)
  return tokenizer


def _load(kind: str, directory: pathlib.Path, fingerprint: str) -> Tokenizer:
  """Reads a tokenizer that is saved in a store."""
  # Type checkers do not see that a cached property implements a property.
  if kind == "sentencepiece":
    model = str(directory / sentencepiece.FILE)
    return cast(Tokenizer, sentencepiece.read(model))
  if kind == "hf":
    return cast(Tokenizer, hf.read_saved(directory, fingerprint))
  if kind not in registry.names("tokenizer"):
    raise saved.damaged(directory)
  return get(config.build(config.Data, tokenizer=kind))
