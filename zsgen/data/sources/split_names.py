"""Splits by the names of files and directories, as publishers call them."""

import re

from zsgen.data import suite

# Names of splits, and what else they are called.
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
_WHOLE = re.compile(rf"({_WORD}){_SHARD}", re.IGNORECASE)
_FIRST = re.compile(rf"({_WORD})[-_.].+", re.IGNORECASE)
_LAST = re.compile(rf"(.+)[-_.]({_WORD}){_SHARD}", re.IGNORECASE)
_SHARD_ONLY = re.compile(r"-\d+-of-\d+.*")


def of_name(name: str) -> str:
  """The split that a name is, whole or in shards, such as `train-0-of-4`.

  Args:
    name: of a directory, or of a file without its suffixes.

  Returns:
    `train`, or the split as the name has it, in lower case; "" for none.
  """
  match = _WHOLE.fullmatch(name)
  return _NAMES[match[1].lower()] if match else ""


def in_path(path: str) -> str:
  """The split that the innermost part of a path is, whole; "" for none."""
  return next(filter(None, map(of_name, path.split("/")[::-1])), "")


def in_name(name: str) -> str:
  """The split that a name is, begins with or ends in; "" for none.

  `squad_dev`, `dev-v1.1` and `my.train-0-of-4` look like splits;
  `how_valid_is_it` does not.
  """
  first, last = _FIRST.fullmatch(name), _LAST.fullmatch(name)
  word = first[1] if first else last[2] if last else ""
  return of_name(name) or _NAMES.get(word.lower(), "")


def without(name: str, is_split: bool) -> str:
  """A file's name without its shard and, if it tells one, its split.

  Args:
    name: with directories, without suffixes.
    is_split: whether the name, or a directory in it, tells the split.

  Returns:
    The name; "" if nothing but splits is in it.
  """
  if not is_split:
    return _SHARD_ONLY.sub("", name)
  *folders, stem = [n for n in name.split("/") if not of_name(n)] or [""]
  last = _LAST.fullmatch(stem)
  return "/".join([*folders, last[1] if last else stem])
