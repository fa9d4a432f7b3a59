"""Turns failures of the tokenizers library into errors that name the file.

The library reads untrusted files. It raises plain `Exception`s, and if its Rust
code panics, a `PanicException`, which is not an `Exception`. A regular
expression in a file may run forever, so `check_patterns` tries unknown ones in
a separate process with a time limit.
"""

from collections.abc import Iterator, Mapping
import contextlib
import functools
import json
import os
import pathlib
import subprocess
import sys
import threading
from typing import Any

from zsgen.core import errors
from zsgen.data.tokenizers import trial

# Wall-clock limit, generous because the machine may be busy. The process limits
# its own CPU time.
_SECONDS = 120.0
# Patterns that are widely used and known to be harmless.
_KNOWN = frozenset(
    {
        # Llama 3, and cl100k of tiktoken.
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        # Qwen 2 to 3.
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        # GPT-2, if it is written out.
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|"
        r"\s+(?!\S)|\s+",
        # SentencePiece models as tokenizer.json, from transformers and from
        # here.
        " {2,}",
        r"\A +| +\z",
        # DeepSeek.
        r"\p{N}{1,3}",
        r"[\r\n]",
    }
)


@contextlib.contextmanager
def one_error(file: pathlib.Path, work: str) -> Iterator[None]:
  """Turns any error of the library into an InputError.

  Args:
    file: the tokenizer's file, for the message.
    work: what fails, such as "cannot be read".

  Raises:
    InputError: the library raised an exception, or panicked.
    UnicodeEncodeError: passed on unchanged.
  """
  try:
    yield
  except (errors.InputError, UnicodeEncodeError):
    raise
  except BaseException as error:
    if not isinstance(error, Exception) and not _is_panic(error):
      raise  # An interruption.
    raise errors.InputError(f"{file}: {work} ({_reason(error)}).") from error


@contextlib.contextmanager
def no_panic_report() -> Iterator[None]:
  """Hides what Rust writes to standard error if this context panics.

  Anything else that is written meanwhile, by other threads too, appears
  afterwards. The context must be short.
  """
  with _STDERR, contextlib.ExitStack() as stack:
    try:
      real = os.dup(2)
      stack.callback(os.close, real)
      file = stack.enter_context(open(os.memfd_create("stderr"), "rb"))
    except (AttributeError, OSError):  # Not on Linux, or stderr is closed.
      yield
      return
    os.dup2(file.fileno(), 2)
    panics = False
    try:
      yield
    except BaseException as error:
      panics = _is_panic(error)
      raise
    finally:
      os.dup2(real, 2)
      file.seek(0)
      if not panics:
        os.write(2, file.read())


# Guards standard error: one thread at a time.
_STDERR = threading.RLock()


def _is_panic(error: BaseException) -> bool:
  """Returns whether Rust panicked; the class cannot be imported."""
  return type(error).__name__ == "PanicException"


def _reason(error: BaseException) -> str:
  """Returns the library's message in one line that is not too long."""
  lines = str(error).split("\n")
  return lines[0][:300] or type(error).__name__


def check_patterns(spec: Mapping[str, Any], file: pathlib.Path) -> None:
  """Tries a tokenizer with unknown regular expressions or tables.

  A separate process encodes long texts of one character, which fails with
  patterns that backtrack without bound and with damaged tables of characters.
  Results are cached.

  Args:
    spec: the content of tokenizer.json.
    file: its path, for the message.

  Raises:
    InputError: the tokenizer fails, or takes too long.
  """
  parts = [spec.get(key) for key in _WITH_PATTERNS]
  unknown = sorted(_patterns(parts) - _KNOWN)
  if not unknown:
    return
  failure = _failure(json.dumps(spec))
  if failure:
    raise errors.InputError(
        f"{file}: the tokenizer {failure}. Its regular expression or table"
        f" {unknown[0][:100]!r} is damaged, or backtracks without bound. Use"
        " another tokenizer, or correct this one."
    )


_WITH_PATTERNS = ("normalizer", "pre_tokenizer", "decoder")


def _patterns(node: Any) -> set[str]:
  """Returns the regular expressions and tables in a tokenizer.json."""
  if isinstance(node, list):
    return set().union(*map(_patterns, node))
  if not isinstance(node, dict):
    return set()
  values = {node.get(key) for key in ("Regex", "precompiled_charsmap")}
  values = {value for value in values if isinstance(value, str)}
  return values | _patterns(list(node.values()))


@functools.cache
def _failure(spec: str) -> str:
  """Returns how the trial of a tokenizer.json fails; "" if it passes."""
  try:
    process = subprocess.run(
        [sys.executable, trial.__file__],
        input=spec.encode("utf-8", "surrogatepass"),
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
  except subprocess.TimeoutExpired:
    return _SLOW
  if process.returncode == trial.FAILED:
    message = process.stdout.decode("utf-8", "replace").strip()
    return f"fails on plain text ({message[:300]})"
  if process.returncode < 0:  # Most likely by the signal of a limit.
    return _SLOW
  return ""


_SLOW = f"does not encode {trial.LENGTH:,} characters within {trial.SECONDS} seconds"
