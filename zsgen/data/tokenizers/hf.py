"""Hugging Face's fast tokenizers, with the tokenizers library only.

Text from data must never become a special token. The library's own switch
(`encode_special_tokens`) is not enough: a Unigram model with "</s>" in its
vocabulary still finds it in text. So a tokenizer.json becomes two tokenizers:
the full one, and one for text, in which every special token has a string that
no text can have. Both have the same ids.
"""

import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import functools
import hashlib
import itertools
import json
import pathlib
import re
from typing import Any
import uuid

import numpy as np

from zsgen.core import artifacts, errors, registry
from zsgen.data.tokenizers import (
    continued,
    guard,
    hf_files,
    loaded,
    losses,
    options,
    saved,
)


class Hf:
  """A fast tokenizer; see `read`."""

  def __init__(self, files: hf_files.Files, full: Any, texts: Any):
    """Takes the files, and the tokenizers of template pieces and of texts.

    Raises:
      InputError: there is no end token.
    """
    self._files = files
    self._full = full
    self._texts = texts
    self._file = files.directory / hf_files.TOKENIZER
    self.special_tokens = files.special_tokens
    self.chat_template = files.chat_template
    self.special_ids: dict[str, int] = {
        token["content"]: token["id"]
        for token in files.spec["added_tokens"]
        if token["special"]
    }
    vocab = full.get_vocab(with_added_tokens=True)
    self.vocab_size: int = max(vocab.values()) + 1
    ids = {name: vocab[text] for name, text in self.special_tokens.items()}
    if "eos_token" not in ids:
      raise errors.InputError(
          f"{files.directory}: the tokenizer has no end token, so that no"
          f' answer would end. Set "eos_token" in {hf_files.CONFIG}.'
      )
    self.eos_id: int = ids["eos_token"]
    self.pad_id: int = ids.get("pad_token", self.eos_id)
    adds_bos = files.adds_bos
    if adds_bos is None:
      with guard.one_error(self._file, "cannot encode a text"):
        adds_bos = full.encode("a").ids[:1] == [ids.get("bos_token")]
    self.bos_id: int | None = ids.get("bos_token") if adds_bos else None
    self.fingerprint = artifacts.digest(
        ["hf", files.spec, self._deciding(), self.chat_template]
    )

  @functools.cached_property
  def continued(self) -> continued.Continued | None:
    """How to encode text that follows other text."""
    if self._spec_continued is None:
      return None
    after_special = continued.begins_after_special(self._files.spec)
    return continued.Continued(self._encode_continued, after_special)

  @functools.cached_property
  def lost(self) -> losses.Lost | None:
    """Finds the text that is lost; None if none can be."""
    library = self._texts if self.continued is None else self._inside[False]
    return losses.of_library(
        library, self._files.spec, functools.partial(_spans, self._file)
    )

  @functools.cached_property
  def _spec_continued(self) -> dict[str, Any] | None:
    return continued.without_prefix(self._files.spec)

  @functools.cached_property
  def _inside(self) -> dict[bool, Any]:
    """The tokenizers of text inside other text, keyed by `special`."""
    spec = self._spec_continued
    assert spec is not None, "`continued` is None otherwise"
    hidden = _hidden(spec, self.special_ids)
    return {True: _build(spec, self._file), False: _build(hidden, self._file)}

  @functools.cached_property
  def _cuts(self) -> dict[bool, re.Pattern[str]]:
    """Patterns at which a text begins again, keyed by `special`."""
    spec = self._files.spec
    spaces = [r"\s"] if continued.marks_words(spec) else []
    begins_again = continued.begins_after_special(spec)
    return {
        special: re.compile(
            "|".join(
                [*(_added(spec, special) if begins_again else ()), *spaces]
            )
            or r"(?!)"
        )
        for special in (True, False)
    }

  def _encode_continued(
      self, texts: Sequence[str], special: bool
  ) -> list[np.ndarray]:
    """Returns the ids of each text as they are inside a longer one."""
    heads, tails = [], []
    for text in texts:
      match = self._cuts[special].search(text)
      border = match.start() if match else len(text)
      heads.append(text[:border])
      tails.append(text[border:])
    head_ids = _encode(self._inside[special], heads, self._file)
    tokenizer = self._full if special else self._texts
    tail_ids = _encode(tokenizer, tails, self._file) if any(tails) else head_ids
    return [
        np.concatenate([ids, more_ids]) if tail else ids
        for ids, more_ids, tail in zip(head_ids, tail_ids, tails, strict=True)
    ]

  def check_patterns(self) -> None:
    """Tries unknown regular expressions; see `guard`."""
    guard.check_patterns(self._files.spec, self._file)

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Returns the ids of each text (uint32), without BOS or EOS, on all cores."""
    return _encode(self._texts, texts, self._file)

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Encodes like `encode_batch`, but strings of special tokens become their
    ids.
    """
    return _encode(self._full, texts, self._file)

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Returns the text of ids, without special tokens."""
    valid = [int(i) for i in ids if 0 <= i < self.vocab_size]
    with guard.one_error(self._file, "cannot decode ids"):
      return self._full.decode(valid, skip_special_tokens=True)

  def save(self, directory: pathlib.Path) -> None:
    """Writes a directory in Hugging Face's layout, with a record."""
    directory.mkdir(parents=True, exist_ok=True)
    self.export(directory)
    saved.write(directory, "hf", self.fingerprint)

  def export(self, directory: pathlib.Path) -> None:
    """Writes the files that transformers reads; other settings are kept."""
    for name, content in self._contents():
      artifacts.write_bytes(directory / name, content)

  @property
  def strings(self) -> dict[int, str]:
    """The string of each id."""
    return hf_files.spec_strings(self._files.spec)

  @functools.cached_property
  def exported_digests(self) -> dict[str, str]:
    """The SHA-256 (hex) of each file that `export` writes, by name."""
    return {
        name: hashlib.sha256(content).hexdigest()
        for name, content in self._contents()
    }

  def _contents(self) -> Iterator[tuple[str, bytes]]:
    """Yields the files that transformers reads."""
    spec = json.dumps(self._files.spec, ensure_ascii=False)
    yield hf_files.TOKENIZER, spec.encode()
    yield hf_files.CONFIG, artifacts.encode_json(self._files.describe())
    for name, text in self._files.other_files.items():
      yield name, text.encode()

  def _deciding(self) -> dict[str, Any]:
    """Returns what determines ids besides tokenizer.json and the chat template."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": self.bos_id is not None,
        **self.special_tokens,
    }


def read(path: str) -> Hf:
  """Reads a fast tokenizer from a directory or, by its name, from the hub.

  bos is None if the tokenizer has one but does not put it before a text
  (GPT-2). Padding, truncation and dropout in the files are switched off.

  Raises:
    InputError: the tokenizers library is missing, there is no tokenizer.json,
      a file is malformed, or there is no end token.
  """
  directory, digests = hf_files.locate(path)
  return _loaded(directory, digests, functools.partial(_read, directory))


def read_saved(directory: pathlib.Path, fingerprint: str) -> Hf:
  """Reads what `Hf.save` wrote.

  Args:
    directory: the directory.
    fingerprint: that of the tokenizer that was saved. If it is loaded, and
      would write the same files, it is returned.

  Raises:
    InputError: see `read`.
  """
  _, digests = hf_files.locate(str(directory))

  def load() -> Hf:
    """Returns the tokenizer that was saved if it is loaded, or reads it."""
    for tokenizer in loaded.all_loaded():
      if (
          isinstance(tokenizer, Hf)
          and tokenizer.fingerprint == fingerprint
          and tokenizer.exported_digests == digests
      ):
        return tokenizer
    return _read(directory)

  return _loaded(directory, digests, load)


def _loaded(
    directory: pathlib.Path, digests: Mapping[str, str], load: Callable[[], Hf]
) -> Hf:
  """Returns a tokenizer from the cache; messages name its directory."""
  key = artifacts.digest(["hf", str(directory.resolve()), digests])
  return loaded.get(key, load)


def _read(directory: pathlib.Path) -> Hf:
  """Reads the files of a directory and builds both tokenizers."""
  files = hf_files.parse(directory)
  special = [
      token["content"]
      for token in files.spec["added_tokens"]
      if token["special"]
  ]
  file = files.directory / hf_files.TOKENIZER
  full = _build(files.spec, file)
  for token in files.spec["added_tokens"]:
    if full.token_to_id(token["content"]) != token["id"]:
      raise errors.InputError(
          f"{files.directory}: {token['content']!r} has the id"
          f" {full.token_to_id(token['content'])} in the vocabulary, but is"
          f" listed as {token['id']}."
      )
  return Hf(files, full, _build(_hidden(files.spec, special), file))


def _build(spec: Mapping[str, Any], file: pathlib.Path) -> Any:
  """Builds the library's tokenizer from a tokenizer.json."""
  try:
    import tokenizers
  except ImportError as error:
    raise errors.InputError(
        "config.data.tokenizer='hf' needs the package: pip install tokenizers."
    ) from error
  with guard.one_error(file, "cannot be read"), guard.no_panic_report():
    return tokenizers.Tokenizer.from_str(json.dumps(spec))


