"""The tokenizer in a GGUF file's metadata gives the ids of its model."""

import json
import pathlib

import numpy as np
import pytest

from tests.helpers import gguf_files, tiny_tokenizers
from zsgen.core import config, errors
from zsgen.data import tokenizers
from zsgen.data.tokenizers import gguf

lib = pytest.importorskip("tokenizers", reason="the extra hf is not installed")

SOURCE = pathlib.Path("model.gguf")
TEXTS = [
    *tiny_tokenizers.SAID,
    *tiny_tokenizers.TEXTS[:3],
    "1234567890 3.14159 0x1F 10,000 12 cats",
    "I'll we've they're DON'T It'S",
    "\tTabs\t\tand\r\nlines\n\n\n\nend   ",
    "e\u0301 \u00a0 ﬁ ½ Ⅳ ٣",
    " " * 7 + "x" + " " * 40 + "y",
    "<b>bold</b> a  b",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}"
    r"\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _fields(fields):
  """Lists of numbers as the file's reader returns them."""
  return {
      key: (
          np.array(value)
          if isinstance(value, list) and not isinstance(value[0], str)
          else value
      )
      for key, value in fields.items()
  }


def _load(fields, directory, size=10**6):
  converted = gguf.convert(_fields(fields), size, SOURCE)
  directory.mkdir(exist_ok=True)
  converted.write(directory)
  data = config.build(
      config.Data, tokenizer="hf", tokenizer_path=str(directory)
  )
  return converted, tokenizers.get(data)


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
  """Returns the tokenizer.json of a byte-level BPE."""
  path = tmp_path_factory.mktemp("gpt2")
  tiny_tokenizers.gpt2(path)
  return json.loads((path / "tokenizer.json").read_text())


def _steps(pre):
  """Returns the published steps of a name, by the library itself."""
  split = lib.pre_tokenizers.Split
  level = lib.pre_tokenizers.ByteLevel
  steps = {
      "gpt-2": [level(add_prefix_space=False)],
      "smollm": [
          lib.pre_tokenizers.Digits(individual_digits=True),
          level(add_prefix_space=False),
      ],
      "llama-bpe": [
          split(lib.Regex(LLAMA3), "isolated"),
          level(add_prefix_space=False, use_regex=False),
      ],
  }
  return lib.pre_tokenizers.Sequence(steps[pre])


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe"])
def test_a_byte_level_tokenizer_has_the_ids_of_its_model(pre, spec, tmp_path):
  _, tokenizer = _load(gguf_files.byte_level(pre, **spec), tmp_path)
  reference = lib.Tokenizer.from_str(json.dumps(spec))
  reference.pre_tokenizer = _steps(pre)
  ids = tokenizer.encode_special(TEXTS)
  for text, actual in zip(TEXTS, ids, strict=True):
    assert actual.tolist() == reference.encode(text).ids, text
    assert tokenizer.decode(actual) == reference.decode(actual.tolist())


def test_digits_are_split_as_the_name_says(spec, tmp_path):
  merged = dict(spec["model"])
  size = len(spec["model"]["vocab"]) + len(spec["added_tokens"])
  merged["vocab"] = merged["vocab"] | {"12": size, "123": size + 1}
  merged["merges"] = [*merged["merges"], ["1", "2"], ["12", "3"]]
  counts = {}
  for pre in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
    fields = gguf_files.byte_level(pre, **{**spec, "model": merged})
    _, tokenizer = _load(fields, tmp_path / pre)
    counts[pre] = len(tokenizer.encode_batch(["123123"])[0])
  assert counts == {"gpt-2": 2, "smollm": 6, "llama-bpe": 2, "qwen2": 6}


def test_qwen_2_has_the_ids_of_transformers(spec, tmp_path):
  transformers = pytest.importorskip("transformers")
  fields = gguf_files.byte_level("qwen2", **spec)
  _, tokenizer = _load(fields, tmp_path)
  reference = transformers.Qwen2Tokenizer(
      vocab=spec["model"]["vocab"],
      merges=[tuple(pair) for pair in spec["model"]["merges"]],
  )
  plain = [text for text in TEXTS if "<|" not in text and "    " not in text]
  for text, ids in zip(plain, tokenizer.encode_batch(plain), strict=True):
    assert ids.tolist() == reference(text)["input_ids"], text


