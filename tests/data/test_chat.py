"""Conversations in the layouts of ShareGPT and of OpenAI."""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen.core import config, errors
from zsgen.data import prompts, sources, suite, tokenizers

SHARE = {"heldout": config.Heldout(share=0.25)}


def _build_turns(*texts, names=("human", "gpt"), begin=0):
  """Returns turns in ShareGPT's layout."""
  return [
      {"from": names[(i + begin) % 2], "value": text}
      for i, text in enumerate(texts)
  ]


def _suite(path, seed=0, fields=None, **options):
  data = config.build(
      config.Data,
      source="chat",
      path=str(path),
      fields=fields or config.Fields(),
      **({"heldout": SHARE, "heldout_instances": 100} | options),
  )
  return sources.load(data, seed, path.parent / "scratch")


def _examples(path, **kwargs):
  examples = list(_suite(path, **kwargs).examples())
  return {example.key: example for example in examples}


def test_both_layouts_side_by_side(tmp_path):
  first = [
      {"id": f"s{i}", "conversations": _build_turns(" q ", "a\n", "q2", "a2")}
      for i in range(3)
  ]
  first[1] = {
      "id": "s1",
      "items": _build_turns("q", "a", names=("user", "chatgpt")),
  }
  (tmp_path / "sharegpt.json").write_text(json.dumps(first))
  message = {
      "prompt_id": "m0",
      "prompt": "q",
      "messages": [
          {"role": "system", "content": "Be brief."},
          {"role": "user", "content": "q"},
          {"role": "assistant", "content": "a"},
      ],
  }
  (tmp_path / "no_robots.jsonl").write_text(json.dumps(message))
  examples = _examples(tmp_path)
  assert set(examples) == {"s0", "s1", "s2", "m0"}
  assert examples["s0"].turns == (
      suite.Turn("user", "q"),
      suite.Turn("assistant", "a"),
      suite.Turn("user", "q2"),
      suite.Turn("assistant", "a2"),
  )
  assert examples["m0"].turns[0] == suite.Turn("system", "Be brief.")
  assert examples["m0"].definition == "Be brief."
  assert (examples["s1"].input, examples["s1"].targets) == ("q", ("a",))
  splits = sorted(
      (example.task, example.split) for example in examples.values()
  )
  assert splits == [*[("chat", "train")] * 3, ("chat.heldout", "heldout")]


def test_parquet_with_the_publishers_splits(tmp_path):
  """NoRobots on the hub: train and test shards of messages."""
  for split, count in (("train", 4), ("test", 2)):
    rows = [
        {
            "prompt_id": f"{split}{i}",
            "category": "Rewrite",
            "messages": [
                {"role": "user", "content": f"q{i}"},
                {"role": "assistant", "content": "a"},
            ],
        }
        for i in range(count)
    ]
    name = f"{split}-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
  chat_suite = _suite(
      tmp_path, heldout={}, fields=config.Fields(category="category")
  )
  assert chat_suite.heldout == ("test",)
  assert chat_suite.notes["verbatim"] == {
      "inputs": 2,
      "prompts": 2,
      "tasks": {"chat.test": 2},
  }
  examples = list(chat_suite.examples())
  assert [example.task for example in examples] == [
      *["chat"] * 4,
      *["chat.test"] * 2,
  ]
  assert examples[0].category == "Rewrite"


def _file(path: pathlib.Path, turns, **fields) -> pathlib.Path:
  """Writes three good conversations, and these turns."""
  rows = [{"conversations": _build_turns(f"q{i}", "a")} for i in range(3)]
  rows.append({"conversations": turns} | fields)
  path.write_text("\n".join(map(json.dumps, rows)))
  return path


def test_a_last_question_without_answer_is_cut_off(tmp_path):
  path = _file(tmp_path / "c.jsonl", _build_turns("q", "a", "and now?"))
  assert [turn.text for turn in _examples(path)["3"].turns] == ["q", "a"]


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        (_build_turns("q"), "has no answer"),
        ([], "has no answer"),
        (_build_turns("a", begin=1), "has no answer"),
        (_build_turns("q", ""), 'turn 1: the field "value" is empty'),
        (
            _build_turns("q", "a", names=("human", "robot")),
            "turn 1: the speaker 'robot",
        ),
        (_build_turns("a", "q", "a", begin=1), "turn 0 is the assistant's"),
        (
            _build_turns("q", "a") + _build_turns("a", begin=1),
            "turn 2 is the assistant's",
        ),
        (
            _build_turns("q", "q", names=("user", "user"))
            + _build_turns("a", begin=1),
            "turn 1",
        ),
        (_build_turns("q", "a", "s", "a", names=("system", "gpt")), "turn 1"),
        (["q", "a"], "turn 0: must be a JSON object"),
        ([{"from": "human"}], 'turn 0: the field "value" is missing'),
        ("q a", '"conversations" is not a list, but of type str'),
        (None, "has none of the fields messages, conversations, items"),
    ],
)
def test_bad_conversations(tmp_path, turns, message):
  path = _file(tmp_path / "c.jsonl", turns)
  with pytest.raises(
      errors.InputError, match=rf"c\.jsonl, line 4: ?.*{message}"
  ):
    _suite(path)
  assert len(_examples(path, on_bad_row="skip")) == 3


