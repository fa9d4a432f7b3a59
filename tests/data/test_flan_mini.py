"""Flan-mini: the draws of the released code, small and on the real key list."""

import collections
import json
import random

import numpy as np
import pytest

from tests.helpers import released_code
from zsgen.core import config, errors
from zsgen.data import prepare, sources
from zsgen.data.sources import flan_mini as flan_lib
from zsgen.data.sources import json_rows

# Rows of each task; "gone" is listed, but has none.
COUNTS = {"b": 30, "gone": 0, "a": 2, "long": 7, "x": 12, "c": 3}
TRAIN, HELDOUT = ("b", "gone", "a"), ("long", "x", "c")
ALL_ROWS = 1000


def _row(number: int, task: str) -> dict:
  turns = [("human", f" ask {number} \n"), ("gpt", f"say é {number} ")]
  turns += [("human", "more"), ("gpt", "no more")] * (number % 2)
  return {
      "id": f"flan_{number}",
      "source": task,
      "conversations": [
          {"from": speaker, "value": text} for speaker, text in turns
      ],
  }


def _tasks() -> list[str]:
  """Returns the task of each row; tasks are mixed, as in published files."""
  tasks = [task for task, count in COUNTS.items() for _ in range(count)]
  random.Random(7).shuffle(tasks)
  return tasks


@pytest.fixture
def layout(tmp_path):
  """Writes a small directory in the published layout."""
  rows = [_row(number, task) for number, task in enumerate(_tasks())]
  _write(tmp_path, rows, {"train_key_list": TRAIN, "eval_key_list": HELDOUT})
  return tmp_path


def _write(path, rows=None, lists=None, **kwargs):
  if rows is not None:
    text = json.dumps(rows, ensure_ascii=False, **kwargs)
    (path / flan_lib.ROWS).write_text(text, "utf-8")
  if lists is not None:
    (path / flan_lib.KEYS).write_text(json.dumps(lists))


def _rows(path):
  return json.loads((path / flan_lib.ROWS).read_text("utf-8"))


def _examples(path, draw="first", train=20, heldout=5, seed=0):
  data = config.build(
      config.Data,
      source="flan_mini",
      path=str(path),
      draw=draw,
      train_instances=train,
      heldout_instances=heldout,
  )
  return list(sources.load(data, seed, path / "scratch").examples())


def _keys(*args, **kwargs):
  """Returns drawn ids by task, in the suite's sequence."""
  keys = collections.defaultdict(list)
  for example in _examples(*args, **kwargs):
    keys[example.task].append(example.key)
  return dict(keys)


def _ids(path):
  """Returns all ids by task, in file order."""
  ids = collections.defaultdict(list)
  for row in _rows(path):
    ids[row["source"]].append(row["id"])
  return ids


def _sampled(ids, tasks, cap, draws=random):
  return {
      task: draws.sample(ids[task], min(cap, len(ids[task])))
      for task in tasks
      if ids[task]
  }


def _seen_first(ids, tasks, cap, seed):
  """Returns the first of each task that are met after Dataset.shuffle(seed)."""
  rows = [(task, key) for task in tasks for key in ids[task]]
  samples = {task: [] for task in tasks if ids[task]}
  for i in np.random.default_rng(seed).permutation(len(rows)):
    task, key = rows[i]
    if len(samples[task]) < cap:
      samples[task].append(key)
  return samples


def _first(ids, tasks, cap):
  return {task: ids[task][:cap] for task in tasks if ids[task]}


def test_an_example_is_the_first_exchange_stripped(layout):
  examples = _examples(layout, train=ALL_ROWS)
  assert [example.task for example in examples[:32]] == ["b"] * 30 + ["a"] * 2
  rows = {row["id"]: row for row in _rows(layout)}
  for example in examples:
    number = example.key.removeprefix("flan_")
    assert example.input == f"ask {number}"
    assert example.targets == (f"say é {number}",)
    assert example.definition == example.category == ""
    assert rows[example.key]["source"] == example.task
    assert example.split == ("train" if example.task in TRAIN else "heldout")


