"""Llama 2 7B on common chips: full fine-tuning, and adapters.

  python -m zsgen.main --config=configs/scale/llama2_7b.py:v5p-8 --stage=plan \
    --config.plan.topology=v5p:2x2x1

The name after the colon selects one of `PRESETS`. To train, set the paths of
weights and data, and run on these chips:

  --config.model.init=hf:/data/Llama-2-7b-hf
  --config.data.path=CLONE --config.data.tokenizer_path=/data/Llama-2-7b-hf

A step is that of the paper: 16 examples of at most 2,048 tokens. docs/scale.md
lists which presets fit, and with how much memory left (`make tpu-check`).
"""

from collections.abc import Callable

import ml_collections

import zsgen
from zsgen.core import errors
from zsgen.models import presets

Config = ml_collections.ConfigDict


def get_config(preset: str = "v5p-8") -> Config:
  """Returns the experiment on the chips of a preset."""
  config = zsgen.default_config()
  config.name = f"llama2_7b-{preset}"
  _science(config)
  change = errors.choose(PRESETS, preset, "--config=…/llama2_7b.py:PRESET")
  change(config)
  return config


def _science(config: Config) -> None:
  """Sets TMT on Natural Instructions, as configs/niv2.py, with a 7B model."""
  config.data.source = "niv2"
  config.data.tokenizer = "hf"
  config.data.max_length = 2048
  config.order.arrangement = "tmt"
  config.order.budget = 1600
  config.evals.heldout.every_steps = 20
  config.train.learning_rate = 2e-5
  config.model.update(presets.LLAMA2_7B)
  config.model.init = "new"
  config.model.dtype = "bfloat16"
  config.model.vocab_multiple = 128


def _machine(
    config: Config, topology: str, remat: str, micro_batches: int = 1
) -> None:
  """Splits parameters over all chips, by their first long axis."""
  config.plan.topology = topology
  config.machine.mesh.data = 1
  config.machine.mesh.fsdp = -1
  config.machine.remat = remat
  config.machine.micro_batches = micro_batches


def _lora(config: Config) -> None:
  """Sets adapters on all projections of a base in bfloat16."""
  config.lora.rank = 8
  config.lora.targets = r"(attention|mlp)/.*"
  config.lora.base = "bfloat16"
  config.train.learning_rate = 2e-4


def _v5e_16(config: Config) -> None:
  _machine(config, "v5e:4x4", "full")


def _v5e_16_context(config: Config) -> None:
  """Splits rows into four groups; four chips share the positions of each."""
  _machine(config, "v5e:4x4", "cheap")
  config.machine.mesh.context = 4


def _v5e_16_pair(config: Config) -> None:
  """Uses two slices, each with half of the rows and all parameters."""
  _v5e_16_context(config)
  config.machine.mesh.dcn_data = 2


def _v5p_8(config: Config) -> None:
  _machine(config, "v5p:2x2x1", "cheap")


def _v6e_8(config: Config) -> None:
  _machine(config, "v6e:2x4", "cheap")


def _h200(config: Config) -> None:
  _machine(config, "H200 SXM", "full", micro_batches=1)


def _v4_8(config: Config) -> None:
  """Holds the first moment in bfloat16: float32 states take 25 of 32 GiB."""
  _machine(config, "v4:2x2x1", "full")
  config.train.first_moment = "bfloat16"


def _v4_8_lora(config: Config) -> None:
  _machine(config, "v4:2x2x1", "cheap")
  _lora(config)


def _v5e_4_lora(config: Config) -> None:
  _machine(config, "v5e:2x2", "full")
  _lora(config)


PRESETS: dict[str, Callable[[Config], None]] = {
    "v5e-16": _v5e_16,
    "v5e-16-context": _v5e_16_context,
    "v5e-16-pair": _v5e_16_pair,
    "v5p-8": _v5p_8,
    "v6e-8": _v6e_8,
    "h200": _h200,
    "v4-8": _v4_8,
    "v4-8-lora": _v4_8_lora,
    "v5e-4-lora": _v5e_4_lora,
}
