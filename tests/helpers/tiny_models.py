"""Tiny models with a tokenizer, and reward models, made without torch."""

import json
import pathlib
import shutil

import numpy as np
import safetensors.numpy

from tests.helpers import tiny_tokenizers

_FAMILIES = pathlib.Path(__file__).parents[1] / "models" / "families"
# Tables with a row for each id.
_TABLES = {
    "model.embed_tokens.weight",
    "lm_head.weight",
    "transformer.wte.weight",
}
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n"
    "{% endfor %}"
)


def reward(
    directory: pathlib.Path, case: str, name: str = "score.weight"
) -> pathlib.Path:
  """Writes the decoder of a tiny model with a map to one number.

  Args:
    directory: is created.
    case: a directory of tests/models/families.
    name: the name of the map's weight.
  """
  shutil.copytree(_FAMILIES / case, directory)
  weights = safetensors.numpy.load_file(directory / "model.safetensors")
  weights.pop("lm_head.weight", None)
  width = weights["model.norm.weight"].shape[0]
  draw = np.random.default_rng(3).normal(size=(1, width))
  weights[name] = draw.astype(np.float32)
  safetensors.numpy.save_file(
      weights, directory / "model.safetensors", {"format": "pt"}
  )
  file = directory / "config.json"
  settings = json.loads(file.read_text())
  causal = settings["architectures"][0]
  settings["architectures"] = [
      causal.replace("ForCausalLM", "ForSequenceClassification")
  ]
  settings |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
  file.write_text(json.dumps(settings))
  return directory


def with_tokenizer(
    directory: pathlib.Path, positions: int = 512
) -> pathlib.Path:
  """Adds a tokenizer with a chat template, and embeddings for all its ids.

  Args:
    directory: of a tiny model.
    positions: of the model, if these are rotary.
  """
  file, weights_file = (
      directory / name for name in ("config.json", "model.safetensors")
  )
  settings = json.loads(file.read_text())
  is_gpt2 = settings["model_type"] == "gpt2"
  if is_gpt2:
    tiny_tokenizers.gpt2(directory)
  else:
    tiny_tokenizers.llama(directory, chat_template=TEMPLATE)
    settings["max_position_embeddings"] = positions
  spec = json.loads((directory / "tokenizer.json").read_text())
  ids = [*spec["model"]["vocab"].values()]
  size = 1 + max([*ids, *(token["id"] for token in spec["added_tokens"])])
  weights = safetensors.numpy.load_file(weights_file)
  rng = np.random.default_rng(4)
  for name in sorted(_TABLES & weights.keys()):
    shape = (size, weights[name].shape[1])
    weights[name] = rng.normal(size=shape).astype(np.float32)
  safetensors.numpy.save_file(weights, weights_file, {"format": "pt"})
  settings["vocab_size"] = size
  if is_gpt2:
    settings |= {"bos_token_id": size - 2, "eos_token_id": size - 2}
  file.write_text(json.dumps(settings))
  return directory


def causal(directory: pathlib.Path, case: str, positions: int) -> pathlib.Path:
  """Writes a tiny model with a tokenizer; see `with_tokenizer`."""
  shutil.copytree(_FAMILIES / case, directory)
  return with_tokenizer(directory, positions)
