"""Tests of zsgen.core.plugins: modules of users that register components."""

import pathlib
import sys

import pytest

from tests.helpers import components
import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors, plugins, registry
from zsgen.orders import order as order_lib

BACKWARDS = """
import dataclasses
from zsgen.core import registry, schema
from zsgen.orders.arrangements import arranged

@dataclasses.dataclass(frozen=True)
class Options:
  skipped: int = schema.option(0, low=0)

@registry.arrangement("backwards", options=Options)
def backwards(pool, options, seed):
  rows = range(len(pool) - 1, options.skipped - 1, -1)
  return arranged.from_rows(pool.rows[list(rows)])
"""


@pytest.fixture
def write(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
  """Writes a module to a directory where plug-ins are found."""
  components.isolate(monkeypatch)
  directory = tmp_path / "configs"
  directory.mkdir()
  plugins.search(directory)
  names = []

  def write_module(name: str, content: str) -> str:
    (directory / f"{name}.py").write_text(content)
    names.append(name)
    return name

  yield write_module
  for name in names:
    sys.modules.pop(name, None)


def test_a_users_arrangement(write, small, tmp_path):
  small.plugins = (write("plug_backwards", BACKWARDS),)
  small.order.arrangement = "backwards"
  small.order.skipped = 3
  path = zsgen.run(small, tmp_path, ["order"]).order
  order = order_lib.Order.load(path)
  assert order.ids.tolist() == [*range(len(order) + 2, 2, -1)]
  assert order.manifest["made_by"]["parameters"]["skipped"] == 3
  with pytest.raises(errors.InputError, match="skiped is not an option"):
    small.order.skiped = 1


def test_its_source_changes_the_name_of_the_order_only(write, small, tmp_path):
  name = write("plug_named", BACKWARDS)
  plain = zsgen.run(small, tmp_path, ["prepare", "order"])
  small.plugins = (name,)
  assert zsgen.run(small, tmp_path, ["prepare", "order"]) == plain
  small.order.arrangement = "backwards"
  first = zsgen.run(small, tmp_path, ["prepare", "order"])
  del sys.modules[name]
  plugins._DIGESTS.clear()
  registry._COMPONENTS["arrangement"].pop("backwards")
  write(name, BACKWARDS + "# A comment.\n")
  second = zsgen.run(small, tmp_path, ["prepare", "order"])
  assert first.store == second.store == plain.store
  assert len({first.order, second.order, plain.order}) == 3


def test_plugins_of_a_plain_dictionary(write):
  name = write("plug_plain", BACKWARDS)
  order = {"arrangement": "backwards", "skipped": 1}
  config = config_lib.check({"plugins": [name], "order": order})
  assert config.order.skipped == 1
  with pytest.raises(errors.InputError, match="'backward' is not known"):
    config_lib.check({"order": {"arrangement": "backward"}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = (", r"plug_bad\.py, line 1: SyntaxError"),
        ("\n1 / 0", r"plug_bad\.py, line 2: ZeroDivisionError: division"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("import no_such_module", "line 1: ModuleNotFoundError: No module"),
        ("x = 1", "registers no component"),
        (
            "from zsgen.core import registry\n"
            "registry.arrangement('tmt')(print)",
            "'tmt' is registered twice",
        ),
    ],
)
def test_an_invalid_module_is_one_message(write, content, message):
  name = write("plug_bad", content)
  for _ in range(2):  # It is not half loaded the second time.
    with pytest.raises(errors.InputError, match=message):
      plugins.load([name])


def test_a_missing_module():
  with pytest.raises(errors.InputError, match=r"Put no_such_plugin\.py next"):
    plugins.load(["no_such_plugin"])
  with pytest.raises(errors.InputError, match="give a tuple of modules"):
    plugins.load("no_such_plugin")


def test_all_files_of_a_package_are_hashed(write, tmp_path):
  package = tmp_path / "configs" / "plug_package"
  package.mkdir()
  (package / "__init__.py").write_text("from plug_package import inner\n")
  (package / "inner.py").write_text(BACKWARDS)
  plugins.load(["plug_package"])
  component = registry.component("arrangement", "backwards", "x")
  assert component.module == "plug_package.inner"
  assert plugins.digest(component) == plugins.digests()["plug_package"]
  assert plugins.fingerprint("arrangement", "tmt") == {}
  for name in ("plug_package", "plug_package.inner"):
    sys.modules.pop(name)
