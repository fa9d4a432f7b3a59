"""Work items cover every row of a file once, with its number and line."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsgen.data.sources import file_reader, files, items, records


def _file(path: pathlib.Path) -> files.File:
  return files.find(str(path), path.parent / "scratch").files[0]


def _rows(path: pathlib.Path, work) -> list:
  """Returns number, location and value of each row of work items."""
  file, rows = _file(path), []
  for item in work:
    scan = file_reader._scan(file, ("x",), item)
    part = [
        (number, record.location, _value(record))
        for number, record in enumerate(scan, item.row)
    ]
    assert item.rows in (items.WHOLE, len(part))
    rows += part
  return rows


def _value(record: records.Record):
  return record.value if isinstance(record.value, dict) else str(record.value)


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
@pytest.mark.parametrize(
    "text",
    [
        '{"x": 1}\n{"x": 2}\n',
        '{"x": 1}\r\n\r\n{"x": 2}',
        '\ufeff\n \t\n{"x": 1}\n\n\n{broken\n{"x": 2}\n\n',
        '\ufeff{"x": "' + "é" * 40 + '"}\n\x0b\n{"x": 3}\n ',
        '\n\n{"x": 3}',
    ],
)
def test_lines(tmp_path, monkeypatch, size, text):
  monkeypatch.setattr(items, "SIZE", size)
  path = tmp_path / "rows.jsonl"
  path.write_bytes(text.encode())
  work = items.split(_file(path), 0)
  assert _rows(path, work) == _rows(path, [items.Item(0)])
  assert size > 1 or len(work) > 1


def test_long_lines(tmp_path, monkeypatch):
  monkeypatch.setattr(items, "SIZE", 50)
  monkeypatch.setattr(records, "LONGEST", 100)
  path = tmp_path / "rows.jsonl"
  path.write_text('{"x": 1}\n' + "y" * 200 + '\n{"x": 2}\n')
  work = items.split(_file(path), 0)
  assert len(work) == 2
  assert _rows(path, work) == _rows(path, [items.Item(0)])


@pytest.mark.parametrize("size", [1, 300, 10**6])
def test_row_groups(tmp_path, monkeypatch, size):
  monkeypatch.setattr(items, "SIZE", size)
  path = tmp_path / "rows.parquet"
  table = pa.table({"x": list(range(50)), "unread": [0] * 50})
  pq.write_table(table, path, row_group_size=7)
  work = items.split(_file(path), 0)
  assert len(work) == {1: 8, 300: 4, 10**6: 1}[size]
  assert _rows(path, work) == _rows(path, [items.Item(0)])


@pytest.mark.parametrize("name", ["rows.csv", "rows.json", "rows.parquet"])
def test_other_files_are_whole(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(b"[]\n")  # The Parquet file is damaged.
  assert items.split(_file(path), 4) == [items.Item(4)]
