"""The 32 ids of string rewrites: a letter is a token.

0 padding, 1 end, 2 begin, then the three marks between the parts of an
example, then a to z:

  <bos> x <to> y <in> z <out> target <eos>

A byte-pair encoding would split x differently inside z than on its own, and so
change the problem (2402.10891, spec 1.10). As text, the marks are those of
`config.data.prompt="joined"` and `template="plain"`.
"""

from collections.abc import Sequence
import pathlib
import re
from typing import Any

import numpy as np

from zsgen.core import artifacts, config, errors, registry
from zsgen.data.tokenizers import hf_files, saved

PAD, EOS, BOS, TO, IN, OUT, FIRST = range(7)
# The texts of the marks; longer ones are matched first.
MARKS = {" -> ": TO, "\n\n": IN, "\n": OUT}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SPECIAL = {"<pad>": PAD, "<eos>": EOS, "<bos>": BOS}
_TEXTS = dict(zip([*MARKS.values()], MARKS, strict=True)) | {
    FIRST + index: letter for index, letter in enumerate(_LETTERS)
}
# Letters and marks; and letters to ids, where marks are ids already.
_KNOWN = re.compile("(?:[a-z]|" + "|".join(MARKS) + ")*")
_IDS = bytes.maketrans(
    _LETTERS.encode(), bytes(range(FIRST, FIRST + len(_LETTERS)))
)
_FLAGS = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)


class Rewrites:
  """Letters and marks only: other text is an error."""

  vocab_size = FIRST + len(_LETTERS)
  pad_id = PAD
  bos_id = BOS
  eos_id = EOS
  chat_template = None
  continued = None
  lost = None
  fingerprint = artifacts.digest(["rewrites", sorted(_TEXTS.items()), _SPECIAL])

  @property
  def special_tokens(self) -> dict[str, str]:
    """The strings of pad, eos and bos."""
    return {f"{name[1:-1]}_token": name for name in _SPECIAL}

  @property
  def special_ids(self) -> dict[str, int]:
    """The ids of pad, eos and bos."""
    return dict(_SPECIAL)

  def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Returns the ids of each text (uint32), without BOS or EOS.

    Raises:
      InputError: a text has other characters than letters and marks.
    """
    return [self._ids(text) for text in texts]

  def encode_special(self, texts: Sequence[str]) -> list[np.ndarray]:
    """Encodes like `encode_batch`: no template writes special tokens."""
    return self.encode_batch(texts)

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Returns the text of ids, without special tokens."""
    return "".join(_TEXTS.get(int(i), "") for i in ids)

  def save(self, directory: pathlib.Path) -> None:
    """Records that the tokenizer is this one; it has no files."""
    saved.write(directory, "rewrites", self.fingerprint)

  def export(self, directory: pathlib.Path) -> None:
    """Writes the files that transformers reads: a table with a word for each
    id.
    """
    artifacts.write_json(directory / hf_files.TOKENIZER, self._spec())
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": True,
        "clean_up_tokenization_spaces": False,
        **self.special_tokens,
    }
    artifacts.write_json(directory / hf_files.CONFIG, config)

  def _ids(self, text: str) -> np.ndarray:
    """Returns the ids of a text.

    Raises:
      InputError: it has an unknown character.
    """
    known = _KNOWN.match(text)
    assert known is not None, "the pattern matches the empty text"
    if known.end() < len(text):
      raise _unknown(text, text[known.end()])
    codes = text
    for mark, i in MARKS.items():
      codes = codes.replace(mark, chr(i))
    raw = codes.encode("ascii").translate(_IDS)
    return np.frombuffer(raw, np.uint8).astype(np.uint32)

  def _spec(self) -> dict[str, Any]:
    """Returns the content of tokenizer.json."""
    marks = "|".join(MARKS)
    words = {text: i for i, text in _TEXTS.items()}
    begin = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": text, **_FLAGS, "special": True}
            for text, i in _SPECIAL.items()
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": f"{marks}|[a-z]"},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, first],
            "pair": [begin, first, second],
            "special_tokens": {
                "<bos>": {"id": "<bos>", "ids": [BOS], "tokens": ["<bos>"]}
            },
        },
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {**_SPECIAL, **words},
            "unk_token": "<pad>",
        },
    }


def _unknown(text: str, character: str) -> errors.InputError:
  """Returns the error for a character that has no id."""
  return errors.InputError(
      f"config.data.tokenizer='rewrites' knows a to z, ' -> ' and line breaks,"
      f" not {character!r} in {text[:60]!r}. Set config.data.prompt='joined' and"
      " config.data.template='plain' with the source rewrites; other sources"
      " need another tokenizer."
  )


@registry.tokenizer("rewrites")
def build(data: config.Data) -> Rewrites:
  """Returns the tokenizer, which has no options."""
  del data
  return Rewrites()
