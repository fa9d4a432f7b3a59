"""Failures of the tokenizers library become one error that names the file.

The library reads files of others. It raises plain `Exception`s, and where its
Rust code panics a `PanicException`, which is none. A regular expression in a
file may take for ever: `check_patterns` tries unknown ones in a process of
their own, which can be ended.
"""

from collections.abc import Iterator, Mapping
import contextlib
import functools
import json
import pathlib
import subprocess
import sys
from typing import Any

from zsgen import errors
from zsgen.data.tokenizers import trial

# Of the clock: a machine with other work gives the process little time. The
# process limits its own seconds of the processor.
_SECONDS = 120.0
# Patterns that are in wide use, and known to be harmless.
_KNOWN = frozenset(
    {
        # Llama 3, and cl100k of tiktoken.
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        # Qwen 2 to 3.
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        # GPT-2, where it is written out.
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|"
        r"\s+(?!\S)|\s+",
        # SentencePiece models as tokenizer.json: transformers', and ours.
        " {2,}",
        r"\A +| +\z",
        # DeepSeek.
        r"\p{N}{1,3}",
        r"[\r\n]",
    }
)


@contextlib.contextmanager
def one_error(file: pathlib.Path, work: str) -> Iterator[None]:
  """Turns whatever the library raises into an InputError.

  Args:
    file: the tokenizer's, for the message.
    work: what fails, as "cannot be read".

  Raises:
    InputError: the library raised an exception, or panicked.
    UnicodeEncodeError: as it is.
  """
  try:
    yield
  except (errors.InputError, UnicodeEncodeError):
    raise
  except BaseException as error:
    if not isinstance(error, Exception) and not _is_panic(error):
      raise  # An interruption.
    raise errors.InputError(f"{file}: {work} ({_reason(error)}).") from error


def _is_panic(error: BaseException) -> bool:
  """Whether it is Rust's; the class cannot be imported."""
  return type(error).__name__ == "PanicException"


def _reason(error: BaseException) -> str:
  """What the library says, in one line that is not too long."""
  lines = str(error).split("\n")
  return lines[0][:300] or type(error).__name__


def check_patterns(spec: Mapping[str, Any], file: pathlib.Path) -> None:
  """Tries a tokenizer whose regular expressions are not known.

  A process of its own encodes long texts of one character, which patterns
  that backtrack without bound cannot do. What was tried is not tried again.

  Args:
    spec: tokenizer.json.
    file: where it is, for the message.

  Raises:
    InputError: it fails, or it takes longer than is sensible.
  """
  patterns = sorted(_patterns([spec.get(key) for key in _WITH_PATTERNS]))
  unknown = [pattern for pattern in patterns if pattern not in _KNOWN]
  if not unknown:
    return
  failure = _failure(json.dumps(spec))
  if failure:
    raise errors.InputError(
        f"{file}: the tokenizer {failure}. Its regular expression"
        f" {unknown[0][:100]!r} may backtrack without bound: use another"
        " tokenizer, or correct the pattern."
    )


_WITH_PATTERNS = ("normalizer", "pre_tokenizer", "decoder")


def _patterns(node: Any) -> Iterator[str]:
  """The regular expressions in a part of a tokenizer.json."""
  if isinstance(node, list):
    for child in node:
      yield from _patterns(child)
  elif isinstance(node, dict):
    if isinstance(node.get("Regex"), str):
      yield node["Regex"]
    yield from _patterns(list(node.values()))


@functools.cache
def _failure(spec: str) -> str:
  """How the trial of a tokenizer.json fails, as words; "" if it does not."""
  try:
    done = subprocess.run(
        [sys.executable, trial.__file__],
        input=spec.encode("utf-8", "surrogatepass"),
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
  except subprocess.TimeoutExpired:
    return _SLOW
  if done.returncode == trial.FAILED:
    said = done.stdout.decode("utf-8", "replace").strip()
    return f"fails on plain text ({said[:300]})"
  if done.returncode < 0:  # By a signal: of the limits, most likely.
    return _SLOW
  return ""


_SLOW = f"does not encode {trial.LENGTH:,} characters within {trial.SECONDS} seconds"
