"""Tokenizers that begin texts by a space: ids are those of the joined text."""

import hashlib
import itertools
import json

import numpy as np
import pytest

from tests.helpers import tiny_tokenizers
from zsgen.core import config
from zsgen.data import prepare, prompts, suite, tokenizers
from zsgen.data.prompts import templates
from zsgen.data.tokenizers import continued, hf, sentencepiece

lib = pytest.importorskip("tokenizers")

# A space before the answer (Llama 2), and none (ChatML).
INST = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] '"
    " + m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content + ' ' +"
    " eos_token }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for m in messages %}{{ '<s>' + m.role + '\\n' + m.content + '</s>\\n'"
    " }}{% endfor %}"
)
TALK = [
    ("the cat", "sat", "say a", "sea 12"),
    (" two  spaces ", "a\nb", "mat\n", " dog"),
    ("Äpfel", "naïve café", "x", "y"),
]


def _metaspace(scheme):
  return lib.pre_tokenizers.Metaspace(prepend_scheme=scheme)


def _byte_level():
  return lib.pre_tokenizers.ByteLevel(add_prefix_space=True)


KINDS = {
    "first": lambda: _metaspace("first"),
    "always": lambda: _metaspace("always"),
    "byte_level": _byte_level,
    "words": lambda: lib.pre_tokenizers.Sequence(
        [lib.pre_tokenizers.WhitespaceSplit(), _metaspace("always")]
    ),
    "sequence": lambda: lib.pre_tokenizers.Sequence(
        [_metaspace("always"), lib.pre_tokenizers.Digits()]
    ),
}


def _write(directory, splitter, template):
  """Writes a BPE with <unk>, <s> and </s> that begins texts by a space."""
  tokenizer = lib.Tokenizer(lib.models.BPE(unk_token="<unk>"))
  tokenizer.pre_tokenizer = splitter
  is_bytes = isinstance(splitter, lib.pre_tokenizers.ByteLevel)
  decoders = lib.decoders
  tokenizer.decoder = decoders.ByteLevel() if is_bytes else decoders.Metaspace()
  alphabet = lib.pre_tokenizers.ByteLevel.alphabet()
  texts = [
      *tiny_tokenizers.TEXTS,
      *itertools.chain(*TALK),
      "[INST] [/INST] user",
  ]
  trainer = lib.trainers.BpeTrainer(
      vocab_size=450,
      special_tokens=["<unk>", "<s>", "</s>"],
      initial_alphabet=[*alphabet, "▁", "\n"],
      show_progress=False,
  )
  tokenizer.train_from_iterator(texts, trainer)
  tokenizer.post_processor = lib.processors.TemplateProcessing(
      single="<s> $A", special_tokens=[("<s>", 1)]
  )
  special_tokens = {
      "unk_token": "<unk>",
      "bos_token": "<s>",
      "eos_token": "</s>",
  }
  return tiny_tokenizers.write(
      directory, tokenizer, **special_tokens, chat_template=template
  )


def _turns(texts):
  return tuple(map(suite.Turn, itertools.cycle(("user", "assistant")), texts))


def _encoded(tokenizer, template, texts, border="answer"):
  segments = templates.build(template, tokenizer)(_turns(texts))
  return segments, prompts.encode([segments], tokenizer, border)[0]


@pytest.mark.parametrize("texts", TALK)
@pytest.mark.parametrize("template", [INST, CHATML])
@pytest.mark.parametrize("kind", KINDS)
def test_a_chat_template_gives_the_ids_of_transformers(
    tmp_path, kind, template, texts
):
  transformers = pytest.importorskip("transformers")
  path = _write(tmp_path / kind, KINDS[kind](), template)
  reference = transformers.AutoTokenizer.from_pretrained(path)
  messages = [{"role": t.role, "content": t.text} for t in _turns(texts)]
  text = reference.apply_chat_template(messages, tokenize=False)
  expected = reference(text, add_special_tokens=False)["input_ids"]
  tokenizer = hf.read(path)
  _, row = _encoded(tokenizer, "tokenizer", texts)
  tokens = row.tokens.tolist()
  assert tokenizer.bos_id == tokens[0]
  if template == INST:
    assert tokens == expected
  else:  # It writes no BOS of its own; "<s>" begins each turn.
    assert tokens[1:] == expected[1:] or tokens == expected


@pytest.mark.parametrize("texts", TALK[::2])
@pytest.mark.parametrize("template", ["plain", "chat"])
@pytest.mark.parametrize("kind", KINDS)
def test_templates_give_the_ids_of_the_joined_text(
    tmp_path, kind, template, texts
):
  transformers = pytest.importorskip("transformers")
  path = _write(tmp_path / kind, KINDS[kind](), None)
  segments, row = _encoded(hf.read(path), template, texts)
  text = "".join(segment.text + "</s>" * segment.end for segment in segments)
  reference = transformers.AutoTokenizer.from_pretrained(path)
  assert row.tokens.tolist() == reference(text)["input_ids"]
  # The loss falls on the answers, their end tokens, and nothing else.
  for begin, end in _runs(row.mask):
    assert reference.convert_ids_to_tokens(int(row.tokens[end - 1])) == "</s>"
    answer = reference.decode(row.tokens[begin : end - 1]).strip()
    assert answer in [turn.strip() for turn in texts[1::2]]


def _runs(mask):
  """Returns where the loss begins and ends."""
  steps = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
  return zip(steps[::2], steps[1::2], strict=True)


