"""The table that a child process left is used again only if it is whole."""

import pytest

from zsgen.core import artifacts
from zsgen.data.sources import child

REQUEST = {"kind": "tfds", "dataset": "here", "splits": ["train"]}


@pytest.fixture
def rows(tmp_path, monkeypatch):
  """Asks for the table; returns it and how often a child was started."""
  started = []

  def run(request, out):
    started.append(request)
    (out / child.ROWS).write_bytes(b"rows of " + request["dataset"].encode())
    return {"files": [], "bad_rows": {"count": 0, "first": []}}

  monkeypatch.setattr(child, "_run", run)
  monkeypatch.setattr(child, "_versions", lambda kind: {})

  def read_rows(**changes):
    path = child.rows({**REQUEST, **changes}, "error", tmp_path / "scratch")
    return path, len(started)

  return read_rows


@pytest.mark.parametrize("name", [child.ROWS, artifacts.MANIFEST])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[:4] + b"?" + content[5:],
        lambda content: content[:-3],
        lambda content: b"",
        lambda content: bytes(len(content)),
        None,
    ],
)
def test_a_damaged_table_is_read_again(rows, name, change):
  path, count = rows()
  assert rows() == (path, count) == (path, 1)
  file = path.parent / name
  content = file.read_bytes()
  if change is None:
    file.unlink()
  else:
    file.write_bytes(change(content))
  assert rows() == (path, 2)
  assert file.read_bytes() == content


def test_tables_that_changed_places_are_read_again(rows):
  path, _ = rows()
  other_path, _ = rows(dataset="there")
  path.parent.rename(path.parent.with_name("kept"))
  other_path.parent.rename(path.parent)
  assert rows() == (path, 3)
  assert path.read_bytes() == b"rows of here"
