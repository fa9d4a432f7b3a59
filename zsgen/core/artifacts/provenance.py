"""Where an artifact comes from: software, devices, command and time.

`provenance.json` is for people who repeat or compare results. It is in no
name, digest, fingerprint or manifest, and nothing depends on it, so that the
same artifact has the same manifest on every machine and at any time.
"""

from collections.abc import Mapping, Sequence
import datetime
import pathlib
import re
import shlex
import sys
from typing import Any

from zsgen.core import software, texts
from zsgen.core.artifacts import hashing, sealing

PROVENANCE = "provenance.json"
_FIELD = "written_by"
_ADVICE = "Delete it: nothing depends on it."
# Characters of a command line, at most.
_LONGEST = 2000
_HIDDEN = "…"
# Options and variables whose values are secret.
_SECRET = re.compile(
    r"(^|-)(token|secret|password|passwd|passphrase|credentials?|auth"
    r"|authorization|(api|access|private|secret)-?key)(-|$)"
)
# Well-known forms of keys.
_KEYS = re.compile(
    r"\b((hf_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abp]-)[\w-]{16,}"
    r"|AKIA[0-9A-Z]{12,}|eyJ[\w-]{8,}\.[\w.-]+)"
)
# Parts of addresses: user and password, and queries, which may be signed.
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(://[^\s?]*\?)\S+")
_HOMES = re.compile(r"(/[^/\s=,:'\"]+)*/(home|Users)/[^/\s=,:'\"]+")


def describe_process(
    mesh: Mapping[str, int] | None = None, population: str = ""
) -> dict[str, Any]:
  """Returns what this process is, as JSON values.

  Neither imports JAX nor starts its devices.

  Args:
    mesh: sizes of the axes of the devices that compute the artifact, if any.
    population: the population that a run is a member of; "" for none.

  Returns:
    `date` (UTC, ISO 8601), `command` (without secrets and home directories),
    `versions`; `commit` and `is_modified` in a checkout; where devices are in
    use `device`, `devices`, `hosts` and `mesh`; and `population`, if any.
  """
  now = datetime.datetime.now(datetime.UTC)
  return {
      "date": now.isoformat(timespec="seconds"),
      "command": public_command(sys.orig_argv or sys.argv),
      "versions": software.versions(),
      **software.commit(),
      **_devices(),
      **({"mesh": dict(mesh)} if mesh else {}),
      **({"population": population} if population else {}),
  }


def _devices() -> dict[str, Any]:
  """Returns kind and number of the devices, if they are in use already."""
  if "jax" not in sys.modules:
    return {}
  import jax

  from zsgen.core import jax_internals

  if not jax_internals.has_devices():
    return {}
  devices = jax.devices()
  return {
      "device": devices[0].device_kind,
      "devices": len(devices),
      "hosts": jax.process_count(),
  }


def public_command(arguments: Sequence[str]) -> str:
  """Returns a command line without secrets, home directories and code.

  Args:
    arguments: the interpreter, its options, and the program's arguments.
  """
  program = pathlib.PurePath(arguments[0]).name if arguments else ""
  words = [program]
  hides_next = False
  for argument in arguments[1:]:
    words.append(_HIDDEN if hides_next else _public(argument))
    hides_next = argument == "-c" or (
        argument.startswith("-") and "=" not in argument and _names(argument)
    )
  return texts.short(shlex.join(words), _LONGEST)


def _names(option: str) -> bool:
  """Returns whether an option's name says that its value is secret."""
  words = re.sub(r"[^a-z0-9]+", "-", option.lower()).strip("-")
  return _SECRET.search(words) is not None


def _public(argument: str) -> str:
  """Returns an argument without what is secret or personal in it."""
  name, equals, _ = argument.partition("=")
  if equals and _names(name):
    return f"{name}={_HIDDEN}"
  argument = _KEYS.sub(_HIDDEN, _LOGIN.sub(f"{_HIDDEN}@", argument))
  argument = _QUERY.sub(rf"\1{_HIDDEN}", argument)
  home = str(pathlib.Path.home())
  if len(home) > 1:
    argument = re.sub(rf"{re.escape(home)}(?![^/\s,:'\"])", "~", argument)
  return _HOMES.sub("~", argument)


def write(
    path: pathlib.Path,
    recipe: Mapping[str, Any],
    mesh: Mapping[str, int] | None = None,
    earlier: Sequence[Mapping[str, Any]] = (),
    population: str = "",
) -> None:
  """Writes the provenance of an artifact.

  Args:
    path: its directory.
    recipe: the field `made_by` of its manifest.
    mesh: as for `describe_process`.
    earlier: what `read` returned: processes that worked on it before this one.
    population: as for `describe_process`.
  """
  content = {_FIELD: [*earlier, describe_process(mesh, population)]}
  sealing.write_sealed(path / PROVENANCE, content, hashing.digest(recipe))


def read(path: pathlib.Path, recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Returns the processes that wrote an artifact, the first one first.

  Args:
    path: its directory.
    recipe: the field `made_by` of its manifest.

  Returns:
    For each process what `describe_process` returned; [] if an older version,
    which recorded nothing, wrote the artifact.

  Raises:
    InputError: the file is damaged, or another artifact's.
  """
  file = path / PROVENANCE
  if not file.exists():
    return []
  return sealing.read_sealed(file, hashing.digest(recipe), _ADVICE)[_FIELD]
