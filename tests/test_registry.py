"""Tests of zsgen.core.registry."""

from collections.abc import Iterator
import dataclasses
import sys

import numpy as np
import pytest

from tests.helpers import components
import zsgen
from zsgen.core import config, errors, registry, schema
from zsgen.data import sources
from zsgen.orders import arrangements
from zsgen.orders import pool as pool_lib


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Empties the registry, whose kinds then have no home packages."""
  empty = {kind: {} for kind in registry.KINDS}
  monkeypatch.setattr(registry, "_COMPONENTS", empty)
  homes = dict.fromkeys(registry.KINDS, ())
  monkeypatch.setattr(registry, "_HOMES", homes)
  monkeypatch.setattr(registry, "_IMPORTED", set())
  yield


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of a component."""

  size: int = schema.option(1)


@pytest.mark.usefixtures("clean")
def test_decorator_registers_and_returns_the_function():
  @registry.arrangement("mine", options=Options)
  def arrange() -> str:
    return "built"

  component = registry.component("arrangement", "mine", "config.order")
  assert arrange() == "built"
  assert component.build is arrange
  assert component.options is Options
  assert component.module == __name__
  assert registry.names("arrangement") == ("mine",)
  assert registry.names("source") == ()


@pytest.mark.usefixtures("clean")
def test_no_options_by_default():
  registry.source("mine")(lambda: None)
  assert registry.component("source", "mine", "x").options is registry.NoOptions


@pytest.mark.usefixtures("clean")
def test_unknown_name_lists_all_names():
  for name in ("random", "similarity"):
    registry.arrangement(name)(lambda: None)
  with pytest.raises(errors.InputError) as raised:
    registry.component("arrangement", "randon", "config.order.arrangement")
  message = str(raised.value)
  assert message.startswith("config.order.arrangement: 'randon' is not known.")
  assert 'Did you mean "random"?' in message
  assert "random, similarity" in message


@pytest.mark.usefixtures("clean")
def test_one_name_for_two_functions_is_an_error():
  def first():
    pass

  def second():
    pass

  registry.embedder("mine")(first)
  registry.embedder("mine")(first)
  registry.prompt("mine")(second)  # Of another kind.
  with pytest.raises(errors.InputError, match="'mine' is registered twice"):
    registry.embedder("mine")(second)


def test_unknown_kind():
  with pytest.raises(errors.InputError, match='Did you mean "source"'):
    registry.register("sourc", "mine")


def test_options_are_a_frozen_dataclass_of_the_schema():
  @dataclasses.dataclass
  class Thawed:
    size: int = schema.option(1)

  @dataclasses.dataclass(frozen=True)
  class Plain:
    size: int = 1

  for options in (dict, Thawed):
    with pytest.raises(errors.InputError, match="must be a frozen dataclass"):
      registry.source("mine", options=options)
  with pytest.raises(errors.InputError, match="has no range"):
    registry.source("mine", options=Plain)


@pytest.mark.usefixtures("clean")
def test_home_packages_are_imported_on_first_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path
):
  package = tmp_path / "home_of_sources"
  package.mkdir()
  (package / "__init__.py").write_text("")
  (package / "one.py").write_text(
      "from zsgen.core import registry\n"
      "@registry.source('one')\n"
      "def one(): pass\n"
  )
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setitem(registry._HOMES, "source", ("home_of_sources",))
  assert registry.names("source") == ("one",)


ARRANGEMENT = """
import dataclasses
from zsgen.core import registry, schema
from zsgen.orders.arrangements import arranged

@dataclasses.dataclass(frozen=True)
class Options(arranged.Budget):
  every: int = schema.option(1, low=1)

@registry.arrangement("one_file", options=Options)
def one_file(pool, options, seed):
  return arranged.from_rows(pool.rows[:: options.every])
"""
SOURCE = """
from zsgen.core import registry
from zsgen.data import suite

@registry.source("one_file")
def one_file(data, seed, scratch):
  return suite.Suite("one_file", ("heldout",), lambda: iter(()))
"""


@pytest.mark.parametrize(
    ("kind", "home", "content"),
    [
        ("arrangement", "zsgen.orders.arrangements", ARRANGEMENT),
        ("source", "zsgen.data.sources", SOURCE),
    ],
)
def test_adding_a_component_touches_one_file(
    kind, home, content, monkeypatch: pytest.MonkeyPatch, tmp_path
):
  components.isolate(monkeypatch)
  monkeypatch.setattr(registry, "_IMPORTED", registry._IMPORTED - {home})
  package = sys.modules[home]
  monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
  (tmp_path / "one_file.py").write_text(content)
  try:
    assert "one_file" in registry.names(kind)
    selected = zsgen.default_config()
    section = {"arrangement": selected.order, "source": selected.data}[kind]
    section[kind] = "one_file"
    checked = config.check(selected)
  finally:
    sys.modules.pop(f"{home}.one_file", None)
  if kind == "arrangement":
    assert checked.order.every == 1
    pool = pool_lib.Pool(np.zeros(5, np.int32), rows=np.arange(5))
    order = dataclasses.replace(checked.order, every=2)
    assert arrangements.arrange(order, pool, 0).rows.tolist() == [0, 2, 4]
  else:
    assert sources.load(checked.data, 0, tmp_path).name == "one_file"
