"""The tokenizers that this process has loaded, by the content of their files.

Loading a tokenizer of 262,144 ids takes seconds, and every stage needs it: to
name the store, to prepare it, in evaluations that generate, and to export.
"""

import collections
from collections.abc import Callable, Iterator
import threading
from typing import Any

# How many are kept. A store's own files differ from those that it was made
# with.
_MOST = 4
_lock = threading.RLock()
_tokenizers: collections.OrderedDict[str, Any] = collections.OrderedDict()


def get(key: str, load: Callable[[], Any]) -> Any:
  """Returns the tokenizer of a key; loads it if this is the first time.

  Args:
    key: a digest of everything that is loaded.
    load: returns the tokenizer; what it raises is raised again the next time.
  """
  with _lock:
    if key not in _tokenizers:
      _tokenizers[key] = load()
    _tokenizers.move_to_end(key)
    while len(_tokenizers) > _MOST:
      _tokenizers.popitem(last=False)
    return _tokenizers[key]


def all_loaded() -> Iterator[Any]:
  """Yields the tokenizers, the last one that was used first."""
  with _lock:
    yield from reversed(list(_tokenizers.values()))
