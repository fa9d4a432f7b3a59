"""Families of models against transformers, imported and exported.

The measure is logits that tests/models/families/make.py stored; where torch is
installed, transformers also loads what is exported. `-s` shows the errors.
"""

import pathlib
import re
import subprocess
import sys

import imported
import jax
import numpy as np
import pytest
import safetensors.numpy

from tests.helpers import xla
from zsgen.models import hugging_face
from zsgen.models.hugging_face import families

pytestmark = pytest.mark.numerics

pytest.importorskip("transformers", reason="the extra hf brings transformers")

TOLERANCE = 1e-4
LENGTH = 20
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
# Where it was read; what layer_types says too.
NO_MATTER = ("_name_or_path", "max_window_layers")
every_case = pytest.mark.parametrize("case", imported.CASES)


def _dtype(case):
  return "bfloat16" if case.endswith("bf16") else "float32"


def _tensors(directory):
  actual = {}
  for path in directory.glob("*.safetensors"):
    actual |= safetensors.numpy.load_file(path)
  return actual


def _config(directory):
  """What transformers reads in config.json, with what goes without saying."""
  import transformers

  fields = transformers.AutoConfig.from_pretrained(directory).to_dict()
  fields = {k: v for k, v in fields.items() if k not in NO_MATTER}
  if fields["model_type"] != "gpt2":
    default = fields["hidden_size"] // fields["num_attention_heads"]
    fields["head_dim"] = fields.get("head_dim") or default
  else:
    fields["n_inner"] = fields["n_inner"] or 4 * fields["n_embd"]
  turns = fields.get("rope_parameters", {})
  if turns.get("rope_type") == "yarn":
    fields["rope_parameters"] = {"beta_fast": 32.0, "beta_slow": 1.0, **turns}
  return fields


def _bytes(array):
  return array.dtype, array.shape, np.asarray(array).tobytes()


@pytest.fixture
def exported(case, tmp_path):
  """Exports a case. Returns the directory."""
  arch, params = imported.model(case)
  fields = _config(imported.FAMILIES / case)
  hugging_face.save(
      tmp_path / "out",
      params,
      arch,
      dtype=_dtype(case),
      # transformers must find its way through an index of ours, too.
      largest=12_000 if case == "mistral" else 10**9,
      tokens=hugging_face.Tokens({name: fields[name] for name in IDS}),
  )
  return tmp_path / "out"


def test_every_family_has_a_case():
  kinds = {
      families.kind_of(imported.FAMILIES / case) for case in imported.CASES
  }
  assert kinds == set(families.known())


def test_every_case_is_in_the_table_of_the_docs(root):
  page = (root / "docs" / "models.md").read_text("utf-8")
  table = page.partition("## Parity")[2]
  assert sorted(re.findall(r"^\| `(\w+)`", table, re.M)) == imported.CASES


@every_case
def test_logits_of_an_imported_model_equal_those_of_transformers(case):
  arch, params = imported.model(case)
  examples = imported.examples(case)
  rows = imported.batch([[example] for example in examples], LENGTH)
  actual = imported.logits(arch, params, rows)
  real = rows.segments > 0
  error = imported.error(actual[real], imported.stored(case)["logits"][real])
  print(f"\n{case}: import {error:.1e}")
  assert error <= TOLERANCE


@every_case
def test_packed_examples_equal_those_of_transformers(case):
  arch, params = imported.model(case)
  first, second, third = imported.examples(case)
  rows = imported.batch([[first], [second, third], []], LENGTH)
  actual = imported.logits(arch, params, rows)[1]
  expected = np.concatenate([second[2], third[2]])
  error = imported.error(actual[: len(expected)], expected)
  print(f"\n{case}: packed {error:.1e}")
  assert error <= TOLERANCE


@every_case
def test_import_export_import_gives_the_same_bytes(case, exported):
  arch, params = imported.model(case)
  assert hugging_face.arch_of(exported) == arch
  reimported = imported.load(exported, arch)
  assert jax.tree.map(_bytes, reimported) == jax.tree.map(_bytes, params)


@every_case
def test_exported_weights_equal_imported_weights(case, exported):
  actual, expected = map(_tensors, (exported, imported.FAMILIES / case))
  assert actual.keys() == expected.keys()
  for name, tensor in expected.items():
    assert _bytes(actual[name]) == _bytes(tensor), name


@every_case
def test_an_exported_config_is_read_back_equal(case, exported):
  assert _config(exported) == _config(imported.FAMILIES / case)


@pytest.mark.parametrize(
    "families",
    [
        ("gpt2",),  # Fused projections and biases.
        pytest.param(
            ("qwen2_window", "gemma3", "mistral"), marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_eight_devices_read_write_and_answer_like_one(families):
  script = pathlib.Path(__file__).with_name("placed.py")
  root = str(script.parents[2])
  completed = subprocess.run(
      [sys.executable, script, *families],
      env={
          **xla.environment(xla.devices(8)),
          "PYTHONPATH": root,
      },
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr


@pytest.mark.peer
@every_case
def test_transformers_loads_exported_models(case, exported):
  torch = pytest.importorskip("torch", reason="torch is not installed")
  import transformers

  model = transformers.AutoModelForCausalLM.from_pretrained(
      exported, attn_implementation="eager", dtype=torch.float32
  )
  arrays = imported.stored(case)
  inputs = dict(
      input_ids=arrays["tokens"],
      attention_mask=arrays["mask"],
      position_ids=arrays["positions"],
  )
  with torch.no_grad():
    actual = model.eval()(
        **{name: torch.tensor(array).long() for name, array in inputs.items()}
    ).logits.numpy()
  real = arrays["mask"] > 0
  error = imported.error(actual[real], arrays["logits"][real])
  print(f"\n{case}: export {error:.1e}")
  assert error <= TOLERANCE