def test_first_is_file_order(layout):
  ids = _ids(layout)
  expected = _first(ids, TRAIN, 20) | _first(ids, HELDOUT, 5)
  assert list(_keys(layout).items()) == list(expected.items())


def test_seed_draws_each_task_alone(layout):
  def draw(seed):
    return _keys(layout, "seed", train=10, heldout=2, seed=seed)

  before = draw(0)
  assert before == draw(0) != draw(1)
  _write(layout, lists={"train_key_list": ["b", "a"], "eval_key_list": ["c"]})
  assert draw(0)["c"] == before["c"]


@pytest.mark.parametrize("seed", [0, 3])
def test_sample_goes_through_training_tasks_first(layout, seed):
  ids = _ids(layout)
  random.seed(seed)
  expected = _sampled(ids, TRAIN, 20) | _sampled(ids, HELDOUT, 5)
  actual = _keys(layout, "sample", seed=seed)
  assert list(actual.items()) == list(expected.items())


@pytest.mark.parametrize("seed", [0, 3])
def test_first_sample_spends_the_generator_on_heldout_tasks(layout, seed):
  ids = _ids(layout)
  random.seed(seed)
  expected = _first(ids, TRAIN, ALL_ROWS) | _sampled(ids, HELDOUT, 5)
  actual = _keys(layout, "first_sample", train=ALL_ROWS, seed=seed)
  assert list(actual.items()) == list(expected.items())
  assert actual["x"] != _keys(layout, "sample", train=ALL_ROWS, seed=seed)["x"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_first_shuffle_shuffles_all_heldout_rows_at_once(layout, seed):
  ids = _ids(layout)
  expected = _first(ids, TRAIN, 20) | _seen_first(ids, HELDOUT, 5, seed)
  assert _keys(layout, "first_shuffle", seed=seed) == expected


@pytest.mark.parametrize("indent", [None, 1])
def test_a_file_is_read_in_pieces(layout, monkeypatch, indent):
  rows = _rows(layout)
  expected = _examples(layout, "sample")
  monkeypatch.setattr(json_rows, "_CHUNK", 7)
  _write(layout, rows, indent=indent)
  path = layout / flan_lib.ROWS
  path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b" \r\n")
  assert _examples(layout, "sample") == expected


def test_incomplete_exchanges_are_drawn_but_have_no_target(layout):
  rows = _rows(layout)
  before = _keys(layout, "sample", train=ALL_ROWS, heldout=ALL_ROWS)
  rows[0]["conversations"][1]["value"] = " \n"
  rows[1]["conversations"].pop(0)
  rows[2]["conversations"] = []
  rows[3]["conversations"][0]["value"] = ""
  _write(layout, rows)
  examples = _examples(layout, "sample", train=ALL_ROWS, heldout=ALL_ROWS)
  bare = {example.key for example in examples if not example.targets}
  # One turn less of a long conversation leaves gpt first; never skipped.
  assert bare == {"flan_0", "flan_1", "flan_2", "flan_3"}
  assert _keys(layout, "sample", train=ALL_ROWS, heldout=ALL_ROWS) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[4].pop("source"), 'row 4: .*"source" is missing'),
        (lambda r: r[4].update(source=3), "row 4: .*not a str"),
        (lambda r: r.__setitem__(4, "x"), "row 4: must be a JSON object"),
        (lambda r: r[4].update(conversations="x"), "row 4: .*not a list"),
        (lambda r: r[4].update(conversations=["x"]), "row 4: must be a JSON"),
        (lambda r: r[4]["conversations"][0].update(value=None), "row 4: .*str"),
        (lambda r: r[4]["conversations"][0].pop("from"), 'row 4: .*"from"'),
        (list.clear, "has no row that can be used.$"),
    ],
)
def test_bad_rows_are_named(layout, change, message):
  rows = _rows(layout)
  change(rows)
  _write(layout, rows)
  with pytest.raises(errors.InputError, match=message) as error:
    _examples(layout, train=ALL_ROWS, heldout=ALL_ROWS)
  assert "flan_mini.json" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a JSON array"),
        (b'{"a": 1}', "must be a JSON array"),
        (b'[{"source": "b"}', "row 0 is broken JSON, or the file ends"),
        (b'[{"source": "b"}, {"sour', "row 1 is broken JSON, or the file ends"),
        (b'[{"source": "b"} {}]', "row 0 is broken JSON.*follows it"),
        (b'[{"source": "b"}, {} }{]', "row 1 is broken JSON"),
        (
            b'[{"source": "b"}] x',
            "continues after the end of its array, at byte 17",
        ),
        (b"[" * 200_000, "row 0 is broken JSON"),
        (b"[" + b"1" * 5000 + b"]", "row 0 is broken JSON"),
        (b'["\xff"]', "not UTF-8"),
    ],
)
def test_broken_files(layout, content, message):
  (layout / flan_lib.ROWS).write_bytes(content)
  with pytest.raises(errors.InputError, match=message):
    _examples(layout)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train_key_list": ["b"]}, '"eval_key_list" is missing'),
        ({"train_key_list": "b", "eval_key_list": ["c"]}, "not a list"),
        ({"train_key_list": [], "eval_key_list": ["c"]}, "names no task"),
        ({"train_key_list": [3], "eval_key_list": ["c"]}, "3 is no task"),
        ({"train_key_list": ["b", "b"], "eval_key_list": ["c"]}, "b twice"),
        ({"train_key_list": ["b"], "eval_key_list": ["c", "b"]}, "b is a held"),
        ({"train_key_list": ["b"], "eval_key_list": ["gone"]}, "no row of the"),
        ([], "must be a JSON object"),
    ],
)
def test_bad_key_lists(layout, lists, message):
  _write(layout, lists=lists)
  with pytest.raises(errors.InputError, match=message):
    _examples(layout)


