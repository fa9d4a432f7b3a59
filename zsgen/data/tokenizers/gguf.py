"""Converts the tokenizer in a GGUF file's metadata to Hugging Face's files.

The metadata has the vocabulary and the merges, but names the steps before them:
`tokenizer.ggml.pre` is a name in llama.cpp's code. Names whose steps are
unknown here are errors, because other steps give other ids.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import json
import pathlib
import re
from typing import Any

import numpy as np

from zsgen.core import artifacts, errors, texts
from zsgen.data.tokenizers import hf_files
from zsgen.data.tokenizers import sentencepiece_json as sentencepiece

_PREFIX = "tokenizer.ggml."
# Fields that no id of a text depends on, beside ids of tokens.
_IRRELEVANT = ("token_type_count",)
_ID = re.compile(r"\w+_token_id")
# Values that fields must have if they are there.
_REQUIRED = {
    "add_eos_token": False,
    "add_sep_token": False,
    "remove_extra_whitespaces": False,
}
_LISTS = ("tokens", "scores", "token_type", "merges")
_KNOWN = ("model", "pre", "add_bos_token", "add_space_prefix", *_LISTS)
# Names of special tokens, and their fields.
_SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}
# Fields of tokens that end an answer.
_ENDS = ("eos_token_id", "eot_token_id", "eom_token_id")
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)


def _byte_level(has_pattern: bool) -> dict[str, Any]:
  """Returns the pre-tokenizer that maps bytes to characters."""
  return {
      "type": "ByteLevel",
      "add_prefix_space": False,
      "trim_offsets": True,
      "use_regex": has_pattern,
  }


def _split(pattern: str) -> list[dict[str, Any]]:
  split = {"type": "Split", "pattern": {"Regex": pattern}}
  split |= {"behavior": "Isolated", "invert": False}
  return [split, _byte_level(has_pattern=False)]


@dataclasses.dataclass(frozen=True)
class Steps:
  """What happens to a text before its bytes are merged.

  Attributes:
    pre_tokenizers: these split it.
    normalizer: this comes first, if any.
    ignores_merges: whether a part in the vocabulary is taken as a whole.
    adds_bos: whether a text begins with BOS if no field defines it.
  """

  pre_tokenizers: Sequence[Mapping[str, Any]]
  normalizer: Mapping[str, Any] | None = None
  ignores_merges: bool = False
  adds_bos: bool = False


_DIGITS = {"type": "Digits", "individual_digits": True}
# By `tokenizer.ggml.pre`.
STEPS = {
    "gpt-2": Steps([_byte_level(has_pattern=True)]),
    "smollm": Steps([_DIGITS, _byte_level(has_pattern=True)]),
    "llama-bpe": Steps(_split(_LLAMA3), ignores_merges=True, adds_bos=True),
    "qwen2": Steps(_split(_QWEN2), normalizer={"type": "NFC"}),
}


@dataclasses.dataclass(frozen=True)
class Converted:
  """A tokenizer in Hugging Face's layout.

  Attributes:
    spec: tokenizer.json.
    config: tokenizer_config.json.
    ids: "bos_token_id", "eos_token_id" and "pad_token_id".
    ends: the ids that end an answer.
  """

  spec: dict[str, Any]
  config: dict[str, Any]
  ids: dict[str, int | None]
  ends: tuple[int, ...]

  def write(self, directory: pathlib.Path) -> None:
    """Writes the files to an existing directory."""
    # On one line: indented, a large vocabulary takes three times the space.
    spec = json.dumps(self.spec, ensure_ascii=False).encode()
    artifacts.write_bytes(directory / hf_files.TOKENIZER, spec)
    artifacts.write_json(directory / hf_files.CONFIG, self.config)


def convert(
    fields: Mapping[str, Any], vocab_size: int, source: pathlib.Path
) -> Converted:
  """Returns the tokenizer that a GGUF file's metadata describes.

  Args:
    fields: the metadata.
    vocab_size: number of rows of the model's embedding.
    source: the file, for messages.

  Raises:
    InputError: the kind of tokenizer, its steps or one of its fields is not
      supported, or the metadata is damaged.
  """
  metadata = _Metadata(fields, source)
  metadata.check(vocab_size)
  spec, adds_bos = metadata.choose(_KINDS, "model")(metadata)
  ids = {name: metadata.id_of(field) for name, field in _SPECIAL.items()}
  names = {name: metadata.tokens[i] for name, i in ids.items() if i is not None}
  config = {
      "tokenizer_class": "PreTrainedTokenizerFast",
      "add_bos_token": adds_bos,
      "clean_up_tokenization_spaces": False,
      **names,
  }
  if template := metadata.fields.get("tokenizer.chat_template"):
    config["chat_template"] = template
  ends = [metadata.id_of(field) for field in _ENDS]
  return Converted(
      spec=spec,
      config=config,
      ids={f"{name}_id": i for name, i in ids.items() if name != "unk_token"},
      ends=tuple(dict.fromkeys(i for i in ends if i is not None)),
  )


class _Metadata:
  """The fields of a tokenizer, checked one by one."""

  def __init__(self, fields: Mapping[str, Any], source: pathlib.Path):
    self.fields = fields
    self.source = source

  @functools.cached_property
  def tokens(self) -> list[str]:
    """The string of each id."""
    return self._strings("tokens")

  @functools.cached_property
  def types(self) -> list[int]:
    """SentencePiece's type of each token; all are normal by default."""
    default = np.full(len(self.tokens), sentencepiece.NORMAL)
    return self._numbers("token_type", default)

  @functools.cached_property
  def scores(self) -> list[float]:
    """The score of each token."""
    return self._numbers("scores", None)

  @functools.cached_property
  def merges(self) -> list[list[str]]:
    """The pairs that are merged, the first one first."""
    merges = [text.split(" ") for text in self._strings("merges")]
    vocab = {*self.tokens}
    for number, pair in enumerate(merges):
      if len(pair) != 2 or not {*pair, "".join(pair)} <= vocab:
        raise self.error(
            "merges", f"entry {number} is not a pair of tokens that form one"
        )
    return merges

  def choose(self, choices: Mapping[str, Any], name: str) -> Any:
    """Returns the choice that a field names."""
    value = self.fields.get(_PREFIX + name, "default")
    return errors.choose(choices, str(value), f"{self.source}: {_PREFIX}{name}")

  def flag(self, name: str, default: bool) -> bool:
    """Returns a boolean field."""
    value = self.fields.get(_PREFIX + name, default)
    if not isinstance(value, bool):
      raise self.error(name, f"{texts.short(repr(value), 40)} is not a boolean")
    return value

  def id_of(self, name: str) -> int | None:
    """Returns a field with the id of a token; None if it is missing."""
    value = self.fields.get(_PREFIX + name)
    if value is None:
      return None
    if not isinstance(value, int) or not 0 <= value < len(self.tokens):
      raise self.error(
          name, f"there is no token {texts.short(repr(value), 40)}"
      )
    return value

  def check(self, vocab_size: int) -> None:
    """Raises InputError for fields that are unknown, or that are not met."""
    for field, value in self.fields.items():
      name = field.removeprefix(_PREFIX)
      if (
          name == field
          or name in (*_KNOWN, *_IRRELEVANT)
          or _ID.fullmatch(name)
      ):
        continue
      if name not in _REQUIRED or value is not _REQUIRED[name]:
        value_text = texts.short(repr(value), 40)
        raise self.error(name, f"{value_text} is not supported")
    if not 0 < len(self.tokens) <= vocab_size:
      raise self.error(
          "tokens",
          f"{len(self.tokens):,} tokens, but the embedding has"
          f" {vocab_size:,} rows",
      )
    if len({*self.tokens}) < len(self.tokens):
      raise self.error("tokens", "a token is there twice")
    if self.id_of("eos_token_id") is None:
      raise self.error("eos_token_id", "there is no token that ends an answer")

  def error(self, name: str, problem: str) -> errors.InputError:
    """Returns the error about a field."""
    return errors.InputError(
        f"{self.source}: {_PREFIX}{name}: {problem}. The tokenizer cannot be"
        " converted, or the file is damaged. Use another file."
    )

  def _strings(self, name: str) -> list[str]:
    """Returns a list of strings.

    Raises:
      InputError: there is none.
    """
    values = self.fields.get(_PREFIX + name)
    if not isinstance(values, list):
      raise self.error(name, "there is no list of strings")
    return values

  def _numbers(self, name: str, default: np.ndarray | None) -> list[Any]:
    """Returns a number for each token.

    Raises:
      InputError: there are fewer or none.
    """
    values = self.fields.get(_PREFIX + name, default)
    if not isinstance(values, np.ndarray) or len(values) != len(self.tokens):
      raise self.error(name, "there is not one number for each token")
    return values.tolist()


