"""Conversations in the layouts of ShareGPT and of OpenAI."""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen import config, errors
from zsgen.data import sources, suite

SHARE = {"heldout": config.Heldout(share=0.25)}


def _say(*texts, names=("human", "gpt"), begin=0):
  """ShareGPT's turns."""
  return [
      {"from": names[(i + begin) % 2], "value": text}
      for i, text in enumerate(texts)
  ]


def _suite(path, seed=0, fields=None, **options):
  data = config.Data(
      source="chat",
      path=str(path),
      fields=fields or config.Fields(),
      **({"heldout": SHARE, "heldout_instances": 100} | options),
  )
  return sources.load(data, seed, path.parent / "scratch")


def _examples(path, **kwargs):
  found = list(_suite(path, **kwargs).examples())
  return {each.key: each for each in found}


def test_both_layouts_side_by_side(tmp_path):
  first = [
      {"id": f"s{i}", "conversations": _say(" q ", "a\n", "q2", "a2")}
      for i in range(3)
  ]
  first[1] = {"id": "s1", "items": _say("q", "a", names=("user", "chatgpt"))}
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
  splits = sorted((each.task, each.split) for each in examples.values())
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
  made = _suite(tmp_path, heldout={}, fields=config.Fields(category="category"))
  assert made.heldout == ("test",)
  assert made.told["verbatim"] == {
      "inputs": 2,
      "prompts": 2,
      "tasks": {"chat.test": 2},
  }
  examples = list(made.examples())
  assert [each.task for each in examples] == [
      *["chat"] * 4,
      *["chat.test"] * 2,
  ]
  assert examples[0].category == "Rewrite"


def _file(path: pathlib.Path, turns, **fields) -> pathlib.Path:
  """Three good conversations, and these turns."""
  rows = [{"conversations": _say(f"q{i}", "a")} for i in range(3)]
  rows.append({"conversations": turns} | fields)
  path.write_text("\n".join(map(json.dumps, rows)))
  return path


def test_a_last_question_without_answer_is_cut_off(tmp_path):
  path = _file(tmp_path / "c.jsonl", _say("q", "a", "and now?"))
  assert [turn.text for turn in _examples(path)["3"].turns] == ["q", "a"]


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        (_say("q"), "has no answer"),
        ([], "has no answer"),
        (_say("a", begin=1), "has no answer"),
        (_say("q", ""), 'turn 1: the field "value" is empty'),
        (
            _say("q", "a", names=("human", "robot")),
            "turn 1: the speaker 'robot",
        ),
        (_say("a", "q", "a", begin=1), "turn 0 is the assistant's"),
        (_say("q", "a") + _say("a", begin=1), "turn 2 is the assistant's"),
        (_say("q", "q", names=("user", "user")) + _say("a", begin=1), "turn 1"),
        (_say("q", "a", "s", "a", names=("system", "gpt")), "turn 1"),
        (["q", "a"], "turn 0: must be a JSON object"),
        ([{"from": "human"}], 'turn 0: the field "value" is missing'),
        ("q a", '"conversations" is not a list, but of type str'),
        (None, "has none of the fields messages, conversations, items"),
    ],
)
def test_bad_conversations(tmp_path, turns, said):
  path = _file(tmp_path / "c.jsonl", turns)
  with pytest.raises(errors.InputError, match=rf"c\.jsonl, line 4: ?.*{said}"):
    _suite(path)
  assert len(_examples(path, on_bad_row="skip")) == 3


def test_labels_where_there_are_some(tmp_path):
  path = _file(tmp_path / "c.jsonl", _say("q", "a"), topic="art", id=7)
  fields = config.Fields(task="topic")
  examples = _examples(
      path, fields=fields, heldout={"art": config.Heldout(tasks=("art",))}
  )
  assert {key: each.task for key, each in examples.items()} == {
      "0": "chat",
      "1": "chat",
      "2": "chat",
      "7": "art",
  }


def test_without_a_heldout_set(tmp_path):
  path = _file(tmp_path / "c.jsonl", _say("q", "a"))
  with pytest.raises(errors.InputError, match=r"no held-out tasks.*share"):
    _suite(path, heldout={})


def test_real_conversations(real):
  examples = _examples(
      real("chat"),
      heldout={"heldout": config.Heldout(share=0.1)},
      train_instances=10**6,
      heldout_instances=10**6,
  )
  splits = [each.split for each in examples.values()]
  assert (splits.count("train"), splits.count("heldout")) == (6197, 688)