def test_missing_files(layout, tmp_path):
  (layout / flan_lib.KEYS).write_text("{")
  with pytest.raises(
      errors.InputError, match=r"list.json, line 1: is not JSON"
  ):
    _examples(layout)
  (layout / flan_lib.KEYS).unlink()
  with pytest.raises(errors.InputError, match="has no train_eval_key_list"):
    _examples(layout)
  with pytest.raises(errors.InputError, match=r"has no flan_mini\.json"):
    _examples(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("source", "draw", "known"),
    [
        ("synth", "first", "draw is not an option"),
        ("worlds", "sample", "draw is not an option"),
        ("niv2", "sampel", 'Did you mean "sample"'),
        ("flan_mini", "sampel", 'Did you mean "sample"'),
    ],
)
def test_a_draw_that_a_source_does_not_support(source, draw, known):
  with pytest.raises(errors.InputError, match=known):
    config.build(config.Data, source=source, draw=draw)


def test_heldout_sets_without_a_key_list(layout):
  sets = {"a": config.Heldout(tasks=("x",)), "b": config.Heldout(share=0.3)}
  data = config.build(
      config.Data, source="flan_mini", path=str(layout), heldout=sets
  )

  def splits():
    examples = sources.load(data, 0, layout / "scratch").examples()
    return {example.task: example.split for example in examples}

  assignment = splits()
  (layout / flan_lib.KEYS).unlink()
  # Of the list's held-out tasks only what a set names is there.
  assert assignment.keys() == {"a", "b", "x"}
  # The file's order, and no task that is only listed.
  assert splits().keys() == COUNTS.keys() - {"gone"}
  assert list(splits().values()).count("b") == 1
  assert splits()["x"] == "a"


