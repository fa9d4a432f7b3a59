"""Describes what a source left out, ignored or found."""

from collections.abc import Iterator, Mapping
from typing import Any

# The most names that a line lists.
_LISTED = 10


def describe(manifest: Mapping[str, Any]) -> list[str]:
  """Describes what is notable about a store's source, a line each.

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
  for bad in filter(lambda kind: kind.get("count"), kinds):
    first = bad["first"]
    shown = f"; the first {len(first)}" if bad["count"] > len(first) else ""
    yield f"bad rows that were left out: {bad['count']:,}{shown}"
    yield from (f"  {message}" for message in first)


def _unread_files(kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
  if kinds:
    named = [
        f"{kind['count']:,} {suffix or 'without suffix'} ({kind['first']}"
        f"{', …' * (kind['count'] > 1)})"
        for suffix, kind in kinds.items()
    ]
    yield f"files that are not read: {_list(named)}"


def _unread_fields(fields: Mapping[str, int], suite: str) -> Iterator[str]:
  if fields:
    most = sorted(fields.items(), key=lambda field: (-field[1], field[0]))
    named = [f"{name} ({count:,})" for name, count in most]
    are = "field of rows is" if len(fields) == 1 else "fields of rows are"
    yield f"{suite}: {len(fields):,} {are} not read: {_list(named)}"


def _rates(rates: Mapping[str, Any], suite: str) -> Iterator[str]:
  if rates:
    named = [f"{task} {rate}" for task, rate in rates.items()]
    yield (
        f"{suite}: the mixture's rates are not used, each task is taken whole:"
        f" {_list(named)}"
    )


def _absent(splits: Mapping[str, int]) -> Iterator[str]:
  named = [f"{count:,} of {split}" for split, count in splits.items() if count]
  if named:
    yield f"tasks without a row: {', '.join(named)}"


def _unassigned(count: int, splits: Mapping[str, int]) -> Iterator[str]:
  if count:
    named = [f"{tasks:,} of {s or 'no split'}" for s, tasks in splits.items()]
    where = f"; in the source: {_list(named)}" if named else ""
    yield f"unassigned tasks, neither trained on nor held out: {count:,}{where}"


def _verbatim(verbatim: Mapping[str, Any]) -> Iterator[str]:
  if verbatim.get("inputs") or verbatim.get("prompts"):
    named = [f"{task} {count:,}" for task, count in verbatim["tasks"].items()]
    yield (
        "held-out examples whose text is in the training data:"
        f" {verbatim['inputs']:,} by input, {verbatim['prompts']:,} by"
        f" definition and input{'; such as in ' * bool(named)}"
        f"{', '.join(named)}"
    )


def _list(names: list[str]) -> str:
  return ", ".join(names[:_LISTED]) + ", …" * (len(names) > _LISTED)
