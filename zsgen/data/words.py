"""Splits texts of any script into words, for scores that count words.

rouge-score recognizes only the letters a to z and the digits 0 to 9: a Chinese
text has no words, and "niño" becomes "ni" and "o". Here, a word is a run of
letters, marks and decimal digits of any script. In scripts written without
spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese), each character is a word.
"""

import unicodedata

# How the names of characters begin whose scripts have no spaces.
_UNSPACED = (
    "CJK",
    "IDEOGRAPHIC",
    "HIRAGANA",
    "KATAKANA",
    "HALFWIDTH KATAKANA",
    "THAI",
    "LAO",
    "KHMER",
    "MYANMAR",
)
# Letters, marks that belong to them, and decimal digits.
_IN_WORDS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd")


class _WordTable(dict):
  """For `str.translate`: characters of words stay, others become spaces."""

  def __missing__(self, code: int) -> str:
    char = chr(code)
    name = unicodedata.name(char, "")
    if name.startswith("VARIATION SELECTOR"):
      text = ""  # A mark by its category, which says how an emoji looks.
    elif unicodedata.category(char) not in _IN_WORDS:
      text = " "
    else:
      text = f" {char} " if name.startswith(_UNSPACED) else char
    self[code] = text
    return text


class _PunctuationTable(dict):
  """For `str.translate`: deletes the punctuation of all scripts."""

  def __missing__(self, code: int) -> str:
    char = chr(code)
    # "$+<=>^`|~" are symbols by their category.
    is_symbol = char.isascii() and unicodedata.category(char)[0] == "S"
    is_mark = is_symbol or unicodedata.category(char)[0] == "P"
    self[code] = text = "" if is_mark else char
    return text


_WORDS = _WordTable()
_NO_PUNCTUATION = _PunctuationTable()


def split_words(text: str) -> list[str]:
  """Returns the words of a text, in lower case and composed (NFC)."""
  return unicodedata.normalize("NFC", text.lower()).translate(_WORDS).split()


def normalize(text: str) -> str:
  """Returns the text in lower case, without punctuation, single-spaced.

  Characters are composed (NFC); the punctuation is that of all scripts. Of
  ASCII text, exactly `string.punctuation` is deleted.
  """
  composed = unicodedata.normalize("NFC", text.lower())
  return " ".join(composed.translate(_NO_PUNCTUATION).split())
