"""GGUF files become Hugging Face directories with the same tensors."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy

from tests.helpers import gguf_files
from zsgen.core import errors
from zsgen.models import hugging_face
from zsgen.models.gguf import __main__ as command
from zsgen.models.gguf import archs
from zsgen.pipeline import conversion

gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")
pytest.importorskip("transformers", reason="the extra hf brings transformers")

every_arch = pytest.mark.parametrize("name", gguf_files.ARCHS)
QUANTIZATIONS = ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


def _weights(directory):
  return safetensors.numpy.load_file(directory / "model.safetensors")


def _config(directory):
  return json.loads((directory / "config.json").read_text())


@pytest.fixture
def llama(tmp_path):
  """Writes a file of the architecture of Llama."""
  weights = gguf_files.save(tmp_path / "original", gguf_files.ARCHS["llama"])
  return gguf_files.write(tmp_path / "model.gguf", "llama", weights)


def _rewrite(tmp_path, name="llama", **fields):
  weights = _weights(tmp_path / "original")
  return gguf_files.write(tmp_path / "other.gguf", name, weights, **fields)


@every_arch
def test_a_file_has_the_weights_and_the_config_of_its_model(name, tmp_path):
  arch = gguf_files.ARCHS[name]
  weights = gguf_files.save(tmp_path / "original", arch)
  path = gguf_files.write(tmp_path / "model.gguf", name, weights)
  assert conversion.convert(path, tmp_path / "out")
  actual = _weights(tmp_path / "out")
  assert actual.keys() == weights.keys()
  for weight, array in weights.items():
    assert actual[weight].dtype == np.float32
    # A norm that carries 1 in float32 has lost what is below its last digit.
    rtol, atol = (
        (0, 1e-7) if "norm" in weight and arch.norm_plus_one else (0, 0)
    )
    np.testing.assert_allclose(
        actual[weight], array, rtol, atol, err_msg=weight
    )
  assert hugging_face.arch_of(tmp_path / "out") == hugging_face.arch_of(
      tmp_path / "original"
  )
  ids = {"bos_token_id", "eos_token_id", "pad_token_id"}
  settings = _config(tmp_path / "out")
  assert settings == _config(tmp_path / "original") | {
      key: settings[key] for key in ids
  }


@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_quantized_matrices_have_the_values_of_their_blocks(kind, tmp_path):
  weights = gguf_files.save(tmp_path / "original", gguf_files.ARCHS["qwen3"])
  path = gguf_files.write(
      tmp_path / "model.gguf", "qwen3", weights, lambda _: kind
  )
  conversion.convert(path, tmp_path / "out")
  number = gguf.GGMLQuantizationType[kind]
  for weight, array in _weights(tmp_path / "out").items():
    expected = weights[weight]
    if expected.ndim == 2:
      expected = gguf.dequantize(gguf.quantize(expected, number), number)
    np.testing.assert_array_equal(array, expected, err_msg=weight)


def test_bfloat16_rounds_the_weights(llama, tmp_path):
  conversion.convert(llama, tmp_path / "out", "bfloat16")
  arch = hugging_face.arch_of(tmp_path / "out")
  assert arch == hugging_face.arch_of(tmp_path / "original")
  original = _weights(tmp_path / "original")
  for weight, array in _weights(tmp_path / "out").items():
    expected = original[weight].astype(array.dtype)
    np.testing.assert_array_equal(array, expected)
  assert _config(tmp_path / "out")["dtype"] == "bfloat16"


def test_sizes_that_only_the_largest_gemma_has_change_the_scores(tmp_path):
  arch = gguf_files.ARCHS["gemma3"]
  weights = gguf_files.save(tmp_path / "original", arch)
  path = gguf_files.write(tmp_path / "model.gguf", "gemma3", weights)
  file = archs.files.File(path)
  assert archs.arch_of(file).query_width == 0
  file.fields["gemma3.block_count"] = 62
  for layer in range(arch.layers, 62):
    file.tensors[f"blk.{layer}.attn_norm.weight"] = None
  assert archs.arch_of(file).query_width == arch.width / arch.heads


@pytest.mark.parametrize(
    "pattern, expected", [(2, ["local", "global"]), ([True] * 8, ["local"])]
)
def test_the_file_may_say_which_blocks_are_local(pattern, expected, tmp_path):
  arch = gguf_files.ARCHS["gemma3"]
  weights = gguf_files.save(tmp_path / "original", arch)
  fields = {"attention__sliding_window_pattern": pattern}
  path = gguf_files.write(tmp_path / "m.gguf", "gemma3", weights, **fields)
  conversion.convert(path, tmp_path / "out")
  actual = hugging_face.arch_of(tmp_path / "out").pattern
  assert actual == tuple(expected)


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            {"attention__scale": 0.5},
            r"attention\.scale \(0\.5\).*not supported",
        ),
        ({"expert_count": 8}, r"expert_count \(8\)"),
        ({"attention__value_length": 8}, r"attention\.value_length is 8"),
        ({"rope__dimension_count": 8}, r"rope\.dimension_count is 8"),
        ({"rope__scaling__type": "yarn"}, r"rope\.scaling\.type is 'yarn'"),
        ({"rope__scaling__type": "linear"}, r"scaling\.factor is missing"),
        ({"vocab_size": 3}, "vocab_size is 3"),
        ({"block_count": 3}, "block_count is 3.*of 2 blocks"),
        ({"block_count": 2**31}, "block_count is 2147483648"),
        ({"attention__head_count": 0}, "heads|head_count|key_length"),
        ({"attention__head_count": [4, 4]}, r"attention\.head_count is array"),
        ({"embedding_length": None}, "embedding_length is missing"),
        ({"embedding_length": 128}, "tensors do not fit its fields"),
        ({"feed_forward_length": 95}, r"ffn_down\.weight is \[64, 96\]"),
        ({"attention__layer_norm_rms_epsilon": -1.0}, "norm_eps"),
    ],
)
def test_fields_that_are_not_supported_are_named(
    fields, message, llama, tmp_path
):
  path = _rewrite(tmp_path, **fields)
  with pytest.raises(errors.InputError, match=message) as caught:
    conversion.convert(path, tmp_path / "out")
  assert str(path) in str(caught.value)
  assert len(str(caught.value)) < 3000
  assert sorted(p.name for p in tmp_path.iterdir()) == [
      "model.gguf",
      "original",
      "other.gguf",
  ]


@pytest.mark.parametrize("pattern", [0, [True, False], "x"])
def test_a_pattern_that_does_not_fit_the_blocks_is_refused(pattern, tmp_path):
  arch = gguf_files.ARCHS["gemma3"]
  weights = gguf_files.save(tmp_path / "original", arch)
  fields = {"attention__sliding_window_pattern": pattern}
  path = gguf_files.write(tmp_path / "m.gguf", "gemma3", weights, **fields)
  with pytest.raises(errors.InputError, match="sliding_window_pattern is"):
    conversion.convert(path, tmp_path / "out")


def test_frequencies_that_differ_from_llama_3_are_refused(
    tmp_path, monkeypatch
):
  arch = gguf_files.ARCHS["llama-scaled"]
  weights = gguf_files.save(tmp_path / "original", arch)
  divisors = gguf_files._divisors(arch)
  monkeypatch.setattr(gguf_files, "_divisors", lambda _: divisors + 0.1)
  path = gguf_files.write(tmp_path / "model.gguf", "llama-scaled", weights)
  with pytest.raises(errors.InputError, match=r"rope_freqs\.weight does not"):
    conversion.convert(path, tmp_path / "out")


def test_an_architecture_that_is_not_supported_is_named(llama, tmp_path):
  writer = gguf.GGUFWriter(str(tmp_path / "other.gguf"), "mamba")
  gguf_files.close(writer)
  with pytest.raises(errors.InputError, match=r"'mamba' is not.*llama, qwen2"):
    conversion.convert(tmp_path / "other.gguf", tmp_path / "out")


def test_a_complete_directory_is_kept(llama, tmp_path):
  out = tmp_path / "out"
  assert conversion.convert(llama, out)
  before = (out / "model.safetensors").stat().st_mtime_ns
  assert not conversion.convert(llama, out)
  assert (out / "model.safetensors").stat().st_mtime_ns == before


def test_a_damaged_directory_is_noticed_and_rewritten(llama, tmp_path):
  out = tmp_path / "out"
  conversion.convert(llama, out)
  before = (out / "model.safetensors").read_bytes()
  (out / "model.safetensors").write_bytes(before[:-8] + bytes(8))
  with pytest.raises(errors.InputError, match="is not what zsgen wrote"):
    hugging_face.digest(out)
  assert conversion.convert(llama, out)
  assert (out / "model.safetensors").read_bytes() == before
  hugging_face.digest(out)


def test_nothing_else_is_overwritten(llama, tmp_path):
  out = tmp_path / "out"
  conversion.convert(llama, out)
  with pytest.raises(errors.InputError, match="has another model"):
    conversion.convert(llama, out, "bfloat16")
  (out / "notes.txt").write_text("mine")
  with pytest.raises(errors.InputError, match=r"has the file notes\.txt"):
    conversion.convert(llama, out)
  with pytest.raises(errors.InputError, match="is there already"):
    conversion.convert(llama, tmp_path / "original")
  with pytest.raises(errors.InputError, match="is there already"):
    conversion.convert(llama, llama)
  with pytest.raises(errors.InputError, match="is not a file"):
    conversion.convert(tmp_path / "missing.gguf", tmp_path / "new")


def test_the_command(llama, tmp_path, capsys):
  arguments = [str(llama), str(tmp_path / "out")]
  assert command.main(arguments) == 0
  assert "written" in capsys.readouterr().out
  assert command.main(arguments) == 0
  assert "whole" in capsys.readouterr().out
  digest = hashlib.sha256(llama.read_bytes()).hexdigest()
  manifest = json.loads((tmp_path / "out/manifest.json").read_text())
  assert manifest["made_by"]["gguf"] == digest
  llama.write_bytes(llama.read_bytes()[:-100])
  assert command.main([str(llama), str(tmp_path / "other")]) == 2
  message = capsys.readouterr().err
  assert "not a complete GGUF file" in message
  assert len(message.splitlines()) == 1
  assert not (tmp_path / "other").exists()
