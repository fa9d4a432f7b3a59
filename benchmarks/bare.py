"""What travels to a machine without network: data and wheels.

Installing needs the standard library and pip only.
"""

from collections.abc import Iterable, Mapping, Sequence
import importlib
import importlib.metadata
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

# Modules that zsgen imports when it trains from a store, and others of some
# parts; with the distributions that have them.
CORE = {
    "absl": "absl-py",
    "etils": "etils",
    "flax": "flax",
    "jax": "jax",
    "jaxtyping": "jaxtyping",
    "matplotlib": "matplotlib",
    "ml_collections": "ml-collections",
    "numpy": "numpy",
    "optax": "optax",
    "orbax.checkpoint": "orbax-checkpoint",
    "pyarrow": "pyarrow",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "tensorboardX": "tensorboardX",
}
PEER = {"torch": "torch", "transformers": "transformers"}

# Wheels that travel by default: small ones, with what they need.
WHEELS = (
    "absl-py",
    "annotated-doc",
    "anyio",
    "certifi",
    "click",
    "etils",
    "filelock",
    "flax",
    "fsspec",
    "h11",
    "hf-xet",
    "httpcore2",
    "httpx2",
    "huggingface-hub",
    "humanize",
    "idna",
    "jaxtyping",
    "markdown-it-py",
    "mdurl",
    "ml-collections",
    "msgpack",
    "optax",
    "orbax-checkpoint",
    "packaging",
    "protobuf",
    "pygments",
    "pyyaml",
    "regex",
    "rich",
    "safetensors",
    "shellingham",
    "simplejson",
    "tensorboardX",
    "tokenizers",
    "tqdm",
    "transformers",
    "treescope",
    "truststore",
    "typer",
    "typing-extensions",
    "wadler-lindig",
)
# A file of prepared data, and its directory of wheels.
DATA, _WHEELS = "data.json", "wheels"
_PYTHON = "3.12"
_GLIBC = ("2_28", "2_27", "2_17", "2_5")


def write(
    directory: pathlib.Path, paths: Mapping[str, str], facts: Mapping[str, Any]
) -> None:
  """Writes which store and order of a directory to use, and facts about them.

  Args:
    directory: the directory that travels.
    paths: directories of the `store` and of the `order`, in `directory`.
    facts: JSON values.
  """
  relative = {
      name: str(pathlib.Path(path).relative_to(directory))
      for name, path in paths.items()
  }
  content = {"paths": relative, "facts": facts}
  (directory / DATA).write_text(json.dumps(content, indent=1) + "\n")


def read(directory: pathlib.Path) -> tuple[dict[str, str], dict[str, Any]]:
  """Returns the paths and the facts that `write` has written."""
  content = json.loads((directory / DATA).read_text())
  paths = {
      name: str(directory / path) for name, path in content["paths"].items()
  }
  return paths, content["facts"]


def download(directory: pathlib.Path, names: Iterable[str]) -> None:
  """Downloads wheels for the machine, without what they need.

  zsgen's own requirements limit their versions.

  Args:
    directory: the directory that travels.
    names: distributions.
  """
  target = directory / _WHEELS
  shutil.rmtree(target, ignore_errors=True)
  command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
  command += ["--only-binary=:all:", "--implementation=cp"]
  command += [f"--python-version={_PYTHON}", f"--dest={target}"]
  command += [f"--platform=manylinux_{glibc}_x86_64" for glibc in _GLIBC]
  subprocess.run([*command, "--platform=any", *_limited(names)], check=True)


def _limited(names: Iterable[str]) -> list[str]:
  """Returns requirements of distributions, with zsgen's limits."""
  limits = {}
  for line in importlib.metadata.requires("zsgen") or ():
    requirement = line.partition(";")[0].strip()
    name = requirement.partition("[")[0]
    for sign in "<>=!~ ":
      name = name.partition(sign)[0]
    limits[name.lower()] = requirement
  return [limits.get(name.lower(), name) for name in names]


def install(wheels: pathlib.Path, target: pathlib.Path) -> list[str]:
  """Installs wheels whose distributions the machine does not have.

  Args:
    wheels: a directory of wheels.
    target: the directory to install into. It is searched after all others.

  Returns:
    The names of what was installed.
  """
  missing = [path for path in sorted(wheels.glob("*.whl")) if _is_missing(path)]
  if missing:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
    command += ["--no-deps", "--no-compile", f"--target={target}"]
    subprocess.run([*command, *map(str, missing)], check=True)
    sys.path.append(str(target))
    importlib.invalidate_caches()
  return [_name(path) for path in missing]


def _name(wheel: pathlib.Path) -> str:
  return wheel.name.partition("-")[0]


def _is_missing(wheel: pathlib.Path) -> bool:
  """Returns whether the package of a wheel is not installed."""
  try:
    importlib.metadata.distribution(_name(wheel))
  except importlib.metadata.PackageNotFoundError:
    return True
  return False


def missing_modules(modules: Sequence[str]) -> list[str]:
  """Returns modules that cannot be imported, without importing them."""
  return [name for name in modules if not _is_importable(name)]


def _is_importable(module: str) -> bool:
  """Returns whether a module is there, without importing it."""
  try:
    return importlib.util.find_spec(module) is not None
  except ImportError:  # A package above it is missing.
    return False


def versions(names: Iterable[str]) -> dict[str, str]:
  """Returns the versions of distributions; those that are missing are not in
  it.
  """
  known = {}
  for name in names:
    try:
      known[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      continue
  return known
