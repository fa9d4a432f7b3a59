"""What config.json and generation_config.json say before and after."""

import json

import imported
import pytest

from zsgen.models import hugging_face

SAMPLING = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}
every_case = pytest.mark.parametrize("case", imported.CASES)


def _json(path):
  return json.loads(path.read_text("utf-8"))


def _base(directory, same_ids=True, generation=None, **fields):
  """The files of a Llama, with other fields and a generation_config.json."""
  directory.mkdir()
  published = _json(imported.FAMILIES / "llama2" / "config.json")
  (directory / "config.json").write_text(json.dumps({**published, **fields}))
  if generation is not None:
    text = json.dumps(generation)
    (directory / "generation_config.json").write_text(text)
  return hugging_face.read_base(directory, same_ids)


def _exported(tmp_path, base, case="llama2", dtype="float32", **tokens):
  arch, params = imported.model(case)
  out = tmp_path / "out"
  tokens = hugging_face.Tokens(**tokens)
  hugging_face.save(out, params, arch, dtype, tokens, base)
  return _json(out / "config.json"), _json(out / "generation_config.json")


@every_case
def test_config_json_round_trips(case, tmp_path):
  """Compares all of it but for the element type, whatever the family."""
  base = hugging_face.read_base(imported.FAMILIES / case, same_ids=True)
  exported_config, _ = _exported(tmp_path, base, case)
  before = _json(imported.FAMILIES / case / "config.json")
  # Files that say no dtype are given one.
  assert (
      exported_config.pop("dtype", exported_config.pop("torch_dtype", None))
      == "float32"
  )
  for field in ("dtype", "torch_dtype"):
    before.pop(field, None)
  assert exported_config == before
  assert hugging_face.arch_of(tmp_path / "out") == (
      hugging_face.arch_of(imported.FAMILIES / case)
  )


def test_unread_fields_are_kept(tmp_path):
  extra = {
      "pretraining_tp": 1,
      "initializer_range": 0.013,
      "transformers_version": "4.42.3",
      "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
      "bos_token_id": 1,
      "eos_token_id": 2,
      "pad_token_id": 2,
  }
  generation = {
      **SAMPLING,
      "bos_token_id": 1,
      "eos_token_id": [2, 5],
      "pad_token_id": 2,
      "transformers_version": "4.42.3",
      "suppress_tokens": [7],
  }
  base = _base(tmp_path / "base", generation=generation, **extra)
  ids = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": None}
  exported_config, generated = _exported(tmp_path, base, ids=ids, ends=(2,))
  assert {field: exported_config[field] for field in extra} == extra
  assert generated == generation


@pytest.mark.parametrize(
    ("known", "ends", "expected"),
    [
        (None, (), None),
        (None, (2,), 2),
        (2, (2,), 2),
        (2, (2, 5), [2, 5]),
        ([5, 7], (2, 5), [5, 7, 2]),
        ([2], (2,), [2]),
        (0, (2,), [0, 2]),
    ],
)
def test_every_end_token_is_exported(tmp_path, known, ends, expected):
  base = _base(
      tmp_path / "base", generation={**SAMPLING, "eos_token_id": known}
  )
  _, generated = _exported(tmp_path, base, ends=ends)
  assert generated == {**SAMPLING, "eos_token_id": expected}


def test_a_new_model_lists_every_end_token(tmp_path):
  ids = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 4}
  exported_config, generated = _exported(tmp_path, None, ids=ids, ends=(1, 3))
  assert generated == {**ids, "eos_token_id": [1, 3]}
  assert exported_config["eos_token_id"] == [1, 3]
  assert exported_config["pad_token_id"] == 4


def test_ids_of_another_tokenizer_are_left_out(tmp_path):
  generation = {
      **SAMPLING,
      "max_new_tokens": 99,
      "eos_token_id": [2, 5],
      "bad_words_ids": [[3], [4, 5]],
      "forced_bos_token_id": 6,
      "begin_suppress_tokens": [7],
      "sequence_bias": [[[45], -0.6]],
  }
  extra = {"eos_token_id": 2, "bos_token_id": 1, "image_token_id": 9}
  base = _base(tmp_path / "base", False, generation, **extra)
  ids = {"bos_token_id": None, "eos_token_id": 11, "pad_token_id": None}
  exported_config, generated = _exported(tmp_path, base, ids=ids, ends=(11,))
  assert generated == {**SAMPLING, "max_new_tokens": 99, **ids}
  assert {name: exported_config[name] for name in ids} == ids
  assert "image_token_id" not in exported_config


def test_missing_code_is_not_referenced(tmp_path):
  base = _base(tmp_path / "base", auto_map={"AutoModel": "modeling_x.X"})
  assert "auto_map" not in _exported(tmp_path, base)[0]


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_the_element_type_is_that_of_the_weights(tmp_path, name):
  base = _base(tmp_path / "base")
  config = {k: v for k, v in base.config.items() if "dtype" not in k}
  base = base._replace(config={**config, name: "float16"})
  config, _ = _exported(tmp_path, base, dtype="bfloat16")
  assert config[name] == "bfloat16"
  assert {"dtype", "torch_dtype"} & config.keys() == {name}


def test_a_base_of_another_architecture_is_ignored(tmp_path):
  base = hugging_face.read_base(imported.FAMILIES / "gpt2", same_ids=True)
  exported_config, _ = _exported(tmp_path, base)
  assert exported_config["model_type"] == "llama"
