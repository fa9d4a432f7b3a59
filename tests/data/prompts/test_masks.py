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


def _bpe(path) -> tokenizers.Tokenizer:
  """Returns a byte-level BPE with a BOS and a chat template."""
  pytest.importorskip("tokenizers")
  pytest.importorskip("jinja2")
  bpe.write(bpe.train(_CORPUS, 300), path)
  spec = json.loads((path / "tokenizer.json").read_text("utf-8"))
  first = spec["added_tokens"][0]
  begin = {**first, "id": len(spec["model"]["vocab"]), "content": "<s>"}
  spec["added_tokens"].append(begin)
  (path / "tokenizer.json").write_text(json.dumps(spec), "utf-8")
  settings = json.loads((path / "tokenizer_config.json").read_text("utf-8"))
  settings |= dict(bos_token="<s>", add_bos_token=True, chat_template=_TEMPLATE)
  (path / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
  return hf.read(str(path))


def _sentencepiece(path) -> tokenizers.Tokenizer:
  """Returns a small model with byte pieces and a BOS."""
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
  path.with_suffix(".model").write_bytes(model.getvalue())
  return sentencepiece.read(str(path.with_suffix(".model")))


_TOKENIZERS = {
    "bytes": lambda path: tokenizers.Bytes(),
    "bpe": _bpe,
    "sentencepiece": _sentencepiece,
}


def _example(request: str, answers: tuple[str, ...]) -> suite.Example:
  """Returns a conversation with these answers; plain text if no request."""
  if not request:
    return suite.Example("t", "", "train", "", "", answers, "0")
  turns = [suite.Turn("system", request)] if len(answers) > 1 else []
  for answer in answers:
    turns += [suite.Turn("user", request), suite.Turn("assistant", answer)]
  return suite.Example("t", "", "train", "", "", (), "0", turns=tuple(turns))


@pytest.fixture(scope="module", params=_TOKENIZERS)
def tokenizer(request, tmp_path_factory):
  return _TOKENIZERS[request.param](
      tmp_path_factory.mktemp("tokenizer") / "made"
  )


def _encoded(tokenizer, template, request, answers):
  prompt = prompts.get(
      config.build(config.Data, template=template), tokenizer, 0
  )
  segments = prompt(_example(request, answers))
  return prompts.encode([segments], tokenizer)[0]


def _space(tokenizer, template, request, is_first) -> str:
  """Returns the white space before an answer, which becomes a part of it."""
  if tokenizer.continued is not None:
    return ""  # The model of this test drops it and begins texts with one.
  if template == "chat":
    return " "
  space = request[len(request.rstrip(" \t\u3000")) :]
  return "" if is_first and space == request else space


def _ids(tokenizer, answers, spaces=()) -> list[int]:
  """Returns each answer's tokens, with its space before and its end token."""
  spaces = spaces or [""] * len(answers)
  texts = [
      space + answer for space, answer in zip(spaces, answers, strict=True)
  ]
  encoded = tokenizer.encode_batch(texts)
  return sum([[*ids.tolist(), tokenizer.eos_id] for ids in encoded], [])


def _check_ends(tokens, tokenizer, answers: int) -> None:
  """Checks for one BOS, at the start, and one end token for each answer."""
  begins = np.flatnonzero(tokens == tokenizer.bos_id).tolist()
  assert begins == ([] if tokenizer.bos_id is None else [0])
  assert (tokens == tokenizer.eos_id).sum() == answers


@pytest.mark.parametrize("template", ["plain", "chat"])
def test_loss_is_on_answers_and_their_ends(tokenizer, template):
  for request, answer in itertools.product(_TEXTS, _TEXTS):
    for answers in ((answer,), (answer, request)):
      tokens, mask = _encoded(tokenizer, template, request, answers)
      loss_ids = tokens[mask.astype(bool)].tolist()
      # A system turn precedes the first request of two.
      spaces = [_space(tokenizer, template, request, len(answers) == 1)] * len(
          answers
      )
      expected = _ids(tokenizer, answers, spaces)
      assert loss_ids == expected, (request, answers)
      _check_ends(tokens, tokenizer, len(answers))


def test_plain_text_is_all_loss_but_its_first_token(tokenizer):
  for text in _TEXTS:
    tokens, mask = _encoded(tokenizer, "plain", "", (text,))
    assert mask.tolist() == [0] + [1] * (len(tokens) - 1)
    assert tokens[-len(_ids(tokenizer, (text,))) :].tolist() == _ids(
        tokenizer, (text,)
    )
    _check_ends(tokens, tokenizer, 1)


def test_loss_by_a_chat_template(tmp_path):
  tokenizer = _bpe(tmp_path)
  for request, answer in itertools.product(_TEXTS, _TEXTS):
    tokens, mask = _encoded(tokenizer, "tokenizer", request, (answer, request))
    loss_ids = tokens[mask.astype(bool)]
    assert tokenizer.decode(loss_ids) == answer + request
    _check_ends(tokens, tokenizer, 2)


@pytest.mark.parametrize("policy", ["tail", "prompt"])
def test_cuts_keep_the_beginning_and_never_gain(tokenizer, policy):
  for request, answer in itertools.product(_TEXTS[:6], _TEXTS):
    row = _encoded(tokenizer, "chat", request, (answer,))
    answered = int(row.mask.sum())
    for length in range(2, len(row.tokens) + 1):
      cut = truncation.cut(*row, length, policy)
      assert len(cut.tokens) == len(cut.mask) == length
      assert cut.tokens[0] == row.tokens[0]
      loss_ids = cut.tokens[cut.mask.astype(bool)].tolist()
      space = _space(tokenizer, "chat", request, True)
      assert loss_ids == _ids(tokenizer, (answer,), [space])[: len(loss_ids)]
      assert cut.answer_cut == (len(loss_ids) < answered)
      if policy == "prompt":
        assert len(loss_ids) == min(answered, length - 1)
