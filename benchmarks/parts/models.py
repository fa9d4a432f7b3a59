"""Models of the device check, in zsgen and in transformers."""

from typing import Any

from benchmarks.parts import task as task_lib
from zsgen.core import config
from zsgen.models import presets
from zsgen.models.hugging_face import config_files


def model_config(fields: task_lib.Fields, dtype: str) -> config.Model:
  """Returns the section `config.model` of a new model.

  Args:
    fields: the fields, perhaps with a preset.
    dtype: the element type of activations.
  """
  fields = dict(fields)
  preset = getattr(presets, fields.pop("preset"))
  return config.Model(**{**preset, **fields, "init": "new", "dtype": dtype})


def torch_model(arch: config.Model, dtype: str) -> Any:
  """Returns a new model of transformers on the GPU, or without one on the CPU.

  Args:
    arch: the architecture.
    dtype: the element type of its parameters.
  """
  import torch
  import transformers

  tokens = config_files.Tokens()
  kind, settings, _ = config_files.describe(arch, dtype, tokens, None)
  settings = {
      key: value for key, value in settings.items() if key != "model_type"
  }
  with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
    return transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(kind, **settings),
        dtype=getattr(torch, dtype),
        attn_implementation="sdpa",
    )
