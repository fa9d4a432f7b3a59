"""Directories in Hugging Face's layout: local, or downloaded from the hub."""

from collections.abc import Sequence
import os
import pathlib

from zsgen.core import errors


def locate(
    name: str, patterns: Sequence[str], option: str, what: str
) -> pathlib.Path:
  """A directory that is there, or what the hub has under a name.

  Args:
    name: a path, or a name on the hub.
    patterns: of the files to download.
    option: whose value the name is, for the message.
    what: is looked for, such as "model".

  Raises:
    InputError: there is neither.
  """
  directory = pathlib.Path(os.path.expanduser(name))
  if directory.is_dir():
    return directory
  try:
    import huggingface_hub  # Optional: extra hf.

    found = huggingface_hub.snapshot_download(
        name, allow_patterns=list(patterns)
    )
  except Exception as error:  # Of the network, the hub, its library.
    said = " ".join(str(error).split())
    raise errors.InputError(
        f"{option}: {name!r} is no directory, and no {what} of that name could"
        f" be downloaded ({said}). Download its {', '.join(patterns)}"
        " beforehand, and give their directory."
    ) from error
  return pathlib.Path(found)
