"""Describes what a source left out or ignored."""

from collections.abc import Iterator, Mapping
from typing import Any

# Largest number of names in a line.
_LONGEST_LIST = 10


def describe(manifest: Mapping[str, Any]) -> list[str]:
  """Describes notable facts about a store's source, one per line.

  Names of tasks, fields and files are as in the data.

  Args:
    manifest: the store's manifest.

  Returns:
    Lines; none if the source is read in full and nothing is notable.
  """
  source, suite = dict(manifest["source"]), manifest["suite"]
  read = source.pop("read", {})
  lines = [
      *_bad_rows(source.pop("bad_rows", {}), read.get("bad_rows", {})),
      *_unread_files(source.pop("unread_files", {})),
      *_unread_fields(source.pop("unread_fields", {}), suite),
      *_rates(read.get("rates_ignored", {}), suite),
      *_absent(source.pop("absent_tasks", {})),
      *_unassigned(
          source.pop("unassigned_tasks", 0), source.pop("unassigned_splits", {})
      ),
      *_verbatim(source.pop("verbatim", {})),
  ]
  counts = {**source, **manifest["prompts"]}
  return lines + [
      # The names are those of zsgen, not of the data.
      f"{name.replace('_', ' ')}: {value}"
      for name, value in counts.items()
      if value and not isinstance(value, Mapping)
  ]


def _bad_rows(*kinds: Mapping[str, Any]) -> Iterator[str]:
  """Yields how many rows were left out, and the first of them."""
  for bad in filter(lambda kind: kind.get("count"), kinds):
    first = bad["first"]
    suffix = f"; the first {len(first)}" if bad["count"] > len(first) else ""
    yield f"bad rows that were left out: {bad['count']:,}{suffix}"
    yield from (f"  {message}" for message in first)


def _unread_files(kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
  """Yields which files were not read, by suffix."""
  if kinds:
    entries = [
        f"{kind['count']:,} {suffix or 'without suffix'} ({kind['first']}"
        f"{', …' * (kind['count'] > 1)})"
        for suffix, kind in kinds.items()
    ]
    yield f"files that are not read: {_list(entries)}"


def _unread_fields(fields: Mapping[str, int], suite: str) -> Iterator[str]:
  """Yields which fields of rows were not read, most frequent first."""
  if fields:
    by_count = sorted(fields.items(), key=lambda field: (-field[1], field[0]))
    entries = [f"{name} ({count:,})" for name, count in by_count]
    are = "field of rows is" if len(fields) == 1 else "fields of rows are"
    yield f"{suite}: {len(fields):,} {are} not read: {_list(entries)}"


def _rates(rates: Mapping[str, Any], suite: str) -> Iterator[str]:
  """Yields the rates of tasks in a Mixture, which are ignored."""
  if rates:
    entries = [f"{task} {rate}" for task, rate in rates.items()]
    yield (
        f"{suite}: the Mixture's rates are ignored, and each task is read"
        " completely:"
        f" {_list(entries)}"
    )


def _absent(splits: Mapping[str, int]) -> Iterator[str]:
  """Yields how many tasks have no row."""
  entries = [
      f"{count:,} of {split}" for split, count in splits.items() if count
  ]
  if entries:
    yield f"tasks without a row: {', '.join(entries)}"


def _unassigned(count: int, splits: Mapping[str, int]) -> Iterator[str]:
  """Yields how many tasks are of no split."""
  if count:
    entries = [f"{tasks:,} of {s or 'no split'}" for s, tasks in splits.items()]
    suffix = f"; in the source: {_list(entries)}" if entries else ""
    yield f"unassigned tasks, neither trained on nor held out: {count:,}{suffix}"


def _verbatim(verbatim: Mapping[str, Any]) -> Iterator[str]:
  """Yields how many held-out examples the training data repeats."""
  if verbatim.get("inputs") or verbatim.get("prompts"):
    entries = [
        f"{task} ({count:,})" for task, count in verbatim["tasks"].items()
    ]
    yield (
        "held-out examples that also occur in the training data:"
        f" {verbatim['inputs']:,} with the same input, {verbatim['prompts']:,}"
        f" with the same definition and input{'; for example in ' * bool(entries)}"
        f"{', '.join(entries)}"
    )


def _list(names: list[str]) -> str:
  return ", ".join(names[:_LONGEST_LIST]) + ", …" * (len(names) > _LONGEST_LIST)
