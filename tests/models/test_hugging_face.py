"""Hugging Face directories: what is read all the same, and what is refused."""

import dataclasses
import json
import shutil

import imported
import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import small

from tests.helpers import closeness
from zsgen.core import config, errors
from zsgen.models import hugging_face
from zsgen.models import model as model_lib
from zsgen.models.hugging_face import reading

pytest.importorskip("transformers", reason="the extra hf brings transformers")

NORM = "model.norm.weight"
EMBEDDING = "model.embed_tokens.weight"
UP_KERNEL = "model.layers.1.mlp.up_proj.weight"
HEAD = "lm_head.weight"


@pytest.fixture
def copy(tmp_path):
  """Returns a function: copy("qwen2") is a directory to spoil."""

  def copy_case(case):
    return shutil.copytree(imported.FAMILIES / case, tmp_path / case)

  return copy_case


def _edit(directory, **fields):
  """Changes what config.json says; None takes a field out."""
  path = directory / "config.json"
  content = json.loads(path.read_text()) | fields
  content = {
      name: value for name, value in content.items() if value is not None
  }
  path.write_text(json.dumps(content))


def _weights(directory):
  return safetensors.numpy.load_file(directory / "model.safetensors")


def _write(directory, tensors):
  safetensors.numpy.save_file(tensors, directory / "model.safetensors")


def _load(directory):
  return imported.load(directory, hugging_face.arch_of(directory))


def test_every_weight_that_does_not_fit_is_listed(copy):
  directory = copy("qwen2")
  tensors = _weights(directory)
  del tensors[NORM]
  tensors[UP_KERNEL] = tensors[UP_KERNEL][:, :5].copy()
  tensors["model.adapter"] = np.zeros((2, 3), np.float32)
  _write(directory, tensors)
  with pytest.raises(errors.InputError) as caught:
    _load(directory)
  message = str(caught.value)
  assert "3 weights do not fit" in message
  assert f"{NORM} is missing" in message
  assert f"{UP_KERNEL} is [24, 5], not [24, 16]" in message
  assert "model.adapter [2, 3] is left over" in message
  assert "Nothing was loaded" in message


def test_a_transposed_square_matrix_of_another_family_is_refused(copy):
  directory = copy("llama2")
  _edit(directory, model_type="qwen2")
  with pytest.raises(errors.InputError, match=r"q_proj\.bias is missing"):
    _load(directory)


def test_a_model_that_is_not_tied_needs_its_head(copy):
  directory = copy("llama2")
  tensors = _weights(directory)
  del tensors[HEAD]
  _write(directory, tensors)
  with pytest.raises(errors.InputError, match=f"{HEAD} is missing"):
    _load(directory)


def test_a_tied_model_may_have_its_embedding_as_head(copy):
  directory = copy("qwen2")
  tensors = _weights(directory)
  _write(directory, {**tensors, HEAD: tensors[EMBEDDING]})
  closeness.assert_same(_load(directory), imported.model("qwen2")[1])
  _write(directory, {**tensors, HEAD: tensors[EMBEDDING] + 1})
  with pytest.raises(errors.InputError, match=f"{HEAD} differs from"):
    _load(directory)


def test_old_names_and_buffers_of_gpt2(copy):
  directory = copy("gpt2")
  tensors = {
      name.removeprefix("transformer."): tensor
      for name, tensor in _weights(directory).items()
  }
  tensors["h.0.attn.bias"] = np.ones((1, 1, 32, 32), np.float32)
  tensors["h.1.attn.masked_bias"] = np.array(-1e4, np.float32)
  _write(directory, tensors)
  closeness.assert_same(_load(directory), imported.model("gpt2")[1])


def test_rotary_positions_of_older_files(copy):
  directory = copy("llama3")
  parameters = json.loads((directory / "config.json").read_text())[
      "rope_parameters"
  ]
  theta = parameters.pop("rope_theta")
  parameters["type"] = parameters.pop("rope_type")
  _edit(
      directory, rope_parameters=None, rope_theta=theta, rope_scaling=parameters
  )
  assert hugging_face.arch_of(directory) == imported.model("llama3")[0]