def _convert_bytes(metadata: _Metadata) -> tuple[dict[str, Any], bool]:
  """Returns tokenizer.json of a byte-level BPE, and whether BOS is added."""
  steps = metadata.choose(STEPS, "pre")
  adds_bos = metadata.flag("add_bos_token", steps.adds_bos)
  bos_id = metadata.id_of("bos_token_id") if adds_bos else None
  special_ids = {
      metadata.id_of(field) for field in (*_SPECIAL.values(), *_ENDS)
  }
  special = {
      i: i in special_ids or kind == sentencepiece.CONTROL
      for i, kind in enumerate(metadata.types)
      if i in special_ids
      or kind in (sentencepiece.CONTROL, sentencepiece.USER_DEFINED)
  }
  spec = {
      "version": "1.0",
      "truncation": None,
      "padding": None,
      "added_tokens": [
          sentencepiece.describe_added(i, metadata.tokens[i], is_special)
          for i, is_special in special.items()
      ],
      "normalizer": steps.normalizer,
      "pre_tokenizer": {
          "type": "Sequence",
          "pretokenizers": list(steps.pre_tokenizers),
      },
      "post_processor": sentencepiece.describe_bos(
          None if bos_id is None else metadata.tokens[bos_id], bos_id
      ),
      "decoder": _byte_level(has_pattern=True),
      "model": _bpe(metadata, steps),
  }
  return spec, bos_id is not None


