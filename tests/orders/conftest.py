"""A small store with training tasks of several sizes."""

import pathlib

import pytest

from tests.helpers import components
from zsgen.core import config
from zsgen.data import prepare, suite
from zsgen.data import store as store_lib

SIZES = {"even": 9, "odd": 2, "sort": 6, "copy": 4}


def _examples(seed: int):
  for task, size in SIZES.items():
    for i in range(size):
      yield _example(task, "train", i, seed)
  for i in range(3):
    yield _example("large", "heldout", i, seed)
  yield _example("rhyme", "far", 0, seed)


def _example(task: str, split: str, i: int, seed: int) -> suite.Example:
  question = f"{i}, {i + seed}, {len(task)}"
  definition = f"From a list of numbers give the {task} ones."
  return suite.Example(
      task, "numbers", split, definition, question, (str(i),), f"{task}-{i}"
  )


@pytest.fixture
def make_store(monkeypatch, tmp_path):
  """Makes the store of a seed in the workdir, `tmp_path`."""

  def source(data: config.Data, seed: int, scratch) -> suite.Suite:
    del data, scratch
    return suite.Suite("here", ("heldout", "far"), lambda: _examples(seed))

  components.add(monkeypatch, "source", "here", source)

  def make(seed: int = 0) -> store_lib.Store:
    data = config.build(config.Data, source="here")
    return prepare.prepare(tmp_path / "stores", data, seed)

  return make


@pytest.fixture
def store(make_store) -> store_lib.Store:
  return make_store()


@pytest.fixture
def workdir(tmp_path) -> pathlib.Path:
  return tmp_path