def test_gemma_of_older_files(copy):
  directory = copy("gemma3")
  _edit(
      directory,
      layer_types=None,
      sliding_window_pattern=6,
      rope_parameters=None,
      rope_theta=1000000.0,
      rope_local_base_freq=10000.0,
      rope_scaling={"rope_type": "linear", "factor": 8.0},
  )
  assert hugging_face.arch_of(directory) == imported.model("gemma3")[0]


@pytest.mark.parametrize(
    "element", [np.float16, ml_dtypes.bfloat16, np.float64]
)
def test_other_floats_are_read_as_float32(copy, element):
  directory = copy("qwen2")
  tensors = _weights(directory)
  _write(directory, {k: v.astype(element) for k, v in tensors.items()})
  actual = _load(directory)["final_norm"]["scale"]
  assert actual.dtype == np.float32
  expected = tensors[NORM].astype(element).astype(np.float32)
  np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("element", [np.int8, ml_dtypes.float8_e4m3fn])
def test_quantized_weights_are_refused(copy, element):
  directory = copy("qwen2")
  tensors = _weights(directory)
  tensors[UP_KERNEL] = (10 * tensors[UP_KERNEL]).astype(element)
  _write(directory, tensors)
  with pytest.raises(errors.InputError, match=r"up_proj.*(I8|F8_E4M3)"):
    _load(directory)


def test_shards_are_read_as_one_file(tmp_path):
  arch, params = imported.model("qwen3")
  hugging_face.save(tmp_path / "out", params, arch, largest=6000)
  files = sorted(path.name for path in tmp_path.glob("out/*.safetensors"))
  assert len(files) > 3
  assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
  index = json.loads(
      (tmp_path / "out/model.safetensors.index.json").read_text()
  )
  assert sorted(set(index["weight_map"].values())) == files
  total = model_lib.parameter_count(params)
  assert index["metadata"]["total_size"] == 4 * total
  closeness.assert_same(_load(tmp_path / "out"), params)


@pytest.fixture
def sharded(tmp_path):
  arch, params = imported.model("mistral")
  hugging_face.save(tmp_path / "out", params, arch, largest=12_000)
  return tmp_path / "out"


def _edit_index(directory, edit):
  path = directory / "model.safetensors.index.json"
  index = json.loads(path.read_text())
  edit(index["weight_map"])
  path.write_text(json.dumps(index))


def test_a_missing_shard_is_named(sharded):
  shard = sorted(sharded.glob("*.safetensors"))[1]
  shard.unlink()
  with pytest.raises(errors.InputError, match=f"{shard.name} does not exist"):
    _load(sharded)


def test_an_index_that_names_a_wrong_shard_is_reported(sharded):
  first = min(path.name for path in sharded.glob("*.safetensors"))
  _edit_index(sharded, lambda weight_map: weight_map.update({NORM: first}))
  with pytest.raises(errors.InputError, match=f"disagree .*{NORM}"):
    _load(sharded)


def test_a_weight_missing_from_the_index_is_reported(sharded):
  _edit_index(sharded, lambda weight_map: weight_map.pop(NORM))
  with pytest.raises(errors.InputError, match=f"disagree .*{NORM}"):
    _load(sharded)


def test_an_index_does_not_lead_out_of_the_directory(sharded):
  _edit_index(sharded, lambda weight_map: weight_map.update({NORM: "../a"}))
  with pytest.raises(errors.InputError, match="file of the directory"):
    _load(sharded)


@pytest.mark.parametrize("size", [0, 5, 100, 20_000])
def test_a_truncated_file_is_reported(copy, size):
  directory = copy("qwen2")
  path = directory / "model.safetensors"
  path.write_bytes(path.read_bytes()[:size])
  with pytest.raises(errors.InputError, match="is not a safetensors file"):
    _load(directory)


