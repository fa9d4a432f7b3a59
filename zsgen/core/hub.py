"""Locates directories in Hugging Face's layout: local ones, or downloads."""

from collections.abc import Sequence
import os
import pathlib

from zsgen.core import errors


def cache() -> pathlib.Path:
  """Returns the directory of downloads: zsgen in the user's cache."""
  home = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
  return pathlib.Path(os.path.expanduser(home)) / "zsgen"


# A small pre-trained model, which `make base` downloads and converts.
BASE = cache() / "smollm2-135m-instruct"


def locate(
    name: str, patterns: Sequence[str], option: str, noun: str
) -> pathlib.Path:
  """Returns a local directory, or the download of a name on the hub.

  Args:
    name: a path, or a name on the hub.
    patterns: patterns of the files to download.
    option: the option with this value, for the message.
    noun: the kind of directory, such as "model".

  Raises:
    InputError: there is no such directory, and the download fails.
  """
  directory = pathlib.Path(os.path.expanduser(name))
  if directory.is_dir():
    return directory
  if directory == BASE:
    raise errors.InputError(
        f"{option}: the base {directory} is not there yet. Run `make base`, or"
        " `python -m zsgen.models.base` (a download of 93 MB, 540 MB on disk);"
        " or set the option to another directory."
    )
  try:
    import huggingface_hub  # Optional: extra hf.

    snapshot = huggingface_hub.snapshot_download(
        name, allow_patterns=list(patterns)
    )
  except Exception as error:  # Of the network, the hub or its library.
    reason = " ".join(str(error).split())
    raise errors.InputError(
        f"{option}: {name!r} is not a directory, and no {noun} of that name could"
        f" be downloaded ({reason}). Download its {', '.join(patterns)}"
        " beforehand, and set the option to their directory."
    ) from error
  return pathlib.Path(snapshot)
