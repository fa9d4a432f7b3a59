"""Hashes of examples' texts, the same in every store of the same source."""

import hashlib
import json

import numpy as np

from zsgen.data import store as store_lib


def compute(store: store_lib.Store, ids: np.ndarray) -> list[str]:
  """Returns the SHA-256 (hex) of prompt and answer of each example id.

  It is that of the JSON list [prompt, answer] in UTF-8, without white space
  between the elements and with non-ASCII characters as they are. The texts are
  those of `examples.parquet`, without template.
  """
  return [hash_texts(*pair) for pair in store.texts(ids)]


def hash_texts(prompt: str, answer: str) -> str:
  """Returns the SHA-256 (hex) of an example's texts."""
  text = json.dumps([prompt, answer], ensure_ascii=False, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()
