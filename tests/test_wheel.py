"""The wheel: its files, its metadata, and an installation of it."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

import zsgen

BUILD = "from setuptools import build_meta; build_meta.build_wheel('dist')"


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> pathlib.Path:
  """Builds a wheel from a copy, so that the checkout stays clean."""
  copy = tmp_path_factory.mktemp("checkout")
  for name in ("README.md", "LICENSE", "pyproject.toml", "setup.py"):
    shutil.copy(root / name, copy)
  for name in ("zsgen", "launch"):
    shutil.copytree(
        root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
    )
  subprocess.run(
      [sys.executable, "-W", "ignore", "-c", BUILD],
      cwd=copy,
      check=True,
      capture_output=True,
  )
  (path,) = (copy / "dist").iterdir()
  return path


def test_the_wheel_has_the_package_and_nothing_else(wheel, root):
  with zipfile.ZipFile(wheel) as archive:
    names = archive.namelist()
  packaged = {name for name in names if ".dist-info/" not in name}
  sources = {
      path.relative_to(root).as_posix()
      for path in (root / "zsgen").rglob("*")
      if path.is_file() and "__pycache__" not in path.parts
  }
  assert packaged == sources
  assert {"zsgen/py.typed", "zsgen/assets/tiny/model.safetensors"} <= packaged
  assert any(name.endswith("/LICENSE") for name in names)


def test_the_metadata_is_complete(wheel):
  with zipfile.ZipFile(wheel) as archive:
    info = f"zsgen-{zsgen.__version__}.dist-info"
    metadata = archive.read(f"{info}/METADATA").decode()
    commands = archive.read(f"{info}/entry_points.txt").decode()
    modules = archive.read(f"{info}/top_level.txt").decode()
  for line in (
      f"Version: {zsgen.__version__}",
      "Requires-Python: >=3.11,<3.14",
      "Project-URL: Paper, ",
      "Classifier: Typing :: Typed",
      "Keywords: ",
      "# zsgen\n",
  ):
    assert line in metadata, line
  assert "zsgen = zsgen.main:start" in commands
  assert modules.split() == ["zsgen"]


def test_an_installation_imports_and_has_the_command(wheel, tmp_path):
  """Libraries are those of this environment; zsgen is the wheel's."""
  environment = tmp_path / "environment"
  subprocess.run(
      [sys.executable, "-m", "venv", "--without-pip", environment], check=True
  )
  (site,) = environment.glob("lib/python*/site-packages")
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(site)
  libraries = [path for path in sys.path if path.endswith("site-packages")]
  (site / "libraries.pth").write_text("\n".join(libraries))
  variables = {**os.environ, "PYTHONPATH": str(site)}
  python = environment / "bin" / "python"

  def run(code: str, *arguments: str) -> str:
    process = subprocess.run(
        [python, "-c", code, *arguments],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode in (0, 1), process.stderr  # 1: absl's --help.
    return process.stdout

  output = run("import zsgen; print(zsgen.__version__, zsgen.__file__)")
  assert output.split() == [zsgen.__version__, str(site / "zsgen/__init__.py")]
  start = (
      "import sys; sys.argv[0] = 'zsgen'; from zsgen.main import start; start()"
  )
  usage = run(start, "--help")
  for flag in ("--config:", "--workdir:", "--[no]show_batch:", "--stage:"):
    assert flag in usage
