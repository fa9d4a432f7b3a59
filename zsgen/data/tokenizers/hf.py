"""Hugging Face's fast tokenizers, by the tokenizers library alone.

Text must not become a special token, whoever wrote it. The library's own
switch (`encode_special_tokens`) is not enough: a Unigram model whose
vocabulary holds "</s>" finds it in text all the same. So two tokenizers are
made of one tokenizer.json: the whole one, and one for text in which every
special token has a string that no text has. Ids are equal in both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
import json
import pathlib
import re
from typing import Any
import uuid

import numpy as np

from zsgen.core import artifacts, errors
from zsgen.data.tokenizers import continued, guard, hf_files, losses, saved


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
    self._file = files.directory / hf_files.TOKENIZER
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
      with guard.one_error(self._file, "cannot encode a text"):
        adds_bos = whole.encode("a").ids[:1] == [ids.get("bos_token")]
    self.bos_id: int | None = ids.get("bos_token") if adds_bos else None
    self.fingerprint = artifacts.digest(
        ["hf", files.spec, self._deciding(), self.chat_template]
    )

  @functools.cached_property
  def continued(self) -> continued.Continued | None:
    """How text that follows other text is encoded."""
    if self._spec_continued is None:
      return None
    after_special = continued.begins_after_special(self._files.spec)
    return continued.Continued(self._encode_continued, after_special)

  @functools.cached_property
  def lost(self) -> losses.Lost | None:
    """Finds what is lost of a text; None where nothing can be."""
    library = self._texts if self.continued is None else self._inside[False]
    return losses.of_library(
        library, self._files.spec, functools.partial(_spans, self._file)
    )

  @functools.cached_property
  def _spec_continued(self) -> dict[str, Any] | None:
    return continued.without_prefix(self._files.spec)

  @functools.cached_property
  def _inside(self) -> dict[bool, Any]:
    """The tokenizers of text inside other text, by `special`."""
    spec = self._spec_continued
    assert spec is not None, "`continued` is None otherwise"
    hidden = _hidden(spec, self.special_ids)
    return {True: _build(spec, self._file), False: _build(hidden, self._file)}

  @functools.cached_property
  def _cuts(self) -> dict[bool, re.Pattern[str]]:
    """Finds where a text begins again, by `special`."""
    spec = self._files.spec
    space = [r"\s"] if continued.marks_words(spec) else []
    again = continued.begins_after_special(spec)
    return {
        flag: re.compile(
            "|".join([*(_added(spec, flag) if again else ()), *space])
            or r"(?!)"
        )
        for flag in (True, False)
    }

  def _encode_continued(
      self, texts: Sequence[str], special: bool
  ) -> list[np.ndarray]:
    """Ids of each text as they are inside a longer one."""
    heads, tails = [], []
    for text in texts:
      match = self._cuts[special].search(text)
      border = match.start() if match else len(text)
      heads.append(text[:border])
      tails.append(text[border:])
    begun = _encode(self._inside[special], heads, self._file)
    whole = self._whole if special else self._texts
    rest = _encode(whole, tails, self._file) if any(tails) else begun
    return [
        np.concatenate([ids, others]) if tail else ids
        for ids, others, tail in zip(begun, rest, tails, strict=True)
    ]

  def check_patterns(self) -> None:
    """Tries regular expressions that are not known; see `guard`."""
    guard.check_patterns(self._files.spec, self._file)

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text (uint32), without BOS or EOS, on all cores."""
    return _encode(self._texts, texts, self._file)

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """As `encode_batch`, but special tokens' strings become their ids."""
    return _encode(self._whole, texts, self._file)

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Text of the ids; special ones are left out."""
    known = [int(i) for i in ids if 0 <= i < self.vocab_size]
    with guard.one_error(self._file, "cannot decode ids"):
      return self._whole.decode(known, skip_special_tokens=True)

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
  file = files.directory / hf_files.TOKENIZER
  whole = _build(files.spec, file)
  for each in files.spec["added_tokens"]:
    if whole.token_to_id(each["content"]) != each["id"]:
      raise errors.InputError(
          f"{files.directory}: {each['content']!r} has the id"
          f" {whole.token_to_id(each['content'])} in the vocabulary, but is"
          f" listed as {each['id']}."
      )
  return Hf(files, whole, _build(_hidden(files.spec, special), file))


def _build(spec: Mapping[str, Any], file: pathlib.Path) -> Any:
  """The library's tokenizer of a tokenizer.json."""
  try:
    import tokenizers
  except ImportError as error:
    raise errors.InputError(
        "config.data.tokenizer='hf' needs the package: pip install tokenizers."
    ) from error
  with guard.one_error(file, "cannot be read"), guard.no_panic_report():
    return tokenizers.Tokenizer.from_str(json.dumps(spec))


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


def _added(spec: Mapping[str, Any], special: bool) -> list[str]:
  """Patterns of the tokens at which the library cuts a text before all else.

  Args:
    spec: tokenizer.json.
    special: whether special tokens are among them.
  """
  return [
      (r"\s*" if each["lstrip"] else "") + re.escape(each["content"])
      for each in sorted(
          spec["added_tokens"], key=lambda each: -len(each["content"])
      )
      if (special or not each["special"])
      and not each["single_word"]
      and not (each["normalized"] and spec.get("normalizer"))
  ]


def _encode(
    tokenizer: Any, texts: Sequence[str], file: pathlib.Path
) -> list[np.ndarray]:
  """Ids of each text, uint32, on all cores."""
  with guard.one_error(file, "cannot encode a text"):
    found = _library(tokenizer.encode_batch_fast, texts)
  return [np.array(each.ids, np.uint32) for each in found]


def _spans(
    file: pathlib.Path, tokenizer: Any, texts: Sequence[str]
) -> list[tuple[list[int], list[tuple[int, int]]]]:
  """Ids of each text, and the characters that each of them stands for."""
  with guard.one_error(file, "cannot encode a text"):
    found = _library(tokenizer.encode_batch, texts)
  return [(each.ids, each.offsets) for each in found]


def _library(encode: Callable[..., list[Any]], texts: Sequence[str]) -> list:
  """What the library makes of texts.

  Raises:
    UnicodeEncodeError: a text has half a surrogate pair.
  """
  try:
    return encode(list(texts), add_special_tokens=False)
  except TypeError:
    for text in texts:
      text.encode()  # Says which text is not Unicode.
    raise
