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
  """Returns tasks of two categories; every fifth is the source's test task."""
  return {
      f"t{i:02}": groups.Task(
          category="maths" if i % 10 == 3 else "words",
          split="" if i % 5 else "test",
          rows=np.arange(i * 10, i * 10 + 10),
      )
      for i in range(count)
  }


def _split(sets, tasks=None, seed=0, unlabelled="table"):
  splits = heldout.split(tasks or _tasks(), sets, seed, unlabelled, "here")
  return {name: list(members) for name, members in splits.items()}


def test_sets_side_by_side():
  splits = _split(SETS)
  assert list(splits) == ["train", "far", "near"]
  assert splits["far"] == ["t03", "t13"]
  assert splits["near"] == ["t00", "t05", "t07", "t10", "t15"]
  assert sorted(sum(splits.values(), [])) == list(_tasks())
  assert splits["train"] == sorted(splits["train"])


def test_the_sources_own_splits():
  tasks = {
      name: task._replace(split=task.split or "train")
      for name, task in _tasks().items()
  }
  splits = _split({}, tasks)
  assert splits["test"] == ["t00", "t05", "t10", "t15"]
  assert len(splits["train"]) == 16
  with pytest.raises(errors.InputError, match="no training task of its own"):
    _split({})
  bare = {name: task._replace(split="") for name, task in tasks.items()}
  with pytest.raises(errors.InputError, match=r"no held-out tasks.*'share'"):
    _split({}, bare)


def test_shares_of_the_remaining_tasks():
  sets = SETS | {
      "a": config.Heldout(share=0.25),
      "b": config.Heldout(share=0.1, tasks=("t19",)),
  }
  splits = _split(sets)
  # 12 tasks are left: 3 and 1.
  assert len(splits["a"]) == 3
  assert len(splits["b"]) == 2
  assert "t19" in splits["b"]
  assert splits == _split(sets)
  assert splits != _split(sets, seed=1)
  assert sorted(sum(splits.values(), [])) == list(_tasks())


def test_a_share_depends_on_names_only():
  """Checks that tasks in another sequence are drawn alike."""
  sets = {"a": config.Heldout(share=0.3)}
  reversed_tasks = dict(reversed(_tasks().items()))
  splits = _split(sets)
  # Of 16: the source's own test tasks are not drawn from.
  assert len(splits["a"]) == 5
  assert splits["a"] != splits["train"][:5]
  assert sorted(_split(sets, reversed_tasks)["a"]) == splits["a"]


def test_a_set_without_the_tasks_of_another():
  sets = {
      "far": config.Heldout(categories=("maths",), exclude=("own",)),
      "own": config.Heldout(split="test", tasks=("t03",)),
  }
  splits = _split(sets)
  assert splits["far"] == ["t13"]
  assert splits["own"] == ["t00", "t03", "t05", "t10", "t15"]
  plain_sets = {
      name: config.Heldout(
          tasks=s.tasks, split=s.split, categories=s.categories
      )
      for name, s in sets.items()
  }
  message = r"task t03 is in far and in own.*own = \{…, 'exclude': \('far',\)\}"
  with pytest.raises(errors.InputError, match=message):
    _split(plain_sets)
  # The message's advice.
  options = dict(tasks=("t03",), split="test")
  splits = _split(
      plain_sets | {"own": config.Heldout(**options, exclude=("far",))}
  )
  assert splits["far"] == ["t03", "t13"]
  assert splits["own"] == ["t00", "t05", "t10", "t15"]


def test_exclusions_may_be_chained():
  sets = {
      "a": config.Heldout(tasks=("t01", "t02", "t03"), exclude=("b",)),
      "b": config.Heldout(tasks=("t02", "t03", "t04"), exclude=("c",)),
      "c": config.Heldout(tasks=("t04",)),
  }
  splits = _split(sets)
  assert (splits["a"], splits["b"], splits["c"]) == (
      ["t01"],
      ["t02", "t03"],
      ["t04"],
  )