@pytest.mark.parametrize("prefix", [True, False])
@pytest.mark.parametrize("user_defined", [[], ["\n", "  ", "<b>"]])
def test_pieces_are_those_of_sentencepiece(prefix, user_defined, tmp_path):
  sentencepiece = pytest.importorskip("sentencepiece")
  path = tiny_tokenizers.sentencepiece(
      tmp_path / "m.model",
      model_type="bpe",
      vocab_size=400,
      byte_fallback=True,
      normalization_rule_name="identity",
      remove_extra_whitespaces=False,
      add_dummy_prefix=prefix,
      user_defined_symbols=[text.replace(" ", "▁") for text in user_defined],
  )
  fields = gguf_files.pieces(path, user_defined, add_space_prefix=prefix)
  converted, tokenizer = _load(fields, tmp_path / "out")
  reference = sentencepiece.SentencePieceProcessor(model_file=path)
  # A special token's string, and an added token, begin a text again in HF's.
  texts = [text for text in TEXTS if "<" not in text or not prefix]
  texts = [text for text in texts if "\n" not in text or not prefix]
  for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
    assert ids.tolist() == reference.encode(text), text
  assert tokenizer.bos_id == reference.bos_id()
  assert converted.ids == {
      "bos_token_id": 1,
      "eos_token_id": 2,
      "pad_token_id": None,
  }


def test_merges_of_the_file_come_before_scores(tmp_path):
  pytest.importorskip("sentencepiece")
  path = tiny_tokenizers.sentencepiece(
      tmp_path / "m.model", model_type="bpe", vocab_size=90
  )
  fields = gguf_files.pieces(path, merges=["a t", "▁ t"])
  converted, _ = _load(fields, tmp_path / "out")
  assert converted.spec["model"]["merges"] == [["a", "t"], ["▁", "t"]]


def test_special_tokens_and_ends(spec, tmp_path):
  fields = gguf_files.byte_level("smollm", **spec) | {
      "tokenizer.ggml.eot_token_id": 5,
      "tokenizer.ggml.padding_token_id": 6,
      "tokenizer.chat_template": "{{ messages }}",
      "tokenizer.ggml.fim_pre_token_id": 7,
  }
  converted, tokenizer = _load(fields, tmp_path)
  last = tokenizer.special_ids["<|endoftext|>"]
  assert converted.ends == (last, 5)
  assert converted.ids["pad_token_id"] == tokenizer.pad_id == 6
  assert tokenizer.eos_id == last
  assert tokenizer.bos_id is None  # Nothing says that texts begin with it.
  assert tokenizer.chat_template == "{{ messages }}"
  # Added, but not special: it stays in texts.
  assert "    " not in tokenizer.special_ids


@pytest.mark.parametrize(
    "pre, flag, adds",
    [
        ("llama-bpe", None, True),
        ("llama-bpe", False, False),
        ("smollm", True, True),
    ],
)
def test_bos_is_added_where_the_file_or_the_name_says(
    pre, flag, adds, spec, tmp_path
):
  transformers = pytest.importorskip("transformers")
  fields = gguf_files.byte_level(pre, **spec)
  if flag is not None:
    fields["tokenizer.ggml.add_bos_token"] = flag
  _, tokenizer = _load(fields, tmp_path)
  assert (tokenizer.bos_id is not None) == adds
  reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
  ids = reference("The cat")["input_ids"]
  assert ids.count(reference.bos_token_id) == int(adds)
  assert (ids[0] == reference.bos_token_id) == adds


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": "t5"}, r"model: 't5' is unknown.*gpt2, llama"),
        ({"model": None}, "model: 'default' is unknown"),
        ({"pre": "deepseek-llm"}, r"pre: 'deepseek-llm'.*gpt-2, smollm"),
        ({"pre": None}, r"pre: 'default' is unknown"),
        ({"tokens": None}, "tokens: there is no list"),
        ({"tokens": ["a", "a"]}, "tokens: a token is there twice"),
        ({"merges": ["a b c"]}, "merges: entry 0 is not a pair"),
        ({"merges": ["! q"]}, "merges: entry 0 is not .* that form one"),
        ({"merges": None}, "merges: there is no list"),
        ({"token_type": [1, 2]}, "token_type: there is not one number"),
        ({"eos_token_id": None}, "no token that ends an answer"),
        ({"eos_token_id": 10**6}, "eos_token_id: there is no token 1000000"),
        ({"add_eos_token": True}, "add_eos_token: True is not supported"),
        ({"add_bos_token": 1}, "add_bos_token: 1 is not a boolean"),
        ({"precompiled_charsmap": [1]}, "precompiled_charsmap: "),
        ({"strange": "x"}, "strange: 'x' is not supported"),
    ],
)
def test_fields_that_are_not_supported_are_named(changes, message, spec):
  fields = gguf_files.byte_level("smollm", **spec)
  fields |= {f"tokenizer.ggml.{key}": value for key, value in changes.items()}
  fields = {key: value for key, value in fields.items() if value is not None}
  with pytest.raises(errors.InputError, match=message) as caught:
    gguf.convert(_fields(fields), 10**6, SOURCE)
  assert str(caught.value).startswith("model.gguf: tokenizer.ggml.")


def test_more_tokens_than_the_embedding_has_rows_are_refused(spec):
  fields = _fields(gguf_files.byte_level("smollm", **spec))
  with pytest.raises(errors.InputError, match=r"302 tokens, but .* 301 rows"):
    gguf.convert(fields, 301, SOURCE)