_TALKS = [
    [("human", " q "), ("gpt", "a"), ("human", "r"), ("gpt", "b")],
    [("human", "q"), ("gpt", "a"), ("human", "unanswered")],
    [("gpt", "x"), ("human", "y")],
    [("human", "q"), ("gpt", " ")],
    [("human", "q")],
]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [(), (), (), (), ()]),
        (
            {"turns": "all"},
            [("q", "a", "r", "b"), ("q", "a"), (), (), ()],
        ),
        (
            {"as_released": True},
            [("q", "a"), ("q", "a"), ("x", "y"), ("q", ""), ()],
        ),
        (
            {"turns": "all", "as_released": True},
            [("q", "a", "r", "b"), ("q", "a"), ("x", "y"), ("q", ""), ()],
        ),
    ],
)
def test_turns(tmp_path, options, expected):
  rows = [
      {
          "id": str(number),
          "source": "a" if number < len(_TALKS) else "h",
          "conversations": [
              {"from": speaker, "value": text} for speaker, text in talk
          ],
      }
      for number, talk in enumerate([*_TALKS, _TALKS[0]])
  ]
  _write(tmp_path, rows, {"train_key_list": ["a"], "eval_key_list": ["h"]})
  data = config.build(
      config.Data,
      source="flan_mini",
      path=str(tmp_path),
      draw="first",
      **options,
  )
  examples = list(sources.load(data, 0, tmp_path / "scratch").examples())
  assert [
      tuple(t.text for t in example.turns) for example in examples[:5]
  ] == expected
  for example in examples:
    roles = [turn.role for turn in example.turns]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
  assert bool(examples[2].targets) == bool(expected[2])
  assert examples[4].targets == ()


def test_an_empty_answer_is_an_end_token(tmp_path):
  rows = [
      {
          "id": str(number),
          "source": task,
          "conversations": [
              {"from": "human", "value": "q"},
              {"from": "gpt", "value": ""},
          ],
      }
      for number, task in enumerate("ah")
  ]
  _write(tmp_path, rows, {"train_key_list": ["a"], "eval_key_list": ["h"]})
  data = config.build(
      config.Data,
      source="flan_mini",
      path=str(tmp_path),
      as_released=True,
      template="chat",
  )
  store = prepare.prepare(tmp_path / "stores", data, 0)
  assert store.loss_lengths.tolist() == [1, 1]
  assert store.row(0).tokens[-1] == 1


@pytest.fixture(scope="session")
def real_ids(flan_mini):
  """Returns ids by task in file order, and the two key lists."""
  lists = json.loads((flan_mini / flan_lib.KEYS).read_text())
  return _ids(flan_mini), lists["train_key_list"], lists["eval_key_list"]


@pytest.mark.slow
def test_real_pool_and_heldout_sample(flan_mini, real_ids):
  """Checks section 4: all training rows; random.seed(0) samples the others."""
  ids, train, heldout = real_ids
  assert (len(train), len(heldout)) == (1600, 225)
  random.seed(0)
  expected = _first(ids, train, 10**6) | _sampled(ids, heldout, 5)
  actual = _keys(flan_mini, "first_sample", train=10**6)
  assert list(actual.items()) == list(expected.items())
  pool = [len(actual[task]) for task in train if task in actual]
  sample = [len(actual[task]) for task in heldout if task in actual]
  assert (len(pool), sum(pool)) == (1370, 91997)
  assert len(sample) == 187


@pytest.mark.slow
def test_real_samples(flan_mini, real_ids):
  """Checks section 3.2: training tasks are sampled before held-out tasks."""
  ids, train, heldout = real_ids
  random.seed(0)
  expected = _sampled(ids, train, 20) | _sampled(ids, heldout, 5)
  assert _keys(flan_mini, "sample") == expected


@pytest.mark.slow
def test_real_orders_of_one_multiset(flan_mini, real_ids):
  """Checks section 3.1: three orders of the first 20 rows of each task."""
  ids, train, heldout = real_ids
  actual = _keys(flan_mini, "first_shuffle", seed=1)
  assert {t: actual[t] for t in heldout if t in actual} == _seen_first(
      ids, heldout, 5, seed=1
  )
  pool = {task: actual[task] for task in train if task in actual}
  all_ids = {task: ids[task] for task in train}
  assert released_code.cluster(pool) == released_code.cluster(all_ids)
  assert released_code.round_robin(pool) == released_code.round_robin(all_ids)
  assert released_code.random_(pool) == released_code.random_(all_ids)
  orders = [
      order(all_ids)
      for order in (
          released_code.cluster,
          released_code.round_robin,
          released_code.random_,
      )
  ]
  assert {len(order) for order in orders} == {27340}
  assert len({tuple(sorted(order)) for order in orders}) == 1
  assert orders[1][:1370] == [ids[task][0] for task in train if ids[task]]