def _bpe(metadata: _Metadata, steps: Steps) -> dict[str, Any]:
  """Returns the model of byte-pair encoding."""
  return {
      "type": "BPE",
      "dropout": None,
      "unk_token": None,
      "continuing_subword_prefix": None,
      "end_of_word_suffix": None,
      "fuse_unk": False,
      "byte_fallback": False,
      "ignore_merges": steps.ignores_merges,
      "vocab": {token: i for i, token in enumerate(metadata.tokens)},
      "merges": metadata.merges,
  }


def _convert_pieces(metadata: _Metadata) -> tuple[dict[str, Any], bool]:
  """Returns tokenizer.json of a SentencePiece BPE, and whether BOS is added."""
  has_prefix = metadata.flag("add_space_prefix", True)
  adds_bos = metadata.flag("add_bos_token", True)
  bos_id = metadata.id_of("bos_token_id") if adds_bos else None
  metadata.choose({"default": None}, "pre")
  pieces = _pieces(metadata)
  model = sentencepiece.bpe(pieces)
  if f"{_PREFIX}merges" in metadata.fields:
    model["merges"] = metadata.merges
  spec = sentencepiece.assemble(
      pieces,
      model=model,
      normalizers=sentencepiece.mark_spaces(has_prefix),
      has_prefix=has_prefix,
      bos_id=bos_id,
  )
  return spec, bos_id is not None


def _pieces(metadata: _Metadata) -> list[sentencepiece.Piece]:
  """Returns the vocabulary in SentencePiece's terms.

  The unknown token may be marked as a control token, and user-defined pieces
  have spaces instead of their mark.
  """
  unknown = metadata.id_of("unknown_token_id")
  if unknown is None:
    unknown = next(iter(_of_type(metadata, sentencepiece.UNKNOWN)), None)
  if unknown is None:
    raise metadata.error("unknown_token_id", "there is no unknown token")
  return [
      sentencepiece.Piece(
          _spelled(token, kind),
          score,
          sentencepiece.UNKNOWN if i == unknown else kind,
      )
      for i, (token, kind, score) in enumerate(
          zip(metadata.tokens, metadata.types, metadata.scores, strict=True)
      )
  ]


def _spelled(token: str, kind: int) -> str:
  """Returns a token as it stands in a vocabulary of pieces."""
  if kind == sentencepiece.USER_DEFINED and not token.strip(" "):
    return token.replace(" ", sentencepiece.SPACE)
  return token


def _of_type(metadata: _Metadata, kind: int) -> list[int]:
  return [i for i, actual in enumerate(metadata.types) if actual == kind]


# By `tokenizer.ggml.model`.
_KINDS = {"gpt2": _convert_bytes, "llama": _convert_pieces}
