"""The prepare stage and the store, on a suite written here."""

import json
import pathlib

import numpy as np
import pytest

from tests.helpers import components
from zsgen.core import artifacts, config, errors
from zsgen.data import chunks, prepare, store, suite, tokenizers

EXAMPLES = (
    ("even", "train", "Keep even ones.", "1, 2", "2"),
    ("even", "train", "Keep even ones.", "3, 4", "4"),
    ("odd", "train", "Keep odd ones.", "1, 2", "1"),
    ("large", "heldout", "Keep large ones.", "1, 99", "99"),
)


def _source(rows=EXAMPLES, heldout=("heldout",), files=()):
  def source(data: config.Data, seed: int, scratch) -> suite.Suite:
    del data, seed
    examples = [
        suite.Example(
            task, "numbers", split, definition, request, (answer,), "0"
        )
        for task, split, definition, request, answer in rows
    ]
    return suite.Suite("here", heldout, lambda: iter(examples), files)

  return source


@pytest.fixture
def use_source(monkeypatch):
  """Registers a source named "here"; returns a function that changes it."""

  def use(**kwargs):
    components.add(monkeypatch, "source", "here", _source(**kwargs))

  use()
  return use


def _prepare(path: pathlib.Path, **options) -> store.Store:
  return prepare.prepare(
      path, config.build(config.Data, source="here", **options), seed=0
  )


def test_rows_are_prompt_answer_and_end_token(use_source, tmp_path):
  row_store = _prepare(tmp_path)
  row = row_store.row(1)
  prompt = "Keep even ones.\nInput: 3, 4\nOutput: "
  tokens = [byte + 3 for byte in (prompt + "4").encode()] + [1]
  assert row.tokens.tolist() == tokens
  # The space before the answer is the answer's.
  assert row.mask.tolist() == [0] * (len(prompt) - 1) + [1, 1, 1]
  assert row_store.texts([1]) == [(prompt, "4")]
  assert row_store.lengths[1] == len(tokens)
  assert row_store.loss_lengths.tolist() == [3, 3, 3, 4]
  assert row_store.prompt_lengths[1] == len(prompt) - 1


def test_the_released_border_leaves_the_space_in_the_prompt(
    use_source, tmp_path
):
  default = _prepare(tmp_path)
  released = _prepare(tmp_path, border="released")
  assert default.path != released.path
  assert released.loss_lengths.tolist() == [2, 2, 2, 3]
  assert released.row(1).tokens.tolist() == default.row(1).tokens.tolist()
  # Bytes of the joined text are the same, wherever it is split.
  for row_store in (default, released):
    assert "border_differs" not in row_store.manifest["counts"]["train"]


def test_tasks_and_splits(use_source, tmp_path):
  row_store = _prepare(tmp_path)
  assert row_store.tasks == ["even", "odd", "large"]
  assert row_store.task_index.tolist() == [0, 0, 1, 2]
  assert row_store.split_ids("train").tolist() == [0, 1, 2]
  assert row_store.split_ids("heldout").tolist() == [3]
  with pytest.raises(errors.InputError, match='Did you mean "heldout"'):
    row_store.split_ids("heldot")
  assert row_store.manifest["counts"]["train"]["tasks"] == 2


def test_plain_text_has_loss_on_all_but_its_first_token(use_source, tmp_path):
  use_source(rows=(*EXAMPLES[3:], ("text", "train", "", "", "A cat.")))
  assert _prepare(tmp_path).row(1).mask.tolist() == [0, 1, 1, 1, 1, 1, 1]


def test_a_cut_answer_is_counted_and_a_lost_one_dropped(use_source, tmp_path):
  prompt = len("Keep large ones.\nInput: 1, 99\nOutput:")
  row_store = _prepare(tmp_path, max_length=prompt + 1)
  assert row_store.manifest["counts"]["heldout"]["cut"] == 1
  assert row_store.row(3).mask.sum() == 1
  with pytest.raises(errors.InputError, match="no example left in heldout"):
    _prepare(tmp_path, max_length=prompt)


def test_dropped_examples_leave_no_gap(use_source, tmp_path):
  rows = (("long", "train", "Keep.", "1" * 99, "1"), *EXAMPLES)
  use_source(rows=rows)
  row_store = _prepare(tmp_path, max_length=80)
  assert row_store.tasks == ["even", "odd", "large"]
  assert len(row_store) == 4
  assert row_store.manifest["counts"]["train"]["dropped"] == 1
  assert row_store.manifest["dropped_by_task"] == {"long": 1}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_chunk_may_lose_all_its_rows(use_source, tmp_path, monkeypatch, size):
  monkeypatch.setattr(chunks, "SIZE", size)
  long = ("long", "train", "Keep.", "1" * 99, "1")
  use_source(rows=(long, long, long, *EXAMPLES, long))
  with pytest.raises(errors.InputError, match="two parts"):
    _prepare(tmp_path, max_length=80)
  use_source(rows=(long, long, long, *EXAMPLES, ("z", "heldout", *long[2:])))
  row_store = _prepare(tmp_path, max_length=80)
  assert row_store.tasks == ["even", "odd", "large"]
  assert row_store.texts([3])[0][1] == "99"
  assert [
      len(row_store.row(i).tokens) for i in range(4)
  ] == row_store.lengths.tolist()


