"""Adapters in and out, against PEFT.

The measure is logits that tests/models/adapters/make.py stored; where torch
and peft are installed, PEFT also loads what is exported.
"""

import dataclasses
import json
import pathlib
import re
import shutil

from flax import traverse_util
import imported
import jax
import numpy as np
import pytest
import safetensors.numpy

from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import hugging_face
from zsgen.models import lora as lora_lib
from zsgen.models import model as model_lib
from zsgen.models.hugging_face import adapters

pytest.importorskip("transformers", reason="the extra hf brings transformers")

DIRECTORY = pathlib.Path(__file__).with_name("adapters")
CASES = ("gemma2", "gpt2", "llama2")
TOLERANCE, LENGTH = 1e-4, 20
every_case = pytest.mark.parametrize("case", CASES)


def _read(directory, arch, requested=config.NO_LORA):
  """Adapters of a directory: what they are, and their parameters."""
  requested = dataclasses.replace(requested, init=str(directory))
  lora = hugging_face.adapters_of(directory, arch, requested)
  init = model_lib.Model.from_config(arch, lora).init
  shapes = jax.eval_shape(init, jax.random.key(0))
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  shardings = mesh_lib.shardings(lora_lib.split(shapes, lora)[0], mesh)
  return lora, hugging_face.load_adapters(directory, arch, lora, shardings)


def _logits(case, arch, params, lora=config.NO_LORA):
  """Logits of the stored tokens; 0 at padding."""
  arrays = imported.stored(case)
  actual = jax.jit(model_lib.Model(arch, lora).logits)(
      params, arrays["tokens"], arrays["positions"], arrays["mask"]
  )
  return np.asarray(actual) * arrays["mask"][..., None].astype(np.float32)


def _stored(case):
  with np.load(DIRECTORY / case / "logits.npz") as arrays:
    return arrays["logits"]


def _tensors(directory):
  return safetensors.numpy.load_file(directory / adapters.WEIGHTS)


@pytest.fixture
def copy(tmp_path):
  """Copies a directory of adapters for llama2, to be changed."""
  return shutil.copytree(DIRECTORY / "llama2", tmp_path / "adapter")


def _set_fields(directory, **fields):
  path = directory / adapters.CONFIG
  path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def _assert_refused(
    directory, message, requested=config.NO_LORA, base="llama2"
):
  with pytest.raises(errors.InputError, match=message):
    _read(directory, imported.model(base)[0], requested)


@every_case
def test_logits_of_imported_adapters_equal_those_of_peft(case):
  arch, base = imported.model(case)
  lora, actual = _read(DIRECTORY / case, arch)
  full = lora_lib.join(actual, base)
  error = imported.error(_logits(case, arch, full, lora), _stored(case))
  print(f"\n{case}: adapters {error:.1e}")
  assert error <= TOLERANCE
  merged = lora_lib.merge(full, lora)
  assert jax.tree.structure(merged) == jax.tree.structure(base)
  assert imported.error(_logits(case, arch, merged), _stored(case)) <= TOLERANCE
  assert imported.error(_logits(case, arch, base), _stored(case)) > 0.01


def test_files_bring_rank_alpha_and_targets():
  lora, actual = _read(DIRECTORY / "llama2", imported.model("llama2")[0])
  assert (lora.rank, lora.alpha) == (3, 5.0)
  assert lora.targets == (
      "attention/out|attention/query|attention/value|head|mlp/down"
  )
  assert actual["head"]["lora_b"].dtype == np.float32
  gpt2, actual = _read(DIRECTORY / "gpt2", imported.model("gpt2")[0])
  assert gpt2.alpha == pytest.approx(3 * 4**0.5)  # rslora
  attention = actual["blocks"]["0"]["attention"]
  np.testing.assert_array_equal(
      attention["query"]["lora_a"], attention["value"]["lora_a"]
  )


