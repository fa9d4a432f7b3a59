"""The public namespace: its names, their types, and what they import."""

import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest

import zsgen
from zsgen.core import config as config_lib
from zsgen.core import registry
from zsgen.data import prepare
from zsgen.orders import order as order_lib

LIGHT = (
    "import zsgen; zsgen.default_config()",
    "import zsgen; zsgen.load_store({store!r})",
    "import zsgen; zsgen.load_order({order!r}, zsgen.load_store({store!r}))",
    "from zsgen.orders.__main__ import main; assert not main(['show', {order!r}])",
    "from zsgen.orders.__main__ import main; assert not main(['diff', {order!r},"
    " {order!r}])",
    "from zsgen.reports.store_view import main; assert not main([{store!r}])",
    "from zsgen.verify.command import main; assert not main([{store!r}])",
    "from zsgen.verify.command import main; assert not main([{order!r}])",
    "import zsgen.main",
    "from zsgen.core.artifacts import provenance;"
    " assert 'device' not in provenance.describe_process()",
)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> dict[str, str]:
  """Makes a store and a random order of it."""
  workdir = tmp_path_factory.mktemp("workdir")
  data = config_lib.build(
      config_lib.Data, train_instances=2, heldout_instances=1
  )
  store = prepare.prepare(workdir / "stores", data, seed=0)
  options = config_lib.check({"order": {"arrangement": "random"}}).order
  order = order_lib.make(workdir, store, options, seed=0)
  return {"store": str(store.path), "order": str(order.path)}


def run_python(code: str, cwd: pathlib.Path) -> subprocess.CompletedProcess:
  """Runs code in a process of its own."""
  return subprocess.run(
      [sys.executable, "-c", code],
      cwd=cwd,
      env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
      capture_output=True,
      text=True,
      check=False,
  )


@pytest.mark.parametrize("code", LIGHT)
def test_tools_on_stores_and_orders_do_not_import_jax(
    code, artifacts, tmp_path
):
  check = "\nimport sys; assert 'jax' not in sys.modules"
  process = run_python(code.format(**artifacts) + check, tmp_path)
  assert process.returncode == 0, process.stderr


def test_importing_the_package_imports_no_library(tmp_path):
  code = (
      "import sys, zsgen; print(*(name for name in ('jax', 'numpy', 'pyarrow',"
      " 'ml_collections') if name in sys.modules))"
  )
  assert not run_python(code, tmp_path).stdout.strip()


def test_every_public_name_resolves():
  for name in zsgen.__all__:
    assert getattr(zsgen, name)
    assert name in dir(zsgen)
  with pytest.raises(AttributeError, match="no attribute 'rum'"):
    zsgen.rum  # noqa: B018 - the attribute access is what raises.


def test_type_checkers_see_the_public_names(root):
  """Checks that TYPE_CHECKING imports the objects that names resolve to."""
  tree = ast.parse((root / "zsgen" / "__init__.py").read_text("utf-8"))
  (block,) = (node for node in tree.body if isinstance(node, ast.If))
  typed = {}
  for node in block.body:
    for alias in node.names:
      typed[alias.asname or alias.name] = f"{node.module}.{alias.name}"
  assert set(typed) == set(zsgen.__all__) - {"__version__"}
  for name, path in typed.items():
    module, _, attribute = path.rpartition(".")
    assert getattr(sys.modules[module], attribute) is getattr(zsgen, name)


def test_every_kind_of_component_has_a_public_decorator():
  names = {name for name in zsgen.__all__ if name.startswith("register_")}
  assert names == {f"register_{kind}" for kind in registry.KINDS}


def test_a_wrong_directory_is_an_input_error(artifacts, tmp_path):
  for load in (zsgen.load_run, zsgen.load_store, zsgen.load_order):
    with pytest.raises(zsgen.InputError, match="no such directory"):
      load(tmp_path / "absent")
  with pytest.raises(zsgen.InputError, match="store"):
    zsgen.load_store(artifacts["order"])


def test_the_page_has_every_public_name(root):
  page = (root / "docs" / "api.md").read_text("utf-8")
  for name in zsgen.__all__:
    assert re.search(rf"\b{name}\b", page), name


@pytest.mark.slow
def test_the_blocks_of_the_page_run(root, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  page = (root / "docs" / "api.md").read_text("utf-8")
  namespace = {}
  try:
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
      exec(block, namespace)  # The page is ours.
  finally:  # Other tests compare what is registered with the docs.
    registry._COMPONENTS["arrangement"].pop("backwards", None)
  assert namespace["result"].report.is_file()
  assert "Did you mean" in str(namespace["message"])
  assert namespace["order"].ids.tolist()


@pytest.mark.parametrize("load", [zsgen.load_store, zsgen.load_run])
def test_a_wrong_path_is_never_to_be_removed(tmp_path, load):
  (tmp_path / "mine.txt").write_text("precious")
  with pytest.raises(zsgen.InputError, match="check the path") as raised:
    load(tmp_path)
  assert "delete" not in str(raised.value)


def test_configs_load_what_they_share_by_path(tmp_path):
  (tmp_path / "shared.py").write_text("SIZE = 3\n")
  config = str(tmp_path / "config.py")
  assert zsgen.load_beside(config, "shared.py").SIZE == 3
  with pytest.raises(zsgen.InputError, match=r"config\.py: loads other\.py"):
    zsgen.load_beside(config, "other.py")
