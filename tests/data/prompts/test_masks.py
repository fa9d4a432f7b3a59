"""Masks: the answers and one end token each, whatever the texts hold."""

import io
import itertools
import json

import numpy as np
import pytest

from zsgen.core import config
from zsgen.data import prompts, suite, tokenizers, truncation
from zsgen.data.tokenizers import bpe, hf, sentencepiece

_TEMPLATE = (
    "{{ bos_token }}{% for each in messages %}<|{{ each['role'] }}|>"
    "{{ each['content'] }}"
    "{% if each['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_TEXTS = (
    "a",
    "<s>",
    "</s><eos><pad><unk>",
    "<eos\u200b>\uff1ceos\uff1e",
    "<|assistant|>",
    "User: x\nAssistant: y",
    "{{ bos_token }}",
    "\0",
    "a\0b",
    " ",
    "\t\r\n \u3000",
    " lead and trail ",
    "\u202e\u05e9\u05dc مرحبا",
    "😀👩‍👩‍👧",
    "\ufeff\uffff\U0010ffff",
    "e\u0301▁",
)
_CORPUS = [
    [f"word {i} output input answer" for i in range(200)],
    ["Grüße 猫 😀 مرحبا", "User: hello Assistant: yes"] * 20,
]


def _bpe(place) -> tokenizers.Tokenizer:
  """A byte-level BPE with a BOS and a chat template."""
  pytest.importorskip("tokenizers")
  pytest.importorskip("jinja2")
  bpe.write(bpe.train(_CORPUS, 300), place)
  spec = json.loads((place / "tokenizer.json").read_text("utf-8"))
  first = spec["added_tokens"][0]
  begin = {**first, "id": len(spec["model"]["vocab"]), "content": "<s>"}
  spec["added_tokens"].append(begin)
  (place / "tokenizer.json").write_text(json.dumps(spec), "utf-8")
  said = json.loads((place / "tokenizer_config.json").read_text("utf-8"))
  said |= dict(bos_token="<s>", add_bos_token=True, chat_template=_TEMPLATE)
  (place / "tokenizer_config.json").write_text(json.dumps(said), "utf-8")
  return hf.read(str(place))


def _sentencepiece(place) -> tokenizers.Tokenizer:
  """A small model with byte pieces; it has a BOS."""
  library = pytest.importorskip("sentencepiece")
  model = io.BytesIO()
  library.SentencePieceTrainer.train(
      sentence_iterator=itertools.chain(*_CORPUS),
      model_writer=model,
      vocab_size=340,
      hard_vocab_limit=False,
      byte_fallback=True,
      minloglevel=2,
  )
  place.with_suffix(".model").write_bytes(model.getvalue())
  return sentencepiece.read(str(place.with_suffix(".model")))


_MADE = {
    "bytes": lambda place: tokenizers.Bytes(),
    "bpe": _bpe,
    "sentencepiece": _sentencepiece,
}


def _example(asked: str, answers: tuple[str, ...]) -> suite.Example:
  """A conversation with so many answers; with none asked, plain text."""
  if not asked:
    return suite.Example("t", "", "train", "", "", answers, "0")
  turns = [suite.Turn("system", asked)] if len(answers) > 1 else []
  for answer in answers:
    turns += [suite.Turn("user", asked), suite.Turn("assistant", answer)]
  return suite.Example("t", "", "train", "", "", (), "0", turns=tuple(turns))


@pytest.fixture(scope="module", params=_MADE)
def tokenizer(request, tmp_path_factory):
  return _MADE[request.param](tmp_path_factory.mktemp("tokenizer") / "made")


def _encoded(tokenizer, template, asked, answers):
  prompt = prompts.get(
      config.build(config.Data, template=template), tokenizer, 0
  )
  segments = prompt(_example(asked, answers))
  return prompts.encode([segments], tokenizer)[0]


def _space(tokenizer, template, asked, is_first) -> str:
  """The white space before an answer, which becomes a part of it."""
  if tokenizer.continued is not None:
    return ""  # The model of this test drops it and begins texts with one.
  if template == "chat":
    return " "
  space = asked[len(asked.rstrip(" \t\u3000")) :]
  return "" if is_first and space == asked else space


def _wanted(tokenizer, answers, spaces=()) -> list[int]:
  """Each answer's tokens, with the space before it, and the end token."""
  spaces = spaces or [""] * len(answers)
  texts = [
      space + answer for space, answer in zip(spaces, answers, strict=True)
  ]
  encoded = tokenizer.encode_batch(texts)
  return sum([[*ids.tolist(), tokenizer.eos_id] for ids in encoded], [])


def _check_ends(tokens, tokenizer, answers: int) -> None:
  """One BOS, at the start, and so many end tokens."""
  begins = np.flatnonzero(tokens == tokenizer.bos_id).tolist()
  assert begins == ([] if tokenizer.bos_id is None else [0])
  assert (tokens == tokenizer.eos_id).sum() == answers


@pytest.mark.parametrize("template", ["plain", "chat"])
def test_loss_is_on_answers_and_their_ends(tokenizer, template):
  for asked, answer in itertools.product(_TEXTS, _TEXTS):
    for answers in ((answer,), (answer, asked)):
      tokens, mask = _encoded(tokenizer, template, asked, answers)
      said = tokens[mask.astype(bool)].tolist()
      # A system turn precedes the first request of two.
      spaces = [_space(tokenizer, template, asked, len(answers) == 1)] * len(
          answers
      )
      wanted = _wanted(tokenizer, answers, spaces)
      assert said == wanted, (asked, answers)
      _check_ends(tokens, tokenizer, len(answers))


def test_plain_text_is_all_loss_but_its_first_token(tokenizer):
  for text in _TEXTS:
    tokens, mask = _encoded(tokenizer, "plain", "", (text,))
    assert mask.tolist() == [0] + [1] * (len(tokens) - 1)
    assert tokens[-len(_wanted(tokenizer, (text,))) :].tolist() == _wanted(
        tokenizer, (text,)
    )
    _check_ends(tokens, tokenizer, 1)


def test_loss_by_a_chat_template(tmp_path):
  tokenizer = _bpe(tmp_path)
  for asked, answer in itertools.product(_TEXTS, _TEXTS):
    tokens, mask = _encoded(tokenizer, "tokenizer", asked, (answer, asked))
    said = tokens[mask.astype(bool)]
    assert tokenizer.decode(said) == answer + asked
    _check_ends(tokens, tokenizer, 2)


@pytest.mark.parametrize("policy", ["tail", "prompt"])
def test_cuts_keep_the_beginning_and_never_gain(tokenizer, policy):
  for asked, answer in itertools.product(_TEXTS[:6], _TEXTS):
    whole = _encoded(tokenizer, "chat", asked, (answer,))
    answered = int(whole.mask.sum())
    for length in range(2, len(whole.tokens) + 1):
      kept = truncation.cut(*whole, length, policy)
      assert len(kept.tokens) == len(kept.mask) == length
      assert kept.tokens[0] == whole.tokens[0]
      said = kept.tokens[kept.mask.astype(bool)].tolist()
      space = _space(tokenizer, "chat", asked, True)
      assert said == _wanted(tokenizer, (answer,), [space])[: len(said)]
      assert kept.answer_cut == (len(said) < answered)
      if policy == "prompt":
        assert len(said) == min(answered, length - 1)
