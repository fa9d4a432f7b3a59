"""Examples that wait on disk come back as they were, in any sequence."""

import numpy as np
import pytest

from zsgen.data import suite
from zsgen.data.sources import example_file


def _example(number: int) -> suite.Example:
  """Returns an example whose fields depend on its number."""
  solved = suite.Shot("1", "2", "", bool(number % 2))
  turn = suite.Turn("assistant", f"turn é {number}", bool(number % 3))
  return suite.Example(
      task="t",
      category=f"category {number % 4}",
      split="train",
      definition="" if number % 2 else "Do it.",
      input=f"input\0 {number}",
      targets=tuple(f"{number} {i}" for i in range(number % 3)),
      key=str(number),
      shots=(solved,) * (number % 2),
      turns=(turn,) * (number % 4),
      choices=("a", "") if number % 5 else (),
  )


@pytest.fixture(params=[(3, 1 << 24), (4096, 40), (4096, 1 << 24)])
def ten_rows(request, tmp_path, monkeypatch):
  """Writes a file of ten rows, the fifth without an example."""
  rows, characters = request.param
  monkeypatch.setattr(example_file, "_ROWS", rows)
  monkeypatch.setattr(example_file, "_CHARACTERS", characters)
  file = example_file.ExampleFile(tmp_path / "scratch")
  for number in range(10):
    file.append(None if number == 5 else _example(number))
  return example_file.Examples([file.finish()])


@pytest.mark.parametrize("read", [2, 4096])
def test_examples_are_read_in_the_requested_sequence(
    ten_rows, monkeypatch, read
):
  monkeypatch.setattr(example_file, "_READ", read)
  for rows in ([], [9], [0, 1, 2, 3, 4, 6, 7, 8, 9], [8, 0, 9, 2, 2, 7]):
    examples = list(ten_rows.read(np.array(rows, np.int64), "t", "train"))
    assert examples == [_example(number) for number in rows]


def test_task_and_split_are_those_requested(ten_rows):
  (example,) = ten_rows.read(np.array([3]), "t.test", "test")
  assert example == _example(3)._replace(task="t.test", split="test")


def test_no_file_has_a_name(ten_rows, tmp_path):
  assert not list(tmp_path.rglob("scratch/*"))