@pytest.mark.parametrize("case", ["gemma2", "llama2"])
def test_exported_adapters_equal_those_of_peft(case, tmp_path):
  arch, _ = imported.model(case)
  lora, actual = _read(DIRECTORY / case, arch)
  hugging_face.save_adapters(tmp_path / "out", actual, arch, lora)
  written, reference = map(_tensors, (tmp_path / "out", DIRECTORY / case))
  assert written.keys() == reference.keys()
  for name, tensor in reference.items():
    np.testing.assert_array_equal(written[name], tensor)
  reimported, _ = _read(tmp_path / "out", arch)
  assert dataclasses.replace(reimported, init=lora.init) == lora


@pytest.mark.peer
@pytest.mark.parametrize("case", ["gemma2", "llama2"])
def test_peft_loads_what_is_exported(case, tmp_path):
  torch = pytest.importorskip("torch", reason="torch is not installed")
  peft = pytest.importorskip("peft", reason="peft is not installed")
  import transformers

  arch, base = imported.model(case)
  rng = np.random.default_rng(0)
  lora, actual = _read(DIRECTORY / case, arch)
  # Other numbers than those stored.
  actual = jax.tree.map(
      lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), actual
  )
  hugging_face.save_adapters(tmp_path / "out", actual, arch, lora)
  model = transformers.AutoModelForCausalLM.from_pretrained(
      imported.FAMILIES / case, attn_implementation="eager", dtype=torch.float32
  )
  model = peft.PeftModel.from_pretrained(model, tmp_path / "out").eval()
  arrays = imported.stored(case)
  inputs = dict(
      input_ids=arrays["tokens"],
      attention_mask=arrays["mask"],
      position_ids=arrays["positions"],
  )
  with torch.no_grad():
    expected = model(
        **{name: torch.tensor(array).long() for name, array in inputs.items()}
    ).logits.numpy()
  expected = expected * arrays["mask"][..., None].astype(np.float32)
  error = imported.error(
      _logits(case, arch, lora_lib.join(actual, base), lora), expected
  )
  print(f"\n{case}: export {error:.1e}")
  assert error <= TOLERANCE
  assert imported.error(_logits(case, arch, base), expected) > 0.01


def test_a_fused_matrix_has_no_adapters_of_its_parts(tmp_path):
  arch, _ = imported.model("gpt2")
  lora, actual = _read(DIRECTORY / "gpt2", arch)
  with pytest.raises(
      errors.InputError, match=r"h\.0\.attn\.c_attn is one .*export='merged'"
  ):
    hugging_face.save_adapters(tmp_path / "out", actual, arch, lora)
  assert not (tmp_path / "out").exists()
  lora = dataclasses.replace(lora, targets="mlp/down")
  mlp = traverse_util.flatten_dict(actual, sep="/")
  mlp = {path: leaf for path, leaf in mlp.items() if "mlp" in path}
  actual = traverse_util.unflatten_dict(mlp, sep="/")
  hugging_face.save_adapters(tmp_path / "out", actual, arch, lora)
  adapter_config = json.loads((tmp_path / "out" / adapters.CONFIG).read_text())
  assert adapter_config["fan_in_fan_out"] is True
  assert adapter_config["target_modules"] == ["mlp.c_proj"]


def test_rows_that_pad_the_vocabulary_are_added_and_left_out(tmp_path):
  arch, _ = imported.model("llama2")
  arch = dataclasses.replace(arch, vocab_multiple=64)
  lora, actual = _read(DIRECTORY / "llama2", arch)
  assert actual["head"]["lora_b"].shape == (3, 64)
  assert not actual["head"]["lora_b"][:, 48:].any()
  hugging_face.save_adapters(tmp_path / "out", actual, arch, lora)
  written, reference = map(_tensors, (tmp_path / "out", DIRECTORY / "llama2"))
  for name, tensor in reference.items():
    np.testing.assert_array_equal(written[name], tensor)