def test_labels_of_some_rows(tmp_path):
  path = _file(tmp_path / "c.jsonl", _build_turns("q", "a"), topic="art", id=7)
  fields = config.Fields(task="topic")
  examples = _examples(
      path, fields=fields, heldout={"art": config.Heldout(tasks=("art",))}
  )
  assert {key: example.task for key, example in examples.items()} == {
      "0": "chat",
      "1": "chat",
      "2": "chat",
      "7": "art",
  }


def test_a_rows_system_prompt_comes_first(tmp_path):
  path = _file(
      tmp_path / "c.jsonl", _build_turns("q", "a"), system=" Be brief.\n"
  )
  (example,) = (e for k, e in _examples(path).items() if k == "3")
  assert example.turns[0] == suite.Turn("system", "Be brief.")
  assert example.definition == "Be brief."
  turns = [{"from": "system", "value": "Be brief."}, *_build_turns("q", "a")]
  path = _file(tmp_path / "d.jsonl", turns, system="Be brief.")
  assert _examples(path)["3"] == example
  path = _file(tmp_path / "e.jsonl", turns, system="Be long.")
  with pytest.raises(
      errors.InputError, match=r"line 4: has a system turn, and"
  ):
    _suite(path)
  path = _file(tmp_path / "f.jsonl", _build_turns("q", "a"), system=[])
  with pytest.raises(errors.InputError, match='"system" is not a str'):
    _suite(path)
  for system in ("", " ", None):
    path = _file(tmp_path / "g.jsonl", _build_turns("q", "a"), system=system)
    assert len(_examples(path)["3"].turns) == 2


def _weighted(*weights):
  """Returns turns with an answer for each weight."""
  turns = _build_turns(
      *(text for i in range(len(weights)) for text in (f"q{i}", f"a{i}"))
  )
  for turn, weight in zip(turns[1::2], weights, strict=True):
    turn["weight"] = weight
  return turns


def test_answers_of_no_weight_are_not_trained_on(tmp_path):
  path = _file(tmp_path / "c.jsonl", _weighted(0, 1.0, None, 0))
  turns = _examples(path)["3"].turns
  # The last one teaches nothing.
  assert [turn.text for turn in turns] == ["q0", "a0", "q1", "a1", "q2", "a2"]
  assert [t.is_trained for t in turns if t.role == "assistant"] == [0, 1, 1]
  for template in ("plain", "chat"):
    data = config.build(config.Data, template=template)
    show = prompts.get(data, tokenizers.Bytes(), 0)
    segments = show(_examples(path)["3"])
    assert [segment.text for segment in segments if segment.loss] == [
        "a1",
        "a2",
    ]
    assert [segment.text for segment in segments if segment.end] == [
        "a0",
        "a1",
        "a2",
    ]
    weighted = _examples(_file(tmp_path / "d.jsonl", _weighted(1, 1, 1)))["3"]
    expected = [(segment.text, segment.end) for segment in show(weighted)]
    assert [(segment.text, segment.end) for segment in segments] == expected


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((0, 0), "every answer of the conversation has weight 0"),
        ((1, 0.5), 'turn 3: the field "weight" is 0.5; it must be 0'),
        ((1, "0"), "turn 3: the field \"weight\" is '0'"),
        ((float("nan"),), 'turn 1: the field "weight" is nan'),
    ],
)
def test_invalid_weights(tmp_path, weights, message):
  path = _file(tmp_path / "c.jsonl", _weighted(*weights))
  with pytest.raises(errors.InputError, match=rf"line 4: ?.*{message}"):
    _suite(path)


def test_conversations_of_other_weights_are_no_duplicates(tmp_path):
  rows = [
      _weighted(1, 1),
      _weighted(0, 1),
      _weighted(0, 1.0),
      _build_turns("q", "a"),
  ]
  path = tmp_path / "c.jsonl"
  path.write_text("\n".join(json.dumps({"items": turns}) for turns in rows * 3))
  chat_suite = _suite(
      path, deduplicate=True, heldout={"h": config.Heldout(share=0.01)}
  )
  assert chat_suite.notes["duplicates"] == 11 - 3


def test_fields_that_are_not_read_are_counted(tmp_path):
  turns = _build_turns("q", "a", "q2", "a2")
  for turn in turns:
    turn |= {"weight": 1, "name": "x", "markdown": None}
  path = _file(
      tmp_path / "c.jsonl", turns, tools=[{"name": "f"}], source="here"
  )
  chat_suite = _suite(path)
  unread = chat_suite.notes["unread_fields"]
  assert unread == {
      "conversations[].name": 4,
      "conversations[].weight": 2,  # Of the user's.
      "tools": 1,
      "source": 1,
  }
  # Reading again counts nothing.
  assert len(list(chat_suite.examples())) == 4
  assert chat_suite.notes["unread_fields"] == unread
  path = _file(
      tmp_path / "d.jsonl", _build_turns("q", "a"), tools="[]", source=""
  )
  assert not _suite(path).notes["unread_fields"]


def test_without_a_heldout_set(tmp_path):
  path = _file(tmp_path / "c.jsonl", _build_turns("q", "a"))
  with pytest.raises(errors.InputError, match=r"no held-out tasks.*share"):
    _suite(path, heldout={})


def test_real_conversations(real):
  examples = _examples(
      real("chat"),
      heldout={"heldout": config.Heldout(share=0.1)},
      train_instances=10**6,
      heldout_instances=10**6,
  )
  splits = [example.split for example in examples.values()]
  assert (splits.count("train"), splits.count("heldout")) == (6197, 688)
