"""Reward models against transformers' sequence classifiers."""

import json

import jax
import numpy as np
import pytest

from tests.helpers import tiny_models
from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.data.tokenizers import hf
from zsgen.evals import reward_texts
from zsgen.models import rewards

pytest.importorskip("transformers", reason="the extra hf brings transformers")

TOLERANCE = 1e-4
CASES = ("llama2", "llama3", "qwen3", "gemma2", "qwen2")
LENGTHS = (9, 14, 4, 1)


def _texts():
  rng = np.random.default_rng(5)
  return [rng.integers(3, 48, length).astype(np.int32) for length in LENGTHS]


def _compute(directory, texts, rows):
  """Returns the reward of each text, in rows of texts."""
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  model = rewards.open_model(directory, "float32", mesh)
  width = max(sum(len(texts[i]) for i in row) for row in rows)
  tokens, positions, segments = np.zeros((3, len(rows), width), np.int32)
  ends = np.zeros((len(rows), max(map(len, rows))), np.int32)
  for row, members in enumerate(rows):
    begin = 0
    for number, i in enumerate(members):
      end = begin + len(texts[i])
      tokens[row, begin:end] = texts[i]
      positions[row, begin:end] = np.arange(end - begin)
      segments[row, begin:end] = number + 1
      ends[row, number] = end - 1
      begin = end
  computed = jax.jit(model.rewards)(
      model.load(), tokens, positions, segments, ends
  )
  values = np.empty(len(texts))
  for row, numbers in zip(rows, np.asarray(computed), strict=True):
    values[row] = numbers[: len(row)]
  return values


def test_packed_texts_have_the_rewards_of_texts_alone(tmp_path):
  directory = tiny_models.reward(tmp_path / "m", "llama2")
  texts = _texts()
  packed = _compute(directory, texts, [[1, 2, 3], [0]])
  alone = _compute(directory, texts, [[0], [1], [2], [3]])
  np.testing.assert_allclose(packed, alone, atol=1e-5)
  assert len(set(alone.round(3))) == len(texts)
  ultra = tiny_models.reward(
      tmp_path / "u", "llama2", name="regression_head.weight"
  )
  np.testing.assert_array_equal(
      _compute(ultra, texts, [[1, 2, 3], [0]]), packed
  )


@pytest.mark.peer
@pytest.mark.parametrize("case", CASES)
def test_rewards_equal_those_of_transformers(case, tmp_path):
  torch = pytest.importorskip("torch", reason="torch is not installed")
  import transformers

  directory = tiny_models.reward(tmp_path / "m", case)
  texts = _texts()
  actual = _compute(directory, texts, [[1, 2, 3], [0]])
  model = transformers.AutoModelForSequenceClassification.from_pretrained(
      directory, attn_implementation="eager", dtype=torch.float32
  ).eval()
  tokens = np.zeros((len(texts), max(LENGTHS)), np.int64)
  for row, text in zip(tokens, texts, strict=True):
    row[: len(text)] = text
  mask = torch.tensor(np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None])
  with torch.no_grad():
    expected = model(torch.tensor(tokens), attention_mask=mask.long()).logits
  expected = expected[:, 0].numpy()
  print(f"{case}: largest difference {np.abs(actual - expected).max():.1e}")
  np.testing.assert_allclose(actual, expected, atol=TOLERANCE)


@pytest.mark.peer
def test_ids_of_a_chat_are_those_of_transformers(tmp_path):
  pytest.importorskip("torch", reason="torch is not installed")
  import transformers

  directory = tiny_models.with_tokenizer(
      tiny_models.reward(tmp_path / "m", "llama2")
  )
  pairs = [("What is the sum?", "7"), ("Say it!", ""), ("a\n\nb", " the cat ")]
  encode = reward_texts.encoder("template", hf.read(str(directory)))
  peer = transformers.AutoTokenizer.from_pretrained(directory)
  for tokens, pair in zip(
      encode(*zip(*pairs, strict=True)), pairs, strict=True
  ):
    messages = [
        {"role": role, "content": text}
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    text = peer.apply_chat_template(messages, tokenize=False)
    assert tokens.tolist() == peer(text, add_special_tokens=False).input_ids


def test_the_published_form(tmp_path):
  directory = tiny_models.with_tokenizer(
      tiny_models.reward(tmp_path / "m", "llama2")
  )
  tokenizer = hf.read(str(directory))
  (tokens,) = reward_texts.encoder("ultra", tokenizer)(["ask </s>"], ["say"])
  assert tokens[0] == tokenizer.bos_id
  assert tokenizer.eos_id not in tokens  # Text is data.
  text = tokenizer.decode(tokens.tolist())
  assert text == "Human: ask </s>\n\nAssistant: say"


def test_what_is_no_reward_model_is_refused(tmp_path):
  directory = tiny_models.reward(tmp_path / "m", "llama2", name="other.weight")
  mesh = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  with pytest.raises(errors.InputError, match=r"neither score\.weight nor"):
    rewards.open_model(directory, "float32", mesh)
  directory = tiny_models.reward(tmp_path / "n", "llama2")
  settings = json.loads((directory / "config.json").read_text())
  settings["id2label"]["1"] = "LABEL_1"
  (directory / "config.json").write_text(json.dumps(settings))
  with pytest.raises(errors.InputError, match="there are 2 labels"):
    rewards.open_model(directory, "float32", mesh)
