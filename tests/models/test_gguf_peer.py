"""Converted GGUF files against transformers' own reading of the same file."""

import numpy as np
import pytest

from tests.helpers import gguf_files, tiny_tokenizers
from zsgen.pipeline import conversion

pytest.importorskip("gguf", reason="the extra gguf is not installed")
pytest.importorskip("transformers", reason="the extra hf brings transformers")

# transformers drops biases and scaled positions of Llama's files.
NAMES = ("llama", "llama-untied", "qwen2", "qwen3", "gemma2", "gemma3")
TYPES = {"F32": "F32", "mixed": "Q4_1"}
TOLERANCE = 1e-3


def _type_of(name):
  """Returns the types of a file of 4 bits: tables have 8, as usual."""
  return lambda tensor: (
      "Q8_0" if name == "Q4_1" and "token_embd" in tensor else name
  )


def _logits(transformers, torch, *arguments, **options):
  model = transformers.AutoModelForCausalLM.from_pretrained(
      *arguments, **options, attn_implementation="eager", dtype=torch.float32
  )
  ids = np.random.default_rng(3).integers(0, 300, (2, 24))
  with torch.no_grad():
    return model.eval()(input_ids=torch.tensor(ids)).logits.numpy()


def _write(path, name, kind="F32"):
  arch = gguf_files.ARCHS[name]
  if name == "gemma3":  # transformers does not read its scaled positions.
    fields = {"rope__scaling__type": None, "rope__scaling__factor": None}
  else:
    fields = {}
  weights = gguf_files.save(path.parent / "original", arch)
  return gguf_files.write(path, name, weights, _type_of(kind), **fields)


@pytest.mark.peer
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_those_of_transformers(name, kind, tmp_path):
  torch = pytest.importorskip("torch", reason="torch is not installed")
  import transformers

  transformers.utils.logging.disable_progress_bar()
  path = _write(tmp_path / "model.gguf", name, TYPES[kind])
  conversion.convert(path, tmp_path / "out")
  actual = _logits(transformers, torch, tmp_path / "out")
  expected = _logits(transformers, torch, tmp_path, gguf_file=path.name)
  error = np.abs(actual - expected).max() / np.abs(expected).max()
  print(f"\n{name} {kind}: {error:.1e}")
  assert error <= TOLERANCE


@pytest.mark.peer
@pytest.mark.parametrize("pre", ["gpt-2", "llama-bpe"])
def test_tokens_equal_those_of_transformers(pre, tmp_path):
  pytest.importorskip("torch", reason="torch is not installed")
  import transformers

  weights = gguf_files.save(tmp_path / "original", gguf_files.ARCHS["llama"])
  path = gguf_files.write(
      tmp_path / "model.gguf",
      "llama",
      weights,
      tokenizer=gguf_files.byte_level(pre),
  )
  conversion.convert(path, tmp_path / "out")
  actual = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
  expected = transformers.AutoTokenizer.from_pretrained(
      tmp_path, gguf_file=path.name
  )
  for text in [
      *tiny_tokenizers.SAID,
      *tiny_tokenizers.TEXTS[:3],
      "12345 x\r\n\n  1,000",
  ]:
    ids = actual(text, add_special_tokens=False)["input_ids"]
    assert ids == expected(text, add_special_tokens=False)["input_ids"], text
