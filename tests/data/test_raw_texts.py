"""The texts that people read and embedders compare have no template."""

import json

import pytest

from zsgen.core import config
from zsgen.data import prepare, raw_texts
from zsgen.orders import embeddings
from zsgen.orders import order as order_lib

_ROWS = [
    ("a", [" What is 1 and 2? ", "3"]),
    ("a", ["Add 2, 3.", " 5 ", "And 4?", "9"]),
    ("b", ["Name a sea.", "The sea."]),
    ("b", ["Name a cat, or a sea.", "A cat"]),
    ("h", ["Name a dog.", "The dog."]),
]
_TEMPLATES = ("plain", "chat")


@pytest.fixture
def file(tmp_path):
  path = tmp_path / "rows.jsonl"
  names = ("human", "gpt")
  with path.open("w") as lines:
    for task, texts in _ROWS:
      turns = [
          {"from": names[i % 2], "value": text} for i, text in enumerate(texts)
      ]
      print(json.dumps({"task": task, "conversations": turns}), file=lines)
  return path


def _store(file, template):
  data = config.build(
      config.Data,
      source="chat",
      path=str(file),
      template=template,
      fields=config.Fields(task="task"),
      heldout={"heldout": config.Heldout(tasks=("h",))},
  )
  return prepare.prepare(file.parent / "stores", data, 0)


def _texts(store, text):
  """Returns the text of each example, sorted."""
  return sorted(embeddings.texts_of(store, text, range(len(store))))


@pytest.mark.parametrize("template", _TEMPLATES)
def test_texts_are_request_space_and_answer(file, template):
  store = _store(file, template)
  assert _texts(store, "prompt+answer") == sorted(
      [" ".join(text.strip() for text in texts) for _, texts in _ROWS]
  )
  assert _texts(store, "prompt") == sorted(
      ["\n".join(texts[::2]).strip() for _, texts in _ROWS]
  )
  pairs = store.texts(range(len(store)))
  assert ("Name a sea.", "The sea.") in pairs
  assert ("Add 2, 3.\nAnd 4?", "5\n9") in pairs


@pytest.mark.parametrize("text", ["prompt+answer", "prompt"])
def test_orders_do_not_depend_on_the_template(file, tmp_path, text):
  results = []
  for template in _TEMPLATES:
    store = _store(file, template)
    order = config.build(config.Order, text=text, budget=4)
    artifact = order_lib.make(tmp_path / "work", store, order, 0)
    results.append((artifact.ids.tolist(), artifact.distances.tolist()))
  assert results[0] == results[1]


def test_empty_texts_leave_no_space():
  assert raw_texts.compared("", " an answer ", None) == "an answer"
  assert raw_texts.compared("x", "y", ["a ", "", "b"]) == "a b"
  assert raw_texts.columns([()])["prompt"].to_pylist() == [""]
