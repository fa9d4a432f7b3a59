"""Private parts of JAX are used behind one module, and are there."""

import ast
import pathlib
import subprocess
import sys

from zsgen.core import jax_internals

ROOT = pathlib.Path(__file__).resolve().parents[1]
ALLOWED = {ROOT / "zsgen" / "core" / "jax_internals.py"}


def _imports_internals(path: pathlib.Path) -> bool:
  names = []
  for node in ast.walk(ast.parse(path.read_text("utf-8"))):
    if isinstance(node, ast.ImportFrom) and node.module:
      names += [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
    elif isinstance(node, ast.Attribute) and node.attr == "_src":
      names.append("jax._src")
  return any(f"{name}.".startswith("jax._src.") for name in names)


def test_one_module_imports_internals_of_jax():
  folders = ("zsgen", "launch", "benchmarks", "configs", "tests")
  paths = [path for name in folders for path in (ROOT / name).rglob("*.py")]
  assert {path for path in paths if _imports_internals(path)} == ALLOWED


def test_an_import_is_found(tmp_path):
  for i, line in enumerate(
      (
          "import jax._src.core",
          "from jax._src import core",
          "from jax import _src",
          "import jax\njax._src",
      )
  ):
    path = tmp_path / f"{i}.py"
    path.write_text(line)
    assert _imports_internals(path)


def test_the_coordination_service_has_the_methods_used():
  for name in ("client", "num_processes", "process_id"):
    assert hasattr(jax_internals.coordination, name)


def test_devices_are_not_started_to_see_whether_they_are():
  code = (
      "import jax; from zsgen.core import jax_internals as internals;"
      " assert not internals.has_devices(); assert not internals.has_devices();"
      " jax.devices(); assert internals.has_devices()"
  )
  completed = subprocess.run(
      [sys.executable, "-c", code], cwd=ROOT, check=False
  )
  assert completed.returncode == 0


def test_slurm_is_detected(monkeypatch):
  for name in ("JOB_ID", "STEP_NODELIST", "NTASKS", "PROCID", "LOCALID"):
    monkeypatch.setenv(f"SLURM_{name}", "1")
  cluster = jax_internals.find_cluster()
  assert cluster.__name__ == "SlurmCluster"
  assert cluster.get_process_count() == 1
