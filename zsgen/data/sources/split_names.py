"""Recognizes the splits that files and directories are named after."""

import re

from zsgen.data import suite

# Names of splits, and the split that each means.
_NAMES = {
    "train": suite.TRAIN,
    "training": suite.TRAIN,
    "heldout": "heldout",
    "held-out": "heldout",
    "held_out": "heldout",
    **{
        name: name
        for name in ("validation", "valid", "val", "dev", "development")
    },
    **{name: name for name in ("test", "testing", "eval", "evaluation")},
}
_WORD = "|".join(sorted(_NAMES, key=len, reverse=True))
# What follows a name: a shard (-00000-of-00004, _1, .12) and its hash.
_SHARD = r"([-_.]?\d+)?(-of-\d+)?(-[0-9a-f]{6,})?"
_EXACT = re.compile(rf"({_WORD}){_SHARD}", re.IGNORECASE)
_FIRST = re.compile(rf"({_WORD})[-_.].+", re.IGNORECASE)
_LAST = re.compile(rf"(.+)[-_.]({_WORD}){_SHARD}", re.IGNORECASE)
_SHARD_ONLY = re.compile(r"-\d+-of-\d+.*")


def of_name(name: str) -> str:
  """Returns the split that a name means, such as `train-0-of-4`.

  Args:
    name: the name of a directory, or of a file without its suffixes.

  Returns:
    `train`, or the name of the split in lower case; "" if there is none.
  """
  match = _EXACT.fullmatch(name)
  return _NAMES[match[1].lower()] if match else ""


def in_path(path: str) -> str:
  """Returns the split that the innermost part of a path means; or ""."""
  return next(filter(None, map(of_name, path.split("/")[::-1])), "")


def in_name(name: str) -> str:
  """Returns the split that a name is, begins with or ends with; or "".

  `squad_dev`, `dev-v1.1` and `my.train-0-of-4` look like splits;
  `how_valid_is_it` does not.
  """
  first, last = _FIRST.fullmatch(name), _LAST.fullmatch(name)
  word = first[1] if first else last[2] if last else ""
  return of_name(name) or _NAMES.get(word.lower(), "")


def strip_split(name: str, is_split: bool) -> str:
  """Returns a file's name without its shard and its split.

  Args:
    name: the name, with directories and without suffixes.
    is_split: whether the name, or a directory in it, gives the split.

  Returns:
    The name; "" if it consists of splits only.
  """
  if not is_split:
    return _SHARD_ONLY.sub("", name)
  *folders, stem = [n for n in name.split("/") if not of_name(n)] or [""]
  last = _LAST.fullmatch(stem)
  return "/".join([*folders, last[1] if last else stem])
