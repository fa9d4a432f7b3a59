"""Scored: the shared examples, in a sequence by any number."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen.core import config, errors
from zsgen.orders import order as order_lib
from zsgen.orders import sequences

IDS = range(21)
# The score of each id; some are equal.
SCORES = [(7 * i) % 5 + i % 3 / 4 for i in IDS]


@pytest.fixture
def make(store, workdir):
  """Makes the order of options, without an embedder."""

  def make(seed=0, **options):
    order = config.check({"order": {"arrangement": "scored", **options}}).order
    return order_lib.make(workdir, store, order, seed)

  return make


@pytest.fixture
def write(workdir):
  """Writes a file of scores, and returns the options that name it."""

  def write(name, content):
    path = workdir / name
    if isinstance(content, str):
      path.write_text(content)
    else:
      pq.write_table(pa.table(content), path)
    return dict(score="file", path=str(path), embedder="")

  return write


@pytest.fixture
def scores(write):
  return write("scores.parquet", {"id": list(IDS), "score": SCORES})


def _lines(rows) -> str:
  return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_formats_and_keys_give_the_same_order(make, write, store):
  keys = store.keys(np.arange(21))
  tasks = [store.tasks[i] for i in store.task_index[:21]]
  triples = list(zip(tasks, keys, SCORES, strict=True))
  contents = {
      "a.csv": (
          "id,score\n" + "".join(f"{i},{s}\n" for i, s in enumerate(SCORES))
      ),
      "b.parquet": {"id": list(IDS), "score": SCORES},
      "c.jsonl": _lines({"id": i, "score": s} for i, s in enumerate(SCORES)),
      "d.jsonl": _lines(dict(task=t, key=k, score=s) for t, k, s in triples),
      "e.csv": "score,key\n" + "".join(f"{s},{k}\n" for _, k, s in triples),
  }
  expected = sorted(IDS, key=lambda i: (SCORES[i], i))
  for name, content in contents.items():
    order = make(**write(name, content))
    assert order.ids.tolist() == expected, name
  np.testing.assert_allclose(order.distances, np.sort(SCORES))
  assert order.path.name.startswith("scored-file-ascending-")


def test_the_sequences_are_the_published_ones(make, scores):
  up = sorted(IDS, key=lambda i: (SCORES[i], i))
  down = sorted(IDS, key=lambda i: (-SCORES[i], i))
  cases = {
      "ascending": up,
      "descending": down,
      "fold": [up[p] for p in sequences.fold(21, 5)],
      "zigzag": [up[p] for p in sequences.zigzag(21, 5)],
      "stair": [up[p] for p in sequences.stair(21, 2, 0.225, 3)],
      "saw": [up[p] for p in sequences.saw_teeth(21, 3, 0.075, 2)],
  }
  for name, expected in cases.items():
    assert make(sequence=name, **scores).ids.tolist() == expected, name
  order = make(sequence="stair", highest_first=True, layers=2, **scores)
  positions = sequences.stair(21, 2, 0.225, 2)
  assert order.ids.tolist() == [down[p] for p in positions]


def test_segment_and_windows_are_drawn_by_the_seed(make, scores):
  up = sorted(IDS, key=lambda i: (SCORES[i], i))
  orders = [
      make(seed, sequence="segment", front=25, back=50, **scores).ids.tolist()
      for seed in (0, 0, 1)
  ]
  assert orders[0] == orders[1] != orders[2]
  for start, stop in ((0, 5), (5, 11), (11, 21)):
    assert sorted(orders[0][start:stop]) == sorted(up[start:stop])
  window = make(3, window=4, **scores).ids.tolist()
  assert window != up
  for start in range(0, 21, 4):
    assert sorted(window[start : start + 4]) == sorted(up[start : start + 4])


def test_scores_decide_the_sequence_of_the_shared_set(make, write, scores):
  random = make(arrangement="random", budget=9, embedder="")
  order = make(budget=9, **scores)
  assert sorted(order.ids) == sorted(random.ids)
  # The file may lack what the order does without.
  some = [int(i) for i in random.ids]
  partial = write(
      "some.parquet", {"id": some, "score": [SCORES[i] for i in some]}
  )
  assert make(budget=9, **partial).ids.tolist() == order.ids.tolist()


def test_lengths_of_the_store(make, store):
  for name, lengths in (
      ("tokens", store.lengths),
      ("prompt_tokens", store.prompt_lengths),
      ("loss_tokens", store.loss_lengths),
  ):
    ids = make(score=name, sequence="descending", embedder="").ids
    expected = sorted(IDS, key=lambda i: (-int(lengths[i]), i))
    assert ids.tolist() == expected


@pytest.mark.parametrize("measure", ["cosine_min", "wsd", "bigram_kl"])
def test_measures_are_those_of_similarity(make, measure):
  for sequence, pick in (("ascending", "nearest"), ("descending", "farthest")):
    expected = make(arrangement="similarity", measure=measure, pick=pick)
    actual = make(score=measure, sequence=sequence)
    assert actual.ids.tolist() == expected.ids.tolist()
    assert actual.distances.tolist() == expected.distances.tolist()


def test_the_name_follows_content_and_column(make, write, scores):
  names = {make(**scores).path}
  copy = write("copy.parquet", {"id": list(IDS), "score": SCORES})
  names.add(make(**copy).path)
  columns = {"id": list(IDS), "score": SCORES, "better": SCORES[::-1]}
  wide = write("wide.parquet", columns)
  assert len(names) == 1
  names |= {make(**wide).path, make(column="better", **wide).path}
  assert len(names) == 3


def test_parts_have_the_scores_of_their_rows(make, scores):
  part = dict(arrangement="scored", **scores)
  order = make(arrangement="by_task", parts=(part,), embedder="")
  tasks = [range(9), range(9, 11), range(11, 17), range(17, 21)]
  expected = [sorted(t, key=lambda i: (SCORES[i], i)) for t in tasks]
  assert order.ids.tolist() == sum(expected, [])


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("s.csv", "id,score\n0,1\n1,nan\n", "line 3: the score in the column"),
        ("s.csv", "id,score\n0,\n", r"line 2: .* is '', no finite number"),
        (
            "s.csv",
            "id,score\n0,1\n0,2\n",
            "line 3: example 0 has a score .*line 2",
        ),
        (
            "s.csv",
            "id,score\n0,1\n99,2\n",
            "line 3: id 99 is no training example",
        ),
        (
            "s.csv",
            "id,score\n0,1\n21,2\n",
            "line 3: id 21 is no training example",
        ),
        (
            "s.csv",
            "id,score\n0,1\n",
            "no score for 20 of the 21 .*1, 2, 3, 4, 5",
        ),
        ("s.csv", "id,points\n0,1\n", "has no column score; it has id, points"),
        ("s.csv", "score\n1\n", "has no column id, nor key"),
        ("s.jsonl", '{"id": 0, "score": Infinity}\n', "is inf, no finite"),
        ("s.jsonl", '{"id": 0, "score": true}\n', "is True, no finite number"),
        ("s.parquet", {"id": [0], "score": [None]}, "row 0: .* is None"),
        ("s.json", "[1]", "no .csv, .jsonl, .parquet or .txt file"),
    ],
)
def test_bad_files_leave_nothing_behind(
    make, write, workdir, name, content, message
):
  options = write(name, content)
  with pytest.raises(errors.InputError, match=f"{name}.*{message}"):
    make(**options)
  assert not (workdir / "orders").exists()


def test_nothing_is_embedded_before_an_error(make, write, workdir):
  bad = write("s.csv", "id,score\n0,nan\n")
  for options, message in (
      ({**bad, "embedder": "ngram"}, "no finite number"),
      (dict(score="cosine_min", window=22), "the order has 21"),
  ):
    with pytest.raises(errors.InputError, match=message):
      make(**options)
    assert not (workdir / "embeddings").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(score="file"), "path is ''"),
        (dict(path="x.csv"), "only file read it"),
        (dict(column="x"), "only file read it"),
        (dict(layers=3), "only fold, zigzag, stair, saw read it"),
        (dict(sequence="fold", sections=3), "only stair, saw read it"),
        (dict(highest_first=True), "sequence is 'ascending'"),
        (dict(sequence="segment", front=60, back=41), "more than all"),
        (dict(cosine="exact"), "only wsd"),
        (dict(window=1), "window is 1, which shuffles nothing"),
        (dict(window=22), "window is 22, but the order has 21"),
        (dict(budget=9, window=10), "window is 10, but the order has 9"),
    ],
)
def test_options_that_nothing_reads_are_errors(make, workdir, options, message):
  with pytest.raises(errors.InputError, match=message):
    make(**options)
  assert not (workdir / "orders").exists()
