"""Messages for users about buckets that cannot be used."""

from collections.abc import Iterator
import contextlib
import pathlib
import re
import textwrap

from zsgen.core import errors

# What client libraries say of an account that may not do something.
_FORBIDDEN = re.compile(
    r"forbidden|permission|does not have|unauthorized|\b40[13]\b", re.IGNORECASE
)
# Where TensorStore begins to describe itself, and the longest reason to print.
_SPEC, _LONGEST = " [tensorstore_spec", 500
# Exceptions that name a failed connection.
_UNREACHABLE = (ConnectionError, TimeoutError)
# What programs that use a bucket themselves say of a network that fails, and of
# an account that may not do something.
_FAILED = re.compile(
    "curl error|retry attempts failed|connect|timed? ?out|reset by peer"
    "|unavailable|deadline|name resolution|unauthenticated|unauthorized"
    "|credentials|forbidden|permission|denied",
    re.IGNORECASE,
)


def explain(
    url: str, action: str, error: BaseException
) -> errors.InputError | None:
  """Returns the message for an error of a program that uses a bucket itself.

  Args:
    url: what it was reading or writing; a local path has no such message.
    action: what was to be done with it, a participle.
    error: what it raised; its causes are examined too.

  Returns:
    None if neither the network nor a permission is the reason.
  """
  cause: BaseException | None = error
  while cause is not None and "://" in url:
    if isinstance(cause, _UNREACHABLE) or _FAILED.search(str(cause)):
      return describe(url, action, cause)
    cause = cause.__cause__ or cause.__context__
  return None


@contextlib.contextmanager
def explained(path: pathlib.PurePath, action: str) -> Iterator[None]:
  """Raises an error of the network or of a permission as InputError.

  Args:
    path: what is read or written; nothing is done for a local path.
    action: what is to be done with it, a participle.
  """
  try:
    yield
  except errors.InputError:
    raise
  except Exception as error:  # Each library has its own.
    if failure := explain(str(path), action, error):
      raise failure from error
    raise


def describe(url: str, action: str, error: BaseException) -> errors.InputError:
  """Returns the message for an error of a client library.

  Args:
    url: what it was reading or writing.
    action: what was to be done with it, a participle.
    error: what it raised.
  """
  words = " ".join(str(error).partition(_SPEC)[0].split())
  reason = textwrap.shorten(words, _LONGEST) or type(error).__name__
  text = f"{url}: cannot be {action}"
  if isinstance(error, FileNotFoundError):
    return errors.InputError(
        f"{text}: there is no such bucket. Create it (gcloud storage buckets"
        " create), or check --workdir."
    )
  if isinstance(error, PermissionError) or _FORBIDDEN.search(reason):
    return errors.InputError(
        f"{text}: no permission ({reason}). Log in (gcloud auth"
        " application-default login), or ask for the roles Storage Object User"
        " and Storage Legacy Bucket Reader (roles/storage.objectUser,"
        " roles/storage.legacyBucketReader) on the bucket."
    )
  if isinstance(error, _UNREACHABLE) or "connect" in reason.lower():
    text += ": the bucket cannot be reached"
  return errors.InputError(
      f"{text} ({reason}). Check the network and your login, and run the same"
      " command again: it resumes."
  )
