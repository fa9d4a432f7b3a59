"""Tiny reward models in Hugging Face's layout, made without torch."""

import json
import pathlib
import shutil

import numpy as np
import safetensors.numpy

from tests.helpers import tiny_tokenizers

_FAMILIES = pathlib.Path(__file__).parents[1] / "models" / "families"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n"
    "{% endfor %}"
)


def write(
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


def with_tokenizer(directory: pathlib.Path) -> pathlib.Path:
  """Adds a tokenizer with a chat template, and embeddings for all its ids."""
  tiny_tokenizers.llama(directory, chat_template=TEMPLATE)
  file = directory / "config.json"
  settings = json.loads(file.read_text())
  size = 1 + max(
      json.loads((directory / "tokenizer.json").read_text())["model"][
          "vocab"
      ].values()
  )
  weights = safetensors.numpy.load_file(directory / "model.safetensors")
  name = "model.embed_tokens.weight"
  shape = (size, weights[name].shape[1])
  draw = np.random.default_rng(4).normal(size=shape)
  weights[name] = draw.astype(np.float32)
  safetensors.numpy.save_file(
      weights, directory / "model.safetensors", {"format": "pt"}
  )
  settings |= {"vocab_size": size, "max_position_embeddings": 512}
  file.write_text(json.dumps(settings))
  return directory
