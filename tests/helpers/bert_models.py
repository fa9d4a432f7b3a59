"""Tiny BERT directories, and BERT restated in NumPy, float64."""

import json
import pathlib
from typing import Any

import numpy as np
import safetensors.numpy
import scipy.special

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = "give the even odd large first last word list sort , . 1 2 33".split()
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "vocab_size": 24,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 72,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}


def weights(config: dict[str, Any] = CONFIG) -> dict[str, np.ndarray]:
  """Returns weights by their names in Hugging Face's files; none vanishes."""
  width, mlp = config["hidden_size"], config["intermediate_size"]
  shapes = {"embeddings.LayerNorm": (width,), "pooler.dense": (width, width)}
  for layer in range(config["num_hidden_layers"]):
    prefix = f"encoder.layer.{layer}"
    for name in ("self.query", "self.key", "self.value", "output.dense"):
      shapes[f"{prefix}.attention.{name}"] = (width, width)
    shapes[f"{prefix}.attention.output.LayerNorm"] = (width,)
    shapes[f"{prefix}.intermediate.dense"] = (mlp, width)
    shapes[f"{prefix}.output.dense"] = (width, mlp)
    shapes[f"{prefix}.output.LayerNorm"] = (width,)
  shapes = {
      **{f"{name}.weight": shape for name, shape in shapes.items()},
      **{f"{name}.bias": shape[:1] for name, shape in shapes.items()},
  }
  for name, field in (
      ("word", "vocab_size"),
      ("position", "max_position_embeddings"),
      ("token_type", "type_vocab_size"),
  ):
    shapes[f"embeddings.{name}_embeddings.weight"] = (config[field], width)
  rng = np.random.default_rng(0)
  return {
      name: rng.normal(0, 0.3, shape).astype(np.float32)
      for name, shape in sorted(shapes.items())
  }


def write(directory: pathlib.Path, **files: Any) -> pathlib.Path:
  """Writes a directory; `files` adds JSON files by name, `__` for `/`."""
  directory.mkdir()
  tensors = weights()
  tensors["embeddings.position_ids"] = np.arange(72)[None]
  safetensors.numpy.save_file(tensors, directory / "model.safetensors")
  _tokenizer().save(str(directory / "tokenizer.json"))
  for name, content in {"config": CONFIG, **files}.items():
    path = directory / f"{name.replace('__', '/')}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
  return directory


def _tokenizer() -> Any:
  """Words as tokens; padding and truncation as no encoder wants them."""
  import tokenizers

  vocab = {word: i for i, word in enumerate((*SPECIAL, *WORDS))}
  model = tokenizers.models.WordPiece(vocab, unk_token="[UNK]")
  tokenizer = tokenizers.Tokenizer(model)
  tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
  tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
      single="[CLS] $A [SEP]",
      special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
  )
  tokenizer.enable_padding(length=7)
  tokenizer.enable_truncation(7)
  return tokenizer


def ids(text: str, longest: int = CONFIG["max_position_embeddings"]) -> list:
  """Returns token ids of words with spaces between."""
  known = (*SPECIAL, *WORDS)
  inner = [
      known.index(word) if word in known else known.index("[UNK]")
      for word in text.lower().split()
  ]
  return [2, *inner[: longest - 2], 3]


def states(
    tensors: dict[str, np.ndarray], tokens: list[int], config: dict = CONFIG
) -> np.ndarray:
  """Returns the states of one text's tokens, float64 [T, D] (1810.04805)."""
  parameters = {
      name: tensor.astype(np.float64) for name, tensor in tensors.items()
  }

  def norm(x, name):
    x = x - x.mean(-1, keepdims=True)
    x /= np.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
    return x * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]

  def affine(x, name):
    return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]

  x = parameters["embeddings.word_embeddings.weight"][tokens]
  x = x + parameters["embeddings.position_embeddings.weight"][: len(tokens)]
  x = norm(
      x + parameters["embeddings.token_type_embeddings.weight"][0],
      "embeddings.LayerNorm",
  )
  for layer in range(config["num_hidden_layers"]):
    prefix = f"encoder.layer.{layer}"
    query, key, value = (
        np.split(
            affine(x, f"{prefix}.attention.self.{name}"),
            config["num_attention_heads"],
            axis=-1,
        )
        for name in ("query", "key", "value")
    )
    heads = [
        scipy.special.softmax(q @ k.T / np.sqrt(k.shape[1]), axis=-1) @ v
        for q, k, v in zip(query, key, value, strict=True)
    ]
    out = affine(np.concatenate(heads, -1), f"{prefix}.attention.output.dense")
    x = norm(x + out, f"{prefix}.attention.output.LayerNorm")
    hidden = affine(x, f"{prefix}.intermediate.dense")
    hidden *= scipy.special.ndtr(hidden)
    out = affine(hidden, f"{prefix}.output.dense")
    x = norm(x + out, f"{prefix}.output.LayerNorm")
  return x


def vector(text: str, pooling: str = "mean", longest: int = 72) -> np.ndarray:
  """Returns a text's vector by `weights`, of length 1, float64 [D]."""
  actual = states(weights(), ids(text, longest))
  pools = {"mean": actual.mean(0), "cls": actual[0], "max": actual.max(0)}
  return pools[pooling] / np.linalg.norm(pools[pooling])
