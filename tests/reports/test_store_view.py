"""`python -m zsgen.data show`."""

import re
import subprocess
import sys

import pytest

from tests.helpers import components
from zsgen.core import config
from zsgen.data import differing_text, prepare, suite
from zsgen.data import store as store_lib
from zsgen.reports import store_view

LONG = "long " * 40


def _examples():
  for task, split in (("add", "train"), ("sort", "train"), ("end", "heldout")):
    for i in range(3):
      answer = LONG if (task, i) == ("sort", 1) else str(i)
      question = LONG if (task, i) == ("add", 2) else f"{i}, 4"
      yield suite.Example(
          task,
          "",
          split,
          f"{task.title()} these numbers.",
          question,
          (answer,),
          f"{task}-{i}",
      )


@pytest.fixture
def store(monkeypatch, tmp_path) -> store_lib.Store:
  def source(data, seed, scratch):
    del data, seed, scratch
    return suite.Suite("here", ("heldout",), _examples)

  components.add(monkeypatch, "source", "here", source)
  data = config.build(config.Data, source="here", max_length=80)
  return prepare.prepare(tmp_path, data, 0)


def _show(capsys, *arguments: object) -> tuple[int, str]:
  code = store_view.main([str(argument) for argument in arguments])
  captured = capsys.readouterr()
  return code, captured.out + captured.err


def test_examples_as_a_model_reads_them(store, capsys):
  code, output = _show(capsys, store.path, "--task=sort", "--head=1")
  assert code == 0
  assert "sort-0" in output and "⟦" in output and "⏹⟧" in output
  assert "sort-1" not in output and output.rstrip().endswith("1 of 3")
  _, output = _show(capsys, store.path, "--task=sort", "--task=end")
  assert output.rstrip().endswith("6 of 6") and "add-0" not in output


def test_cut_and_dropped_examples(store, capsys):
  _, output = _show(capsys, store.path, "--cut")
  assert "sort-1" in output and output.rstrip().endswith("1 of 1")
  code, output = _show(capsys, store.path, "--dropped")
  assert code == 0
  assert re.search(r"add +\W 1 +\W 2 ", output) and "sort" not in output
  _, output = _show(capsys, store.path, "--dropped", "--task=sort")
  assert "No example was dropped." in output


def test_bad_input(store, capsys, tmp_path):
  code, output = _show(capsys, store.path, "--task=sorted")
  assert code == 2 and 'Did you mean "sort"?' in output
  code, output = _show(capsys, tmp_path / "absent")
  assert code == 2 and "no such directory" in output


def test_the_tool_is_one_of_the_command(store, root):
  output = subprocess.run(
      [sys.executable, "-m", "zsgen.data", "show", store.path, "--head=0"],
      cwd=root,
      capture_output=True,
      text=True,
      check=True,
  ).stdout
  assert output.strip() == "0 of 8"


def test_texts_without_what_their_task_shares(store):
  texts = differing_text.differing_parts(store, store.split_ids("heldout"))
  prompts = [prompt for prompt, _ in store.texts(store.split_ids("heldout"))]
  assert all(text.startswith("…") for text in texts)
  assert "these" in prompts[0] and "these" not in texts[0]
  for text, prompt in zip(texts, prompts, strict=True):
    assert prompt.endswith(text.removeprefix("…"))
