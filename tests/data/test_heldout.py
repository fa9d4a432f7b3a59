"""Which tasks are held out."""

import pathlib

import numpy as np
import pytest

from zsgen.core import config, errors
from zsgen.data.sources import groups, heldout

SETS = {
    "far": config.Heldout(categories=("maths",)),
    "near": config.Heldout(tasks=("t00", "t07"), split="test"),
}


def _tasks(count=20):
  """Tasks of two categories; every fifth is the source's own test task."""
  return {
      f"t{i:02}": groups.Task(
          category="maths" if i % 10 == 3 else "words",
          split="" if i % 5 else "test",
          rows=np.arange(i * 10, i * 10 + 10),
      )
      for i in range(count)
  }


def _split(sets, tasks=None, seed=0, unlabelled="table"):
  made = heldout.split(tasks or _tasks(), sets, seed, unlabelled, "here")
  return {name: list(members) for name, members in made.items()}


def test_sets_side_by_side():
  made = _split(SETS)
  assert list(made) == ["train", "far", "near"]
  assert made["far"] == ["t03", "t13"]
  assert made["near"] == ["t00", "t05", "t07", "t10", "t15"]
  assert sorted(sum(made.values(), [])) == list(_tasks())
  assert made["train"] == sorted(made["train"])


def test_the_sources_own_splits():
  tasks = {
      name: each._replace(split=each.split or "train")
      for name, each in _tasks().items()
  }
  made = _split({}, tasks)
  assert made["test"] == ["t00", "t05", "t10", "t15"]
  assert len(made["train"]) == 16
  with pytest.raises(errors.InputError, match="no training task of its own"):
    _split({})
  bare = {name: each._replace(split="") for name, each in tasks.items()}
  with pytest.raises(errors.InputError, match=r"no held-out tasks.*'share'"):
    _split({}, bare)


def test_shares_of_the_tasks_that_are_left():
  sets = SETS | {
      "a": config.Heldout(share=0.25),
      "b": config.Heldout(share=0.1, tasks=("t19",)),
  }
  made = _split(sets)
  # 12 tasks are left: 3 and 1.
  assert len(made["a"]) == 3
  assert len(made["b"]) == 2
  assert "t19" in made["b"]
  assert made == _split(sets)
  assert made != _split(sets, seed=1)
  assert sorted(sum(made.values(), [])) == list(_tasks())


def test_a_share_depends_on_names_only():
  """Tasks in another sequence are drawn alike."""
  sets = {"a": config.Heldout(share=0.3)}
  other = dict(reversed(_tasks().items()))
  made = _split(sets)
  # Of 16: the source's own test tasks are not drawn from.
  assert len(made["a"]) == 5
  assert made["a"] != made["train"][:5]
  assert sorted(_split(sets, other)["a"]) == made["a"]


def test_a_set_without_the_tasks_of_another():
  sets = {
      "far": config.Heldout(categories=("maths",), exclude=("own",)),
      "own": config.Heldout(split="test", tasks=("t03",)),
  }
  made = _split(sets)
  assert made["far"] == ["t13"]
  assert made["own"] == ["t00", "t03", "t05", "t10", "t15"]
  without = {
      name: config.Heldout(
          tasks=s.tasks, split=s.split, categories=s.categories
      )
      for name, s in sets.items()
  }
  said = r"task t03 is in far and in own.*own = \{…, 'exclude': \('far',\)\}"
  with pytest.raises(errors.InputError, match=said):
    _split(without)
  # The message's advice.
  named = dict(tasks=("t03",), split="test")
  made = _split(without | {"own": config.Heldout(**named, exclude=("far",))})
  assert made["far"] == ["t03", "t13"]
  assert made["own"] == ["t00", "t05", "t10", "t15"]


def test_what_an_excluded_set_excludes_itself_stays():
  sets = {
      "a": config.Heldout(tasks=("t01", "t02", "t03"), exclude=("b",)),
      "b": config.Heldout(tasks=("t02", "t03", "t04"), exclude=("c",)),
      "c": config.Heldout(tasks=("t04",)),
  }
  made = _split(sets)
  assert (made["a"], made["b"], made["c"]) == (["t01"], ["t02", "t03"], ["t04"])


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            {"a": config.Heldout(tasks=("t01",), exclude=("b",))},
            r"heldout\.a\.exclude: there is no held-out set 'b'.* There are: a",
        ),
        (
            {
                "a": config.Heldout(tasks=("t01",), exclude=("b",)),
                "b": config.Heldout(tasks=("t01", "t02"), exclude=("a",)),
            },
            "a excludes b excludes a, so no set",
        ),
        (
            {"a": config.Heldout(tasks=("t01",), exclude=("a",))},
            "a excludes a",
        ),
        (
            {
                "a": config.Heldout(tasks=("t01",), exclude=("b",)),
                "b": config.Heldout(tasks=("t01", "t02")),
            },
            r"heldout\.a: no task is left after excluding those of b",
        ),
        (
            {
                "a": config.Heldout(tasks=("t01",), exclude=("b",)),
                "b": config.Heldout(share=0.1),
            },
            "b names no task. Its share is drawn from tasks that no set names",
        ),
    ],
)
def test_wrong_exclusions(sets, said):
  with pytest.raises(errors.InputError, match=said):
    _split(sets)