def test_pickles_are_never_read(copy):
  directory = copy("qwen2")
  (directory / "model.safetensors").unlink()
  with pytest.raises(errors.InputError, match="Download the model's safet"):
    _load(directory)
  (directory / "pytorch_model.bin").write_bytes(b"anything")
  with pytest.raises(errors.InputError) as caught:
    _load(directory)
  assert "are pickles (pytorch_model.bin)" in str(caught.value)
  assert "from_pretrained(DIRECTORY).save_pretrained" in str(caught.value)


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            dict(model_type="mixtral"),
            "'mixtral' is not supported. Supported are llama, mistral, qwen2,"
            " qwen3, gemma2, gemma3_text, gpt2",
        ),
        (dict(model_type=None), "model_type None is not supported"),
        (
            dict(
                model_type="gemma3", text_config={"model_type": "gemma3_text"}
            ),
            "save the language model on its own",
        ),
        (dict(quantization_config={"bits": 4}), "quantization_config is "),
        (dict(hidden_act="tanh"), "activation.*'tanh'"),
        (dict(hidden_size="many"), "hidden_size"),
        (dict(num_hidden_layers=0), "layers"),
        (dict(num_key_value_heads=3), "kv_heads is 3; it must divide"),
        (dict(layer_types=["chunked_attention"] * 2), "layer_types"),
    ],
)
def test_an_unsupported_model_is_refused(copy, fields, message):
  directory = copy("qwen2_window")
  if "layer_types" in fields:
    fields = {**fields, "num_hidden_layers": 2}
  elif "num_hidden_layers" in fields:
    fields = {**fields, "layer_types": []}
  _edit(directory, **fields)
  with pytest.raises(errors.InputError, match=message):
    _load(directory)


@pytest.mark.parametrize(
    "turns, message",
    [
        (dict(rope_type="spiral"), "rope_type.*'spiral'.*linear.*yarn"),
        (dict(rope_type="dynamic", factor=2.0), "rope_type.*'dynamic'"),
        (dict(rope_type="linear"), "rope_type.*linear.*factor"),
        (dict(rope_type="linear", factor="two"), "factor"),
        (
            dict(
                rope_type="yarn",
                factor=2.0,
                original_max_position_embeddings=32,
                attention_factor=1.5,
            ),
            "attention_factor is 1.5, which is not supported",
        ),
        (dict(rope_type="default", partial_rotary_factor=0.5), "partial_rot"),
    ],
)
def test_unsupported_rotary_positions_are_refused(copy, turns, message):
  directory = copy("llama2")
  _edit(directory, rope_parameters={"rope_theta": 10000.0, **turns})
  with pytest.raises(errors.InputError, match=message):
    hugging_face.arch_of(directory)


def test_a_cap_that_transformers_ignores_is_refused(copy):
  directory = copy("gemma3")
  _edit(directory, attn_logit_softcapping=50.0)
  with pytest.raises(errors.InputError, match="softcapping is 50"):
    hugging_face.arch_of(directory)


def test_scaled_positions_of_local_blocks_are_refused(copy):
  directory = copy("gemma3")
  linear = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e4}
  turns = {"full_attention": linear, "sliding_attention": linear}
  _edit(directory, rope_parameters=turns)
  with pytest.raises(errors.InputError, match="local layers are 'linear'"):
    hugging_face.arch_of(directory)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "config.json does not exist"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
    ],
)
def test_an_invalid_config_is_reported(copy, content, message):
  path = copy("qwen2") / "config.json"
  path.unlink()
  if content is not None:
    path.write_text(content)
  with pytest.raises(errors.InputError, match=message):
    hugging_face.arch_of(path.parent)


