"""Shards make the order of one process, whoever makes its lists."""

import numpy as np
import pools
import pytest

from tests.helpers import artifact_files
from zsgen.core import config, errors, shards
from zsgen.orders import embeddings, order, shortlist_shards, shortlists, turns


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
  """Divides the pool of 21 rows into 6 parts."""
  monkeypatch.setattr(shortlist_shards, "_ROWS", 4)


def _order(**options) -> config.Order:
  return config.build(config.Order, **{"budget": 8, **options})


def _embed(workdir, store, options) -> None:
  embeddings.obtain(workdir, store, options)


def _shard(workdir, store, options, index, count):
  shard = shards.Shard(index, count)
  return shortlist_shards.list_shard(workdir, store, options, 0, shard)


def _merge(workdir, store, options) -> order.Order:
  return shortlist_shards.merge(workdir, store, options, 0)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({}, 7),
        ({"pick": "farthest", "budget": -1}, 2),
        ({"cosine": "exact", "rounds": (1, 3), "budget": -1}, 3),
    ],
)
def test_any_number_of_shards_makes_the_same_order(
    workdir, store, monkeypatch, options, count
):
  # Lists shorter than the pool, which run out.
  monkeypatch.setattr(turns, "_SHORTEST", 3)
  monkeypatch.setattr(turns, "_DEPTH", 1)
  options = _order(**options)
  expected = order.make(workdir, store, options, 0)
  content = artifact_files.read_all(workdir / "orders")
  expected.path.rename(workdir / "whole")
  for index in range(count):
    progress = _shard(workdir, store, options, index, count)
  assert progress.missing == 0
  joined, join = [], shortlist_shards.Job.join
  monkeypatch.setattr(
      shortlist_shards.Job, "join", lambda job: joined.append(job) or join(job)
  )
  merged = _merge(workdir, store, options)
  assert len(joined) == 1
  assert artifact_files.read_all(workdir / "orders") == content
  assert merged.fingerprint == expected.fingerprint


@pytest.mark.parametrize("pick", ["nearest", "farthest"])
@pytest.mark.parametrize("case", range(3))
def test_lists_of_parts_are_those_of_the_pool(case, pick):
  train, heldout = map(pools.embedded, pools.tied(case))
  size = min(len(train), 9)
  (expected,) = shortlists.make(train, heldout, (pick,), size)
  joined = shortlists.Shortlist(pick, len(heldout), size)
  for first in range(0, len(train), 40):
    rows = np.arange(first, min(first + 40, len(train)))
    part = shortlists.make_part(train.take(rows), heldout, (pick,), size, first)
    joined.extend(part[0].cells)
  np.testing.assert_array_equal(joined.cells, expected.cells)
  np.testing.assert_array_equal(joined.filled, expected.filled)


class _Killed(BaseException):
  """Stands for the end of the process."""


def test_killed_and_overlapping_shards_continue(workdir, store, monkeypatch):
  options, starts = _order(), []
  _embed(workdir, store, options)
  make_part = shortlist_shards.Request.make_part

  def make(request, rows):
    if len(starts) == 2:
      starts.append(None)
      raise _Killed
    starts.append(rows.start)
    return make_part(request, rows)

  monkeypatch.setattr(shortlist_shards.Request, "make_part", make)
  with pytest.raises(_Killed):
    _shard(workdir, store, options, 0, 1)
  for index, count in ((1, 2), (0, 3), (0, 2), (0, 2)):
    _shard(workdir, store, options, index, count)
  starts.remove(None)
  assert sorted(starts) == [0, 4, 8, 12, 16, 20]
  merged = _merge(workdir, store, options)
  assert _merge(workdir, store, options).fingerprint == merged.fingerprint
  assert _shard(workdir, store, options, 0, 2).is_merged
  assert [path.name for path in (workdir / "orders").iterdir()] == [
      merged.path.name
  ]


def _check_refused(workdir, store, options, message: str) -> None:
  """Checks that nothing is merged, and why."""
  before = artifact_files.read_all(workdir / "orders")
  with pytest.raises(errors.InputError, match=message):
    _merge(workdir, store, options)
  assert artifact_files.read_all(workdir / "orders") == before


def test_bad_shards_are_named(workdir, make_store, monkeypatch):
  store, options = make_store(), _order()
  _check_refused(workdir, store, options, "embeddings of this config do not")
  _embed(workdir, store, options)
  _check_refused(workdir, store, options, "no shard of this config is listed")
  _shard(workdir, store, options, 1, 2)
  _check_refused(workdir, store, options, "have no lists: 0, 2, 4. No order is")
  _shard(workdir, store, options, 0, 2)
  farthest = _order(pick="farthest")
  message = "pick is 'nearest' there and 'farthest' here"
  _check_refused(workdir, store, farthest, message)
  other = make_store(1)
  _embed(workdir, other, options)
  _check_refused(workdir, other, options, "is '.*' there and '.*' here")
  with monkeypatch.context() as patched:
    patched.setattr(shortlist_shards, "_LIBRARIES", ("pytest",))
    _check_refused(workdir, store, options, "the version of numpy is .* there")
  (job,) = (workdir / "orders").iterdir()
  first, second = job / "lists-00000.cells", job / "lists-00001.cells"
  content = first.read_bytes()
  flipped = content[:-1] + bytes([content[-1] ^ 1])
  for damaged in (flipped, second.read_bytes()):
    first.write_bytes(damaged)
    _check_refused(workdir, store, options, "lists-00000.cells: is damaged")
  first.write_bytes(content)
  _merge(workdir, store, options)


def test_missing_lists_may_be_those_of_another_config(workdir, store):
  nearest, farthest = _order(), _order(pick="farthest")
  _embed(workdir, store, nearest)
  _shard(workdir, store, nearest, 0, 2)
  _shard(workdir, store, farthest, 1, 2)
  others = "pick is 'farthest' there and 'nearest' here"
  message = rf"lists: 1, 3, 5\..*{others} \(parts of the pool with lists: 3\)"
  _check_refused(workdir, store, nearest, message)


def test_other_arrangements_are_refused(workdir, store):
  options = _order(arrangement="released")
  with pytest.raises(errors.InputError, match="'released' is arranged by one"):
    _shard(workdir, store, options, 0, 2)
  (workdir / "orders").mkdir()
  _check_refused(workdir, store, options, "'released' is arranged by one")