def test_adapters_of_another_base_are_listed():
  _assert_refused(
      DIRECTORY / "gemma2",
      r"layers\.2\.mlp\.up_proj.*does not belong to it.*trained on 'families/gemma2'",
  )
  message = r"q_proj\.lora_B\.weight is \[16, 3\], not \[32, 3\]"
  arch = dataclasses.replace(imported.model("llama2")[0], head_width=8)
  with pytest.raises(errors.InputError, match=message):
    _read(DIRECTORY / "llama2", arch)
  arch = dataclasses.replace(imported.model("llama2")[0], layers=3)
  with pytest.raises(
      errors.InputError, match=r"layers\.2\.mlp\.down_proj.* is missing"
  ):
    _read(DIRECTORY / "llama2", arch)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("bias", "all"),
        ("modules_to_save", ["lm_head"]),
        ("rank_pattern", {"q_proj": 8}),
        ("alpha_pattern", {"q_proj": 8}),
        ("layers_to_transform", [0]),
        ("layer_replication", [[0, 2]]),
        ("trainable_token_indices", [3]),
        ("init_lora_weights", "pissa"),
        ("peft_type", "IA3"),
        ("what_comes_next_year", 7),
    ],
)
def test_unsupported_fields_are_refused_by_name(copy, field, value):
  _set_fields(copy, **{field: value})
  _assert_refused(
      copy, rf"{field} is {re.escape(repr(value))}, which is not supported"
  )


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (dict(rank=4), r"config\.lora\.rank is 4, but .* have 3. Leave it"),
        (dict(alpha=4.0), r"config\.lora\.alpha is 4\.0, but .* have 5\.0"),
        (dict(targets="mlp/.*"), r"config\.lora\.targets is 'mlp/\.\*', but"),
    ],
)
def test_a_field_that_contradicts_the_files(requested, message):
  _assert_refused(DIRECTORY / "llama2", message, config.Lora(**requested))


def test_a_field_that_agrees_is_accepted():
  targets = r"attention/(out|query|value)|head|.*/down"
  requested = config.Lora(rank=3, alpha=5.0, targets=targets)
  lora, _ = _read(DIRECTORY / "llama2", imported.model("llama2")[0], requested)
  assert lora.rank == 3


def test_missing_or_damaged_files(copy):
  (copy / adapters.WEIGHTS).write_bytes(b"broken")
  _assert_refused(copy, "adapter_model.safetensors is not a safetensors file")
  (copy / adapters.WEIGHTS).unlink()
  _assert_refused(copy, r"adapter_model.safetensors does not exist; pickles")
  _set_fields(copy, r="eight")
  _assert_refused(copy, r"r is 'eight' and lora_alpha 5; both must be numbers")
  (copy / adapters.CONFIG).write_text("{")
  _assert_refused(copy, "adapter_config.json, line 1: is not JSON")
  (copy / adapters.CONFIG).unlink()
  _assert_refused(copy, "adapter_config.json does not exist")


def test_codes_of_a_quantization_are_refused(copy):
  tensors = {
      name: tensor.astype(np.int8) for name, tensor in _tensors(copy).items()
  }
  safetensors.numpy.save_file(tensors, copy / adapters.WEIGHTS)
  _assert_refused(
      copy, r"lm_head\.lora_A\.weight is int8, not a floating-point type"
  )


def test_a_base_saved_by_peft_is_reported(copy):
  tensors = _tensors(copy)
  head = np.zeros((48, 16), np.float32)
  tensors["base_model.model.lm_head.base_layer.weight"] = head
  safetensors.numpy.save_file(tensors, copy / adapters.WEIGHTS)
  _assert_refused(copy, r"lm_head\.base_layer.*save_embedding_layers=False")


@pytest.mark.parametrize("value", [0, 0.0, "", 1, True, [0], {"a": 0}])
def test_an_unknown_field_must_be_off(copy, value):
  """Checks that no number is a switch: layer 0 is a layer."""
  _set_fields(copy, what_comes_next_year=value)
  _assert_refused(copy, "what_comes_next_year is .* which is not supported")


@pytest.mark.parametrize("value", [None, False, [], {}])
def test_an_unknown_field_that_is_off_is_accepted(copy, value):
  _set_fields(copy, what_comes_next_year=value)
  lora, _ = _read(copy, imported.model("llama2")[0], config.NO_LORA)
  assert lora.rank == 3


def test_an_adapter_nested_too_deep_is_reported(copy):
  (copy / adapters.CONFIG).write_text('{"a": ' + "[" * 200_000)
  _assert_refused(copy, r"adapter_config\.json, line 1: is not JSON")
