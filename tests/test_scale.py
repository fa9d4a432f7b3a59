"""The presets of configs/scale, and the page that tells of them."""

import dataclasses
import runpy

import jax
import pytest

from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.train import starts


@pytest.fixture(scope="module")
def file(root) -> dict:
  return runpy.run_path(str(root / "configs/scale/llama2_7b.py"))


@pytest.fixture(scope="module")
def page(root) -> str:
  return (root / "docs" / "scale.md").read_text("utf-8")


def test_presets_are_configs_of_7b(file):
  for name in file["PRESETS"]:
    config = config_lib.check(file["get_config"](name))
    start = starts.make(config.model, config.seed, config.lora)
    count = sum(leaf.size for leaf in jax.tree.leaves(start.all_shapes))
    assert count == pytest.approx(6.74e9, rel=0.01)
    assert bool(config.lora.rank) == name.endswith("-lora")
    assert config.plan.topology and config.name == f"llama2_7b-{name}"


def test_an_unknown_preset(file):
  with pytest.raises(errors.InputError, match='Did you mean "v5e-16"'):
    file["get_config"]("v5e-18")


def test_the_page_has_every_preset_and_option(file, page):
  for name in file["PRESETS"]:
    assert f"\n| {name} |" in page
  for field in dataclasses.fields(config_lib.Plan):
    assert f"\n| `{field.name}` |" in page