def _hidden(spec: Mapping[str, Any], special: Iterable[str]) -> dict[str, Any]:
  """Returns the tokenizer with other strings for its special tokens, same ids."""
  stem = uuid.uuid4().hex  # New in each process, so that no text can have it.
  names = {text: f"{stem}:{i}" for i, text in enumerate(special)}
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
        merge
        for merge in model["merges"]
        if not _is_part_of_special(merge, names)
    ]
  added = [
      {**token, "content": names.get(token["content"], token["content"])}
      for token in spec["added_tokens"]
  ]
  return {**spec, "model": model, "added_tokens": added, "post_processor": None}


def _is_part_of_special(
    merge: str | list[str], names: Mapping[str, str]
) -> bool:
  """Returns whether a merge is part of a special token."""
  left, right = merge.split(" ") if isinstance(merge, str) else merge
  return not names.keys().isdisjoint((left, right, left + right))


def _added(spec: Mapping[str, Any], special: bool) -> list[str]:
  """Returns patterns of the tokens at which the library first cuts a text.

  Args:
    spec: tokenizer.json.
    special: whether to include special tokens.
  """
  return [
      (r"\s*" if token["lstrip"] else "") + re.escape(token["content"])
      for token in sorted(
          spec["added_tokens"], key=lambda token: -len(token["content"])
      )
      if (special or not token["special"])
      and not token["single_word"]
      and not (token["normalized"] and spec.get("normalizer"))
  ]


