"""Presets have the parameters that their publishers count."""

import jax
import pytest

from zsgen.core import config, schema
from zsgen.core import mesh as mesh_lib
from zsgen.models import model as model_lib
from zsgen.models import presets

COUNTS = {
    "TINY": 886_912,
    "GPT2": 124_439_808,
    "LLAMA2_7B": 6_738_415_616,
    "LLAMA31_8B": 8_030_261_248,
    "LLAMA32_1B": 1_235_814_400,
    "MISTRAL_7B": 7_241_732_096,
    "QWEN25_05B": 494_032_768,
    "QWEN25_7B": 7_615_616_512,
    "QWEN3_06B": 596_049_920,
    "QWEN3_8B": 8_190_735_360,
    "GEMMA2_2B": 2_614_341_888,
    "GEMMA3_1B": 999_885_952,
}


def test_every_preset_is_counted():
  assert {name for name in vars(presets) if name.isupper()} == set(COUNTS)


@pytest.mark.parametrize("name, count", COUNTS.items())
def test_parameter_counts_are_as_published(name, count):
  fields = {"init": "new", **getattr(presets, name)}
  arch = schema.check_section(config.Model, fields, "config.model")
  model = model_lib.Model.from_config(arch)
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  assert model_lib.parameter_count(shapes) == count
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  mesh_lib.shardings(shapes, mesh)


@pytest.mark.parametrize("name", COUNTS)
def test_every_preset_is_a_family(name):
  pytest.importorskip("transformers")
  from zsgen.models.hugging_face import families

  fields = {"init": "new", **getattr(presets, name)}
  arch = schema.check_section(config.Model, fields, "config.model")
  kind, family_config = families.family_of(arch)
  begins = name.lower().rstrip("b_0123456789")
  assert kind.startswith({"tiny": "llama"}.get(begins, begins))
  assert family_config["vocab_size"] == arch.vocab_size
