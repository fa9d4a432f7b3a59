"""launch/Dockerfile copies what the installation and the configs need."""

import re
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def image(root, tmp_path):
  """Returns a directory with the files that the image has."""
  text = (root / "launch" / "Dockerfile").read_text()
  for line in re.findall(r"^COPY (.*)$", text, re.M):
    *sources, destination = line.split()
    for name in sources:
      if (root / name).is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, tmp_path / destination, ignore=ignored)
      else:
        shutil.copy(root / name, tmp_path / destination)
  return tmp_path


def test_the_image_is_installable_and_runs(root, image):
  for command in (
      ["setup.py", "--quiet", "egg_info"],
      ["-m", "zsgen.main", "--config=configs/tmt.py", "--show_batch", "--x"],
      ["-m", "launch.render", "slurm", "--", "true"],
  ):
    completed = subprocess.run(
        [sys.executable, *command],
        cwd=image,
        env={"PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "--x" in command:  # The config is there; the flag is not.
      assert completed.returncode == 2, completed.stderr
      assert "Unknown command line flag 'x'" in completed.stderr
    else:
      assert completed.returncode == 0, completed.stderr
  metadata = (image / "zsgen.egg-info" / "requires.txt").read_text()
  arguments = (root / "launch" / "Dockerfile").read_text()
  (extras,) = re.findall(r"^ARG EXTRAS=(\w+)$", arguments, re.M)
  assert f"[{extras}]" in metadata


def test_the_image_has_a_python_that_zsgen_supports(root):
  text = (root / "launch" / "Dockerfile").read_text()
  (version,) = re.findall(r"^FROM python:(3\.\d+)-slim$", text, re.M)
  setup = (root / "setup.py").read_text()
  assert f"Programming Language :: Python :: {version}" in setup