@pytest.mark.parametrize("template", ["plain", "chat"])
@pytest.mark.parametrize("kind", ["llama", "unigram", "model"])
def test_no_space_is_added_between_segments(tmp_path, kind, template):
  """Checks Llama 2's normalizer, a Unigram model and SentencePiece."""
  if kind == "model":
    pytest.importorskip("sentencepiece")
    tokenizer = sentencepiece.read(
        tiny_tokenizers.sentencepiece(tmp_path / "x.model")
    )
  else:
    tokenizer = hf.read(tiny_tokenizers.HF[kind](tmp_path / kind))
  segments, row = _encoded(
      tokenizer, template, ("The cat", "sat", "on", "a mat")
  )
  texts = [segment.text + " " * segment.end for segment in segments]
  expected = tokenizer.decode(tokenizer.encode_batch(["".join(texts)])[0])
  read = tokenizer.decode(row.tokens)
  if kind == "model":  # Line breaks are spaces, and one is enough.
    assert read.split() == expected.split()
  else:
    assert "".join(read.split()) == "".join(expected.split())
    assert "  " not in read


def test_white_space_that_a_model_drops_is_a_border_of_words(tmp_path):
  pytest.importorskip("sentencepiece")
  tokenizer = sentencepiece.read(
      tiny_tokenizers.sentencepiece(tmp_path / "x.model")
  )
  (joined,) = tokenizer.encode_batch(["The cat sat"])
  for parts in (("The cat ", "sat"), ("The cat", " sat"), ("The c", "at sat")):
    segments = [
        prompts.Segment(parts[0], loss=False),
        prompts.Segment(parts[1], loss=True),
    ]
    (row,) = prompts.encode([segments], tokenizer)
    assert tokenizer.decode(row.tokens) == "The cat sat"
    if parts[0] != "The c":
      assert row.tokens.tolist() == [tokenizer.bos_id, *joined]


def test_added_tokens_restart_the_prefix_space(tmp_path):
  """Follows the library: Metaspace "always" marks the text after them."""
  path = _write(tmp_path / "x", _metaspace("always"), None)
  tokenizer = hf.read(path)
  (expected,) = tokenizer.encode_special(["cat</s>sat"])
  (inside,) = tokenizer.continued.encode(["cat</s>sat"], True)
  end = expected.tolist().index(tokenizer.eos_id)
  assert inside.tolist()[-len(expected[end:]) :] == expected[end:].tolist()
  (plain,) = tokenizer.continued.encode(["cat"], False)
  assert inside.tolist()[: len(plain)] == plain.tolist()


def test_tokenizers_without_a_prefix_space():
  """Checks that neither their ids nor the names of their stores change."""
  for splitter in (
      None,
      lib.pre_tokenizers.ByteLevel(add_prefix_space=False),
      _metaspace("never"),
      # Marks pieces of words.
      lib.pre_tokenizers.Sequence(
          [lib.pre_tokenizers.Punctuation(), _metaspace("always")]
      ),
  ):
    tokenizer = lib.Tokenizer(lib.models.BPE())
    if splitter is not None:
      tokenizer.pre_tokenizer = splitter
    spec = json.loads(tokenizer.to_str())
    assert continued.without_prefix(spec) is None


def _digest(tokenizer, names):
  """Returns a digest of tokens and masks of all conversations by templates."""
  digest = hashlib.sha256()
  for name, texts in itertools.product(names, TALK):
    _, row = _encoded(tokenizer, name, texts, "released")
    digest.update(row.tokens.tobytes() + row.mask.tobytes())
  return digest.hexdigest()[:16]


def test_the_released_border_keeps_the_ids_of_version_0_2(tmp_path):
  """Digests of the version before texts were joined."""
  digest = _digest(tokenizers.Bytes(), ("plain", "chat"))
  assert digest == "66cc90d0d741f9ff"
  generation_prompt = (
      "{% if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}"
  )
  path = tiny_tokenizers.gpt2(
      tmp_path, chat_template=CHATML + generation_prompt
  )
  digest = _digest(hf.read(path), ("plain", "chat", "tokenizer"))
  assert digest == "731c7fcdd9a18599"


def test_prefix_spaces_enter_the_names_of_stores(tmp_path):
  assert "continued" not in prepare.recipe_of(config.build(config.Data), 0)
  data = config.build(
      config.Data, tokenizer="hf", tokenizer_path=tiny_tokenizers.gpt2(tmp_path)
  )
  assert "continued" not in prepare.recipe_of(data, 0)
  prefixed = _write(tmp_path / "x", _metaspace("first"), None)
  data = config.build(config.Data, tokenizer="hf", tokenizer_path=prefixed)
  recipe = prepare.recipe_of(data, 0)
  assert recipe["continued"] == tokenizers.continued.VERSION


@pytest.mark.parametrize(
    ("template", "changed"),
    [
        (CHATML + "{{ add_generation_prompt }}", False),
        (CHATML + "{{ messages | tojson }}", True),
    ],
)
def test_stores_of_changed_templates_are_prepared_again(
    tmp_path, template, changed
):
  path = tiny_tokenizers.gpt2(tmp_path, chat_template=template)
  data = config.build(
      config.Data, tokenizer="hf", tokenizer_path=path, template="tokenizer"
  )
  assert ("template_environment" in prepare.recipe_of(data, 0)) == changed
  data = config.build(config.Data, tokenizer="hf", tokenizer_path=path)
  assert "template_environment" not in prepare.recipe_of(data, 0)
