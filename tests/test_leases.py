"""Leases, in a directory and in a bucket."""

import pathlib
import threading
import time

import pytest

from zsgen.core import errors, storage


@pytest.fixture(params=["folder", "bucket"])
def objects(request, tmp_path: pathlib.Path) -> storage.Objects:
  """Returns a place for leases."""
  if request.param == "folder":
    return storage.Folder(tmp_path)
  return storage.Bucket(request.getfixturevalue("bucket_url"))


def test_bucket_creates_an_object_once(bucket_url):
  bucket = storage.Bucket(bucket_url)
  assert bucket.create("x", b"1")
  assert not bucket.create("x", b"2")  # The server answers 412.
  assert bucket.read("x") == b"1"


def test_exactly_one_of_many_creates(objects):
  results = []

  def create(number: int) -> None:
    results.append(objects.create("x", str(number).encode()))

  threads = [threading.Thread(target=create, args=(i,)) for i in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert sorted(results) == [False] * 7 + [True]


def test_second_holder_is_refused_while_the_first_renews(objects):
  with storage.Lease(objects, "lease", 4) as lease:
    with pytest.raises(errors.InputError, match="another process works on"):
      with storage.Lease(objects, "lease", 4):
        pass
    lease.check()


def test_a_free_lease_is_taken_at_once(objects):
  objects.create("lease/clock-of-a-process-that-was-killed", b"")
  for _ in range(2):
    with storage.Lease(objects, "lease", 3600):
      pass
  assert len(objects.list("lease")) == 1  # Old numbers are deleted.


def test_a_stale_lease_is_taken_over_and_its_holder_notices(objects):
  lost = storage.Lease(objects, "lease", 0.4)
  lost._take()  # As a process that is suspended at once: no renewals.
  with storage.Lease(objects, "lease", 0.4):
    with pytest.raises(errors.InputError, match="lost its lease"):
      lost.check()
    assert not lost._claim(lost._number + 1)


def test_nobody_waits_for_a_holder_unless_asked_to(objects):
  assert not storage.find_holder(objects, "lease")
  with storage.Lease(objects, "lease", 3600):
    with pytest.raises(storage.Held, match="its lease ends after 3600 s"):
      with storage.Lease(objects, "lease", 1, waits=False):
        pass
    assert storage.find_holder(objects, "lease").startswith("process ")
  assert not storage.find_holder(objects, "lease")


def test_a_stale_lease_has_no_holder(objects):
  lost = storage.Lease(objects, "lease", 0.2)
  lost._take()  # As a process that is suspended at once: no renewals.
  time.sleep(0.3)
  assert not storage.find_holder(objects, "lease")
  # Its own time counts, not that of the process that takes it over.
  with storage.Lease(objects, "lease", 3600, waits=False):
    pass


def test_an_old_number_is_not_claimed_again(objects):
  old = storage.Lease(objects, "lease", 3600)
  old._take()
  # Others have had the lease since, and gave it back.
  for number in (1, 2, 3):
    assert objects.create(f"lease/{number:010d}", b'{"is_free": true}')
    objects.delete([f"lease/{number - 1:010d}"])
  assert not old._claim(old._number + 1)


def test_a_holder_that_cannot_renew_stops(objects, monkeypatch):
  with storage.Lease(objects, "lease", 0.4) as lease:
    monkeypatch.setattr(lease, "_claim", _fail)
    time.sleep(0.4)
    with pytest.raises(errors.InputError, match="lost its lease"):
      lease.check()


def _fail(*_, **__):
  raise errors.InputError("no network")