def test_a_name_that_is_neither_directory_nor_model(tmp_path, monkeypatch):
  assert hugging_face.locate(str(tmp_path)) == tmp_path

  def fail(name, **_):
    raise OSError(f"no {name}")

  monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
  with pytest.raises(
      errors.InputError, match=r"'a/b' is not a directory.*no a/b"
  ):
    hugging_face.locate("a/b")
  actual = tmp_path / "found"
  monkeypatch.setattr(
      "huggingface_hub.snapshot_download", lambda name, **_: str(actual)
  )
  assert hugging_face.locate("a/b") == actual


def test_weights_are_never_overwritten(tmp_path):
  arch, params = imported.model("qwen2")
  (tmp_path / "mine").write_text("mine")
  with pytest.raises(errors.InputError, match="is not empty"):
    hugging_face.save(tmp_path, params, arch)


def test_an_architecture_that_no_family_has_is_reported(tmp_path):
  params = small.loud(small.GEMMA)
  message = "No Hugging Face family .*gemma3_text: score_cap 0.0"
  with pytest.raises(errors.InputError, match=message):
    hugging_face.save(tmp_path / "out", params, small.GEMMA)
  assert not (tmp_path / "out").exists()


def test_rows_that_pad_the_vocabulary_are_not_exported(tmp_path):
  for case in ("llama2", "qwen2"):  # A head, and none.
    bare, expected = imported.model(case)
    arch = dataclasses.replace(bare, vocab_multiple=32)
    params = imported.load(imported.FAMILIES / case, arch)
    assert params["embedding"].shape == (64, 16)
    assert not np.asarray(params["embedding"])[48:].any()
    hugging_face.save(tmp_path / case, params, arch)
    assert hugging_face.arch_of(tmp_path / case) == bare
    closeness.assert_same(_load(tmp_path / case), expected)


def test_new_models_of_this_project_are_exported_as_llama(tmp_path):
  arch = config.Model(**{**config.Model().__dict__, "init": "new"})
  params = model_lib.Model.from_config(arch).init(jax.random.key(0))
  hugging_face.save(tmp_path / "out", params, arch, dtype="bfloat16")
  exported_config = json.loads((tmp_path / "out/config.json").read_text())
  assert exported_config["architectures"] == ["LlamaForCausalLM"]
  assert hugging_face.arch_of(tmp_path / "out") == arch
  expected = jax.tree.map(
      lambda p: np.asarray(p).astype(ml_dtypes.bfloat16).astype(np.float32),
      params,
  )
  closeness.assert_same(_load(tmp_path / "out"), expected)


@pytest.mark.parametrize("piece", [64, 2**22])
@pytest.mark.parametrize("element", [np.float32, ml_dtypes.bfloat16])
def test_pieces_of_weights_are_transposed(
    tmp_path, monkeypatch, element, piece
):
  """Matrices that are larger than a piece, and not a multiple of its rows."""
  monkeypatch.setattr(reading, "_PIECE", piece)
  arch = dataclasses.replace(
      imported.model("llama2")[0], vocab_size=77, mlp_width=83
  )
  params = model_lib.Model.from_config(arch).init(jax.random.key(0))
  rounded = jax.tree.map(
      lambda leaf: np.asarray(leaf).astype(element).astype(np.float32), params
  )
  dtype = np.dtype(element).name
  hugging_face.save(tmp_path / "out", params, arch, dtype)
  closeness.assert_same(_load(tmp_path / "out"), rounded)


def test_a_tied_head_is_compared_in_pieces(copy, monkeypatch):
  monkeypatch.setattr(reading, "_PIECE", 64)
  directory = copy("qwen2")
  tensors = _weights(directory)
  changed = tensors[EMBEDDING].copy()
  changed[-1, -1] += 1
  _write(directory, {**tensors, HEAD: changed})
  with pytest.raises(errors.InputError, match=f"{HEAD} differs from"):
    _load(directory)
  _write(directory, {**tensors, HEAD: changed[:-1]})
  with pytest.raises(errors.InputError, match=f"{HEAD} differs from"):
    _load(directory)
