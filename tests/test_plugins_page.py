"""The blocks of docs/plugins.md are plug-ins that run."""

import json
import re
import runpy
import sys

import pytest

from tests.helpers import components
import zsgen
from zsgen.core import plugins

LONGEST = 25


@pytest.fixture
def blocks(root, tmp_path, monkeypatch) -> dict[str, str]:
  """Writes each block of the page to the file that its first line names."""
  components.isolate(monkeypatch)
  page = (root / "docs" / "plugins.md").read_text("utf-8")
  modules = dict(re.findall(r"```python\n# (my_\w+)\.py\n(.*?)```", page, re.S))
  for name, block in modules.items():
    (tmp_path / f"{name}.py").write_text(block)
    monkeypatch.delitem(sys.modules, name, raising=False)
  plugins.search(tmp_path)
  return modules


def test_each_component_is_short(blocks):
  assert len(blocks) == 5
  for name, block in blocks.items():
    assert len(block.strip().splitlines()) < LONGEST, name


def test_the_components_of_the_page_train(blocks, small, tmp_path):
  config = runpy.run_path(str(tmp_path / "my_config.py"))["get_config"]()
  config.train = small.train
  config.model = small.model
  config.machine = small.machine
  workdir = tmp_path / "workdir"
  outputs = zsgen.run(config, workdir, ["prepare", "order", "train"])
  order = zsgen.load_order(outputs.order, zsgen.load_store(outputs.store))
  recipe = order.manifest["made_by"]
  digests = plugins.digests()
  assert recipe["parameters"]["plugin"] == digests["my_arrangement"]
  embedder = recipe["embedder"]
  assert embedder["parameters"]["plugin"] == digests["my_embedder"]
  lines = (outputs.run / "metrics.jsonl").read_text().splitlines()
  assert any("heldout/confidence" in json.loads(line) for line in lines)
