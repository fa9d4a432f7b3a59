"""Hugging Face's fast tokenizers, by the tokenizers library alone.

Text must not become a special token, whoever wrote it. The library's own
switch (`encode_special_tokens`) is not enough: a Unigram model whose
vocabulary holds "</s>" finds it in text all the same. So two tokenizers are
made of one tokenizer.json: the whole one, and one for text in which every
special token has a string that no text has. Ids are equal in both.
"""

from collections.abc import Iterable, Mapping, Sequence
import json
import pathlib
from typing import Any
import uuid

import numpy as np

from zsgen import artifacts, errors
from zsgen.data.tokenizers import hf_files, saved


class Hf:
  """A fast tokenizer; see `read`."""

  def __init__(self, files: hf_files.Files, whole: Any, texts: Any):
    """Takes the files, and the tokenizers of template pieces and of texts.

    Raises:
      InputError: there is no end token.
    """
    self._files = files
    self._whole = whole
    self._texts = texts
    self.special_tokens = files.special_tokens
    self.chat_template = files.chat_template
    self.special_ids: dict[str, int] = {
        each["content"]: each["id"]
        for each in files.spec["added_tokens"]
        if each["special"]
    }
    vocab = whole.get_vocab(with_added_tokens=True)
    self.vocab_size: int = max(vocab.values()) + 1
    ids = {name: vocab[each] for name, each in self.special_tokens.items()}
    if "eos_token" not in ids:
      raise errors.InputError(
          f"{files.directory}: the tokenizer has no end token, without which"
          f' no answer ends. Name one as "eos_token" in {hf_files.CONFIG}.'
      )
    self.eos_id: int = ids["eos_token"]
    self.pad_id: int = ids.get("pad_token", self.eos_id)
    adds_bos = files.adds_bos
    if adds_bos is None:
      adds_bos = whole.encode("a").ids[:1] == [ids.get("bos_token")]
    self.bos_id: int | None = ids.get("bos_token") if adds_bos else None
    self.fingerprint = artifacts.digest(
        ["hf", files.spec, self._deciding(), self.chat_template]
    )

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text (uint32), without BOS or EOS, on all cores."""
    return _encode(self._texts, texts)

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """As `encode_batch`, but special tokens' strings become their ids."""
    return _encode(self._whole, texts)

  def decode(self, ids: Sequence[int]) -> str:
    """Text of the ids; special ones are left out."""
    return self._whole.decode(
        [int(i) for i in ids if 0 <= i < self.vocab_size],
        skip_special_tokens=True,
    )

  def save(self, directory: pathlib.Path) -> None:
    """Writes a directory in Hugging Face's layout, and what it is."""
    directory.mkdir(parents=True, exist_ok=True)
    self.export(directory)
    saved.write(directory, "hf", self.fingerprint)

  def export(self, directory: pathlib.Path) -> None:
    """Writes what transformers reads; what files say beside ids stays."""
    spec = json.dumps(self._files.spec, ensure_ascii=False).encode()
    artifacts.write_bytes(directory / hf_files.TOKENIZER, spec)
    artifacts.write_json(directory / hf_files.CONFIG, self._files.described())
    for name, text in self._files.beside.items():
      artifacts.write_bytes(directory / name, text.encode())

  def _deciding(self) -> dict[str, Any]:
    """What decides ids beside tokenizer.json and the chat template."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": self.bos_id is not None,
        **self.special_tokens,
    }


def read(path: str) -> Hf:
  """Reads a fast tokenizer from a directory, or the hub by its name.

  bos is None where the tokenizer names one but does not put it before a text
  (GPT-2). Padding, truncation and dropout that the files ask for are off.

  Raises:
    InputError: the tokenizers library is missing, there is no tokenizer.json,
      a file is malformed, or there is no end token.
  """
  files = hf_files.read(path)
  special = [
      each["content"] for each in files.spec["added_tokens"] if each["special"]
  ]
  whole = _build(files.spec, files.directory)
  for each in files.spec["added_tokens"]:
    if whole.token_to_id(each["content"]) != each["id"]:
      raise errors.InputError(
          f"{files.directory}: {each['content']!r} has the id"
          f" {whole.token_to_id(each['content'])} in the vocabulary, but is"
          f" listed as {each['id']}."
      )
  return Hf(files, whole, _build(_hidden(files.spec, special), files.directory))


def _build(spec: Mapping[str, Any], directory: pathlib.Path) -> Any:
  """The library's tokenizer of a tokenizer.json."""
  try:
    import tokenizers
  except ImportError as error:
    raise errors.InputError(
        "config.data.tokenizer='hf' needs the package: pip install tokenizers."
    ) from error
  try:
    return tokenizers.Tokenizer.from_str(json.dumps(spec))
  except Exception as error:  # The library raises no narrower one.
    raise errors.InputError(
        f"{directory / hf_files.TOKENIZER}: cannot be read ({error})."
    ) from error


def _hidden(spec: Mapping[str, Any], special: Iterable[str]) -> dict[str, Any]:
  """The tokenizer with other strings for its special tokens, same ids."""
  stem = uuid.uuid4().hex  # New in each process: no text can know it.
  names = {each: f"{stem}:{i}" for i, each in enumerate(special)}
  model = dict(spec["model"])
  vocab = model["vocab"]
  if isinstance(vocab, dict):
    model["vocab"] = {names.get(key, key): i for key, i in vocab.items()}
  else:  # Unigram's: pieces with their scores.
    model["vocab"] = [[names.get(key, key), score] for key, score in vocab]
  if model.get("unk_token"):
    unknown = model["unk_token"]
    model["unk_token"] = names.get(unknown, unknown)
  if "merges" in model:
    model["merges"] = [
        merge for merge in model["merges"] if not _makes(merge, names)
    ]
  added = [
      {**each, "content": names.get(each["content"], each["content"])}
      for each in spec["added_tokens"]
  ]
  return {**spec, "model": model, "added_tokens": added, "post_processor": None}


def _makes(merge: str | list[str], names: Mapping[str, str]) -> bool:
  """Whether a merge takes part in a special token."""
  left, right = merge.split(" ") if isinstance(merge, str) else merge
  return not names.keys().isdisjoint((left, right, left + right))


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[np.ndarray]:
  """Ids of each text, uint32, on all cores."""
  try:
    found = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
  except TypeError:
    for text in texts:
      text.encode()  # Says which text is not Unicode.
    raise
  return [np.array(each.ids, np.uint32) for each in found]