@pytest.mark.parametrize("unlabelled", [False, True])
def test_a_share_with_a_seed_is_the_same_in_all_runs(unlabelled):
  tasks = _tasks()
  if unlabelled:
    tasks = {"table": groups.Task("", "", np.arange(60))}

  def drawn(sets, seed):
    made = heldout.split(tasks, sets, seed, "table", "here")
    return {
        name: {task: each.rows.tolist() for task, each in members.items()}
        for name, members in made.items()
    }

  own = {"m": config.Heldout(share=0.2, seed=5)}
  alone = drawn(own, 0)
  assert drawn(own, 1) == alone
  more = own | {"a": config.Heldout(share=0.3), "z": config.Heldout(share=0.2)}
  first, second = drawn(more, 0), drawn(more, 1)
  assert first["m"] == second["m"] == alone["m"]
  assert first["a"] != second["a"]
  other = drawn({"m": config.Heldout(share=0.2, seed=6)}, 0)
  assert other["m"] != alone["m"]
  # At its default nothing has changed: the run's seed draws.
  assert drawn({"m": config.Heldout(share=0.2)}, 5) == alone
  rows = [row for m in first.values() for rows in m.values() for row in rows]
  assert len(rows) == len(set(rows))


def test_a_set_that_is_newer_than_a_store_does_not_rename_it():
  plain = config.science(config.Heldout(share=0.2))
  assert set(plain) == {"tasks", "categories", "split", "share"}
  newer = config.science(config.Heldout(share=0.2, seed=0, exclude=("a",)))
  assert newer == plain | {"seed": 0, "exclude": ["a"]}


def test_what_the_source_holds_out_is_never_trained_on():
  made = _split({"far": config.Heldout(categories=("maths",))})
  own = {name for name, task in _tasks().items() if task.split == "test"}
  assert own
  assert not own & set(made["train"])


def test_a_share_of_the_rows_that_name_no_task():
  rows = np.arange(40)
  tasks = {"table": groups.Task("", "", rows)}
  sets = {"a": config.Heldout(share=0.25), "b": config.Heldout(share=0.001)}
  made = heldout.split(tasks, sets, 0, "table", "here")
  parts = {
      split: next(iter(members.values())).rows
      for split, members in made.items()
  }
  assert list(made["a"]) == ["table.a"]
  assert {split: len(part) for split, part in parts.items()} == {
      "train": 29,
      "a": 10,
      "b": 1,
  }
  assert sorted(np.concatenate(list(parts.values()))) == rows.tolist()
  assert parts["a"].tolist() == sorted(parts["a"]) != list(range(10))


def test_a_file_of_names(tmp_path):
  listed = tmp_path / "tasks.txt"
  listed.write_bytes(b"\xef\xbb\xbft03\r\n\n t01 \n")
  sets = {"a": config.Heldout(tasks_file=str(listed))}
  assert _split(sets)["a"] == ["t01", "t03"]
  assert heldout.files(sets) == (listed,)
  for content, said in [
      (b"t03\nt3\n", r"tasks\.txt: the source has no task 't3'. Did you mean"),
      (b"t03\nt03\n", "names t03 twice"),
      ("t03\u2028t01\n".encode(), "no task 't03.u2028t01'"),  # One name.
      (b"\n", "names no task"),
      (b"\xff", "cannot be read"),
  ]:
    listed.write_bytes(content)
    with pytest.raises(errors.InputError, match=said):
      _split(sets)
  sets = {"a": config.Heldout(tasks_file=str(pathlib.Path("nowhere")))}
  with pytest.raises(errors.InputError, match="nowhere: cannot be read"):
    _split(sets)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            {"a": config.Heldout(tasks=("t3",))},
            r"heldout\.a\.tasks: the source has no task 't3'. Did you mean",
        ),
        ({"a": config.Heldout(categories=("math",))}, 'mean "maths"'),
        (
            {"a": config.Heldout(split="tset")},
            'Did you mean "test".* It has: ',
        ),
        ({"a": config.Heldout()}, r"heldout\.a has no task"),
        ({"train": config.Heldout(share=0.1)}, "cannot name a held-out set"),
        (
            SETS | {"x": config.Heldout(tasks=("t13",))},
            "task t13 is in far and in x",
        ),
        (
            {"a": config.Heldout(categories=("maths", "words"))},
            "no task of here is left to train on",
        ),
        (
            {
                "a": config.Heldout(share=0.6),
                "b": config.Heldout(share=0.6),
            },
            "left to train on",
        ),
    ],
)
def test_wrong_sets(sets, said):
  with pytest.raises(errors.InputError, match=said):
    _split(sets)


def test_a_share_of_a_single_task():
  tasks = dict(list(_tasks().items())[:1])
  with pytest.raises(errors.InputError, match="left to train on"):
    _split({"a": config.Heldout(share=0.5)}, tasks)
