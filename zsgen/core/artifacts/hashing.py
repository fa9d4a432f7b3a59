"""Hashes of values and of files."""

import hashlib
import json
import pathlib
from typing import Any


def digest(value: Any) -> str:
  """Returns the SHA-256 (hex) of a JSON-able value, the same on every machine."""
  text = json.dumps(value, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: pathlib.Path) -> str:
  """Returns the SHA-256 (hex) of a file's bytes."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
