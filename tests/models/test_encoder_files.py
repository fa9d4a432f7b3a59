"""Sentence encoders: against BERT restated, and all that can be wrong."""

import json

import numpy as np
import pytest
import safetensors.numpy

from tests.helpers import bert_models, closeness
from zsgen.core import errors
from zsgen.models import encoder, encoder_files

pytest.importorskip("tokenizers", reason="the extra minilm brings tokenizers")

TEXTS = ["", "even odd", "give the first word of the list , 1 2 33 ."]


@pytest.fixture
def directory(tmp_path):
  return bert_models.write(tmp_path / "model")


def _encode(files, dtype="float32", params=None):
  """Vectors of TEXTS, padded."""
  ids = [bert_models.ids(text) for text in TEXTS]
  tokens = np.zeros((len(ids), 20), np.int32)
  for row, row_ids in enumerate(ids):
    tokens[row, : len(row_ids)] = row_ids
  return encoder.encode(
      files.params() if params is None else params,
      tokens,
      np.array([len(row_ids) for row_ids in ids]),
      arch=files.arch,
      dtype=dtype,
      pooling=files.pooling,
      normalize=files.normalize,
  )


def _change(directory, name, **fields):
  path = directory / name
  known = json.loads(path.read_text()) if path.exists() else {}
  path.parent.mkdir(exist_ok=True)
  path.write_text(json.dumps({**known, **fields}))


def _rewrite(directory, change):
  path = directory / "model.safetensors"
  tensors = safetensors.numpy.load_file(path)
  safetensors.numpy.save_file(change(tensors), path)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_vectors_equal_those_of_bert(directory, pooling):
  _change(directory, "1_Pooling/config.json", pooling_mode=pooling)
  actual = _encode(encoder_files.read(directory))
  expected = [bert_models.vector(text, pooling) for text in TEXTS]
  np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_bfloat16_is_near(directory):
  actual = _encode(encoder_files.read(directory), "bfloat16")
  assert actual.dtype == np.float32
  expected = [bert_models.vector(text) for text in TEXTS]
  np.testing.assert_allclose(actual, expected, atol=0.03)
  assert np.abs(actual - np.array(expected)).max() > 1e-5


def test_vectors_are_not_normalized_without_a_module_for_it(directory):
  modules = [
      {"type": "sentence_transformers.models.Transformer", "path": ""},
      {"type": "sentence_transformers.models.Pooling", "path": "2_Pool"},
  ]
  (directory / "modules.json").write_text(json.dumps(modules))
  _change(directory, "2_Pool/config.json", pooling_mode_cls_token=True)
  files = encoder_files.read(directory)
  states = bert_models.states(bert_models.weights(), bert_models.ids(TEXTS[1]))
  np.testing.assert_allclose(_encode(files)[1], states[0], atol=1e-5)


def test_weights_under_the_prefix_of_a_head(directory):
  plain = encoder_files.read(directory).params()
  _rewrite(directory, lambda t: {f"bert.{name}": t[name] for name in t})
  prefixed = encoder_files.read(directory).params()
  closeness.assert_same(prefixed, plain)


def test_longest_text_and_prefix(directory):
  def files():
    return encoder_files.read(directory)

  assert (files().max_length, files().prefix) == (72, "")
  _change(directory, "tokenizer_config.json", model_max_length=int(1e30))
  assert files().max_length == 72
  _change(directory, "tokenizer_config.json", model_max_length=64)
  assert files().max_length == 64
  _change(directory, "sentence_bert_config.json", max_seq_length=48)
  assert files().max_length == 48
  prompts = dict(prompts={"query": "give the "}, default_prompt_name=None)
  _change(directory, "config_sentence_transformers.json", **prompts)
  assert files().prefix == ""
  name = {"default_prompt_name": "query"}
  _change(directory, "config_sentence_transformers.json", **name)
  assert files().prefix == "give the "


def test_the_digest_covers_what_determines_vectors(directory, tmp_path):
  digest = encoder_files.read(directory).digest
  (directory / "README.md").write_text("words")
  assert encoder_files.read(directory).digest == digest
  other_directory = bert_models.write(tmp_path / "elsewhere")
  assert encoder_files.read(other_directory).digest == digest
  _change(other_directory, "1_Pooling/config.json", pooling_mode="cls")
  assert encoder_files.read(other_directory).digest != digest
  _rewrite(directory, lambda t: {**t, "pooler.dense.bias": np.ones(32)})
  assert encoder_files.read(directory).digest != digest


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json"]
)
def test_a_missing_file(directory, name):
  (directory / name).unlink()
  with pytest.raises(errors.InputError, match=f"{name} does not exist"):
    encoder_files.read(directory)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "mpnet"}, "model_type is 'mpnet'.*only encoders"),
        ({"position_embedding_type": "relative_key"}, "is 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"hidden_act": "gleu"}, 'hidden_act.*Did you mean "gelu"'),
        ({"hidden_size": "32"}, "hidden_size is '32'"),
        ({"num_attention_heads": 5}, "does not divide"),
    ],
)
def test_unsupported_models(directory, fields, message):
  _change(directory, "config.json", **fields)
  with pytest.raises(errors.InputError, match=message):
    encoder_files.read(directory)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "last"}, "by last, but"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
            "by cls and max",
        ),
        ("sentence_bert_config.json", {"max_seq_length": 2}, "2 tokens"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"query": ""}, "default_prompt_name": "qeury"},
            'Did you mean "query"',
        ),
    ],
)
def test_unsupported_settings(directory, name, fields, message):
  _change(directory, name, **fields)
  with pytest.raises(errors.InputError, match=message):
    encoder_files.read(directory)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_files(directory, content):
  (directory / "config.json").write_text(content)
  with pytest.raises(errors.InputError, match=r"config.json.* is not.*JSON"):
    encoder_files.read(directory)


def test_an_unsupported_module(directory):
  module = {"type": "sentence_transformers.models.Dense", "path": "3_Dense"}
  (directory / "modules.json").write_text(json.dumps([module]))
  with pytest.raises(errors.InputError, match="module Dense is not"):
    encoder_files.read(directory)


def test_every_weight_that_does_not_fit_is_listed(directory):
  def change(tensors):
    tensors["odd"] = tensors.pop("encoder.layer.1.output.dense.bias")
    query = "encoder.layer.0.attention.self.query.weight"
    tensors[query] = tensors[query][1:]
    return tensors

  _rewrite(directory, change)
  with pytest.raises(errors.InputError) as raised:
    encoder_files.read(directory).params()
  assert (
      "model.safetensors does not match config.json next to it:"
      " encoder.layer.1.output.dense.bias is missing; odd is left over;"
      " encoder.layer.0.attention.self.query.weight is (31, 32), not (32, 32)"
      in str(raised.value)
  )


def test_weights_that_are_not_safetensors(directory):
  (directory / "model.safetensors").write_bytes(b"weights")
  with pytest.raises(errors.InputError, match="not a safetensors file"):
    encoder_files.read(directory).params()


def test_the_pooling_is_read_from_the_directory_alone(directory):
  modules = [{"type": "sentence_transformers.models.Pooling", "path": "../x"}]
  (directory / "modules.json").write_text(json.dumps(modules))
  with pytest.raises(errors.InputError, match="must name a file inside"):
    encoder_files.read(directory)