def _encode(
    tokenizer: Any, texts: Sequence[str], file: pathlib.Path
) -> list[np.ndarray]:
  """Returns the ids of each text, uint32, on all cores."""
  with guard.one_error(file, "cannot encode a text"):
    encodings = _library(tokenizer.encode_batch_fast, texts)
  # Half the time of np.array, which looks at each number's type.
  ids, borders = array.array("I"), [0]
  for encoding in encodings:
    ids.fromlist(encoding.ids)
    borders.append(len(ids))
  values = np.frombuffer(ids, np.uint32)
  return [values[begin:end] for begin, end in itertools.pairwise(borders)]


def _spans(
    file: pathlib.Path, tokenizer: Any, texts: Sequence[str]
) -> list[tuple[list[int], list[tuple[int, int]]]]:
  """Returns the ids of each text, and the characters of each id."""
  with guard.one_error(file, "cannot encode a text"):
    encodings = _library(tokenizer.encode_batch, texts)
  return [(encoding.ids, encoding.offsets) for encoding in encodings]


def _library(encode: Callable[..., list[Any]], texts: Sequence[str]) -> list:
  """Calls the library to encode texts.

  Raises:
    UnicodeEncodeError: a text has half a surrogate pair.
  """
  try:
    return encode(list(texts), add_special_tokens=False)
  except TypeError:
    for text in texts:
      text.encode()  # Raises an error that has the text that is not Unicode.
    raise


@registry.tokenizer("hf", options=options.Files)
def build(data: options.Files) -> Hf:
  """Returns the tokenizer of `config.data.tokenizer_path`; see `read`."""
  return read(options.path_of(data))