@pytest.mark.parametrize("characters", [1, 30, 59])
def test_long_examples_make_small_chunks(
    use_source, tmp_path, monkeypatch, characters
):
  expected = _prepare(tmp_path / "whole")
  monkeypatch.setattr(chunks, "CHARACTERS", characters)
  written = []
  write = chunks.write
  monkeypatch.setattr(
      chunks,
      "write",
      lambda folder, number, chunk: (
          written.append(len(chunk.table)),
          write(folder, number, chunk),
      ),
  )
  row_store = _prepare(tmp_path / "made")
  assert sum(written) == len(EXAMPLES)
  assert max(written) == {1: 1, 30: 2, 59: 3}[characters]
  assert row_store.fingerprint == expected.fingerprint


@pytest.mark.parametrize("path", ["~nobody-here/rows.jsonl", "loop.jsonl"])
@pytest.mark.parametrize("source", ["table", "niv2", "flan_mini"])
def test_paths_that_lead_nowhere(tmp_path, monkeypatch, path, source):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
  data = config.build(config.Data, source=source, path=path)
  with pytest.raises(errors.InputError, match=path):
    prepare.prepare(tmp_path / "stores", data, seed=0)


def test_same_bytes_and_no_second_preparation(use_source, tmp_path):
  first, second = _prepare(tmp_path / "a"), _prepare(tmp_path / "b")
  assert first.fingerprint == second.fingerprint
  for name in ("tokens.bin", "mask.bin", "offsets.npy"):
    assert (first.path / name).read_bytes() == (second.path / name).read_bytes()
  use_source(rows=EXAMPLES[2:])
  assert _prepare(tmp_path / "a").fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((EXAMPLES[0], EXAMPLES[2], EXAMPLES[1], EXAMPLES[3]), "two parts"),
        ((EXAMPLES[0], ("even", "heldout", "", "1", "1")), "one split only"),
        (EXAMPLES[:3], "no example left in heldout"),
        ((("\ud800", *EXAMPLES[0][1:]), *EXAMPLES[2:]), "not Unicode"),
        (((*EXAMPLES[0][:4], "\ud800"), *EXAMPLES[2:]), "not Unicode"),
    ],
)
def test_a_bad_suite_leaves_nothing(use_source, tmp_path, rows, message):
  use_source(rows=rows)
  with pytest.raises(errors.InputError, match=message):
    _prepare(tmp_path)
  assert not list(tmp_path.iterdir())


def test_damage_is_detected(use_source, tmp_path):
  row_store = _prepare(tmp_path)
  row_store.verify()
  tokens = row_store.path / "tokens.bin"
  content = tokens.read_bytes()
  tokens.write_bytes(bytes([content[0] ^ 1]) + content[1:])
  with pytest.raises(errors.InputError, match=r"tokens\.bin"):
    row_store.verify()
  tokens.write_bytes(content[:-4])
  with pytest.raises(errors.InputError, match="bytes"):
    _prepare(tmp_path)


def test_a_manifest_of_other_options_names_the_field(use_source, tmp_path):
  row_store = _prepare(tmp_path)
  manifest = row_store.path / "manifest.json"
  changed = json.loads(manifest.read_text())
  changed["made_by"]["max_length"] = 7
  manifest.write_text(json.dumps(changed))
  with pytest.raises(errors.InputError, match="was changed or is damaged"):
    _prepare(tmp_path)
  del changed["digest"]
  artifacts.write_manifest(row_store.path, changed)
  with pytest.raises(errors.InputError, match=r"made_by\.max_length is 7"):
    _prepare(tmp_path)


def test_changed_sources_are_detected(use_source, tmp_path):
  file = tmp_path / "source.json"
  file.write_text("one")
  use_source(files=(file,))
  _prepare(tmp_path / "stores")
  file.touch()
  _prepare(tmp_path / "stores").verify()
  file.write_text("two")
  with pytest.raises(errors.InputError, match="changed since"):
    _prepare(tmp_path / "stores")


def test_byte_ids_round_trip():
  tokenizer = tokenizers.Bytes()
  texts = ["", "a b", "Grüße 猫"]
  for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
    assert ids.dtype == np.uint32
    assert tokenizer.decode([*ids, tokenizer.eos_id]) == text


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (dict(tokenizer="byte"), 'Did you mean "bytes"'),
        (dict(template="plane"), 'Did you mean "plain"'),
    ],
)
def test_unknown_names(use_source, tmp_path, option, message):
  with pytest.raises(errors.InputError, match=message):
    _prepare(tmp_path, **option)
  with pytest.raises(errors.InputError, match='Did you mean "synth"'):
    prepare.prepare(tmp_path, config.build(config.Data, source="sinth"), seed=0)
