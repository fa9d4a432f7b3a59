"""README, CONTRIBUTING and configs say what is there."""

import dataclasses
import importlib.util
import json
import pathlib
import re
import sys

import pytest

from launch import sweep
from zsgen.core import config as config_lib
from zsgen.core import registry, schema

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
)


def _configs(root):
  return sorted((root / "configs").glob("*.py"))


def _load(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize("page", PAGES)
def test_named_files_and_modules_exist(root, page):
  text = (root / page).read_text()
  for name in re.findall(r"--config=([\w/.]+)", text):
    # A reader's own files are called my_….
    assert name.startswith("my_") or (root / name).is_file(), name
  for name in re.findall(r"python -m ([\w.]+)", text):
    assert importlib.util.find_spec(name) is not None, name


def _prose(path: pathlib.Path) -> str:
  """Returns the text of a page, or of a notebook's cells, without code."""
  text = path.read_text("utf-8")
  if path.suffix == ".ipynb":
    cells = json.loads(text)["cells"]
    text = "\n".join(
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "markdown"
    )
  return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _anchors(path: pathlib.Path) -> set[str]:
  """Returns the anchors of a page's headings, as GitHub makes them."""
  titles = re.findall(r"^#+ (.*)$", _prose(path), re.MULTILINE)
  return {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", [*PAGES, "launch/colab.ipynb"])
def test_links_resolve(root, page):
  links = re.findall(r"\]\((?!http)([^)\s]+)\)", _prose(root / page))
  assert links or page == "CONTRIBUTING.md"
  for link in links:
    name, _, anchor = link.partition("#")
    target = (root / page).parent / name if name else root / page
    assert target.exists(), link
    if anchor and target.suffix == ".md":
      assert anchor in _anchors(target), link


def test_overridden_options_exist(root):
  known = config_lib.defaults()
  names = re.findall(r"--config\.([\w.]+)=", (root / "README.md").read_text())
  assert names
  for name in names:
    section, _, option = name.rpartition(".")
    node = known[section] if section else known
    assert option in {*node, *_options_of_components(node._kind)}, name


def _options_of_components(kind: type) -> set[str]:
  """Returns the options that a section may have of some component."""
  return {
      field.name
      for selector in schema.selectors(kind).values()
      for component in registry.components(selector.metadata["selects"])
      for field in dataclasses.fields(component.options)
  }


def test_named_make_targets_exist(root):
  makefile = (root / "Makefile").read_text()
  for page in PAGES:
    for name in re.findall(r"^make (\w+)", (root / page).read_text(), re.M):
      assert f"\n{name}:" in makefile, name


def test_every_config_is_valid_and_says_how_to_run_it(root, monkeypatch):
  monkeypatch.setattr(sys, "path", [str(root), *sys.path])
  for path in _configs(root):
    module = _load(path)
    assert f"--config=configs/{path.name}" in module.__doc__
    config = module.get_config()
    if "sweep" in config:
      assert sweep.points(config)
    else:
      config_lib.check(config)