@pytest.mark.parametrize(
    ("sets", "message"),
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
def test_wrong_exclusions(sets, message):
  with pytest.raises(errors.InputError, match=message):
    _split(sets)


@pytest.mark.parametrize("unlabelled", [False, True])
def test_a_share_with_a_seed_is_the_same_in_all_runs(unlabelled):
  tasks = _tasks()
  if unlabelled:
    tasks = {"table": groups.Task("", "", np.arange(60))}

  def draw(sets, seed):
    splits = heldout.split(tasks, sets, seed, "table", "here")
    return {
        name: {task: group.rows.tolist() for task, group in members.items()}
        for name, members in splits.items()
    }

  sets = {"m": config.Heldout(share=0.2, seed=5)}
  expected = draw(sets, 0)
  assert draw(sets, 1) == expected
  all_sets = sets | {
      "a": config.Heldout(share=0.3),
      "z": config.Heldout(share=0.2),
  }
  first, second = draw(all_sets, 0), draw(all_sets, 1)
  assert first["m"] == second["m"] == expected["m"]
  assert first["a"] != second["a"]
  reseeded = draw({"m": config.Heldout(share=0.2, seed=6)}, 0)
  assert reseeded["m"] != expected["m"]
  # At its default nothing has changed: the run's seed draws.
  assert draw({"m": config.Heldout(share=0.2)}, 5) == expected
  rows = [row for m in first.values() for rows in m.values() for row in rows]
  assert len(rows) == len(set(rows))


def test_a_set_that_is_newer_than_a_store_does_not_rename_it():
  plain = config.science(config.Heldout(share=0.2))
  assert set(plain) == {"tasks", "categories", "split", "share"}
  newer = config.science(config.Heldout(share=0.2, seed=0, exclude=("a",)))
  assert newer == plain | {"seed": 0, "exclude": ["a"]}


def test_held_out_tasks_of_the_source_are_never_trained_on():
  splits = _split({"far": config.Heldout(categories=("maths",))})
  test_tasks = {name for name, task in _tasks().items() if task.split == "test"}
  assert test_tasks
  assert not test_tasks & set(splits["train"])


def test_a_share_of_the_rows_that_name_no_task():
  rows = np.arange(40)
  tasks = {"table": groups.Task("", "", rows)}
  sets = {"a": config.Heldout(share=0.25), "b": config.Heldout(share=0.001)}
  splits = heldout.split(tasks, sets, 0, "table", "here")
  parts = {
      split: next(iter(members.values())).rows
      for split, members in splits.items()
  }
  assert list(splits["a"]) == ["table.a"]
  assert {split: len(part) for split, part in parts.items()} == {
      "train": 29,
      "a": 10,
      "b": 1,
  }
  assert sorted(np.concatenate(list(parts.values()))) == rows.tolist()
  assert parts["a"].tolist() == sorted(parts["a"]) != list(range(10))


def test_a_file_of_names(tmp_path):
  tasks_file = tmp_path / "tasks.txt"
  tasks_file.write_bytes(b"\xef\xbb\xbft03\r\n\n t01 \n")
  sets = {"a": config.Heldout(tasks_file=str(tasks_file))}
  assert _split(sets)["a"] == ["t01", "t03"]
  assert heldout.files(sets) == (tasks_file,)
  for content, message in [
      (b"t03\nt3\n", r"tasks\.txt: the source has no task 't3'. Did you mean"),
      (b"t03\nt03\n", "names t03 twice"),
      ("t03\u2028t01\n".encode(), "no task 't03.u2028t01'"),  # One name.
      (b"\n", "names no task"),
      (b"\xff", "cannot be read"),
  ]:
    tasks_file.write_bytes(content)
    with pytest.raises(errors.InputError, match=message):
      _split(sets)
  sets = {"a": config.Heldout(tasks_file=str(pathlib.Path("nowhere")))}
  with pytest.raises(errors.InputError, match="nowhere: cannot be read"):
    _split(sets)


@pytest.mark.parametrize(
    ("sets", "message"),
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
def test_wrong_sets(sets, message):
  with pytest.raises(errors.InputError, match=message):
    _split(sets)


def test_a_share_of_a_single_task():
  tasks = dict(list(_tasks().items())[:1])
  with pytest.raises(errors.InputError, match="left to train on"):
    _split({"a": config.Heldout(share=0.5)}, tasks)
