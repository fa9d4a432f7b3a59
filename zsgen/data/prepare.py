"""The prepare stage: a suite becomes a store."""

import collections
from collections.abc import Iterator, Mapping
import itertools
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen import artifacts, config, errors
from zsgen.data import (
    prompts,
    sources,
    store,
    suite,
    tokenizers,
    truncation,
)

# Examples that are tokenized and written together.
_CHUNK = 4096
_SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "task": pa.string(),
        "split": pa.string(),
        "key": pa.string(),
        "tokens": pa.int32(),
        "loss_tokens": pa.int32(),
        "prompt": pa.string(),
        "answer": pa.string(),
    }
)


class _Encoded(NamedTuple):
  """An example with its tokens."""

  example: suite.Example
  tokens: np.ndarray  # uint32
  mask: np.ndarray  # uint8
  segments: list[prompts.Segment]
  cut: bool


def made_by(data: config.Data, seed: int) -> dict[str, Any]:
  """All that decides what is in a store, but the content of its sources."""
  path = (
      str(pathlib.Path(data.path).expanduser().resolve()) if data.path else ""
  )
  return {
      **config.science(data),
      "path": path,
      "seed": seed,
      "tokenizer": tokenizers.get(data.tokenizer).fingerprint,
  }


def prepare(root: pathlib.Path, data: config.Data, seed: int) -> store.Store:
  """Opens the store of `data` and `seed` under `root`, or makes it.

  Args:
    root: directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.

  Returns:
    The store, whole and with unchanged sources.

  Raises:
    InputError: bad sources, a damaged store, or sources that changed.
  """
  made = made_by(data, seed)
  path = root / artifacts.name(data.source, made)
  if not path.exists():
    source = sources.load(data, seed)
    with artifacts.writing(path) as beside:
      _write(beside, source, data, made)
  opened = store.open_store(path)
  artifacts.check_made_by(path, made)
  store.check_sources(opened.manifest["sources"], path)
  return opened


def _write(
    path: pathlib.Path,
    source: suite.Suite,
    data: config.Data,
    made: Mapping[str, Any],
) -> None:
  """Writes every file of a store to `path`."""
  ledger = _Ledger()
  offsets = [np.zeros(1, np.int64)]
  with (
      open(path / "tokens.bin", "wb") as tokens,
      open(path / "mask.bin", "wb") as mask,
      pq.ParquetWriter(path / "examples.parquet", _SCHEMA) as table,
  ):
    for chunk in _chunks(source, data, made["seed"]):
      kept = [each for each in chunk if ledger.add(each)]
      if not kept:
        continue
      np.concatenate([each.tokens for each in kept]).tofile(tokens)
      np.concatenate([each.mask for each in kept]).tofile(mask)
      lengths = np.array([len(each.tokens) for each in kept], np.int64)
      first = ledger.rows - len(kept)
      offsets.append(offsets[-1][-1] + np.cumsum(lengths))
      table.write_table(_table(kept, first))
  np.save(path / "offsets.npy", np.concatenate(offsets))
  pq.write_table(ledger.tasks(source), path / "tasks.parquet")
  files = store.describe_files(path)
  artifacts.write_json(
      path / artifacts.MANIFEST,
      {
          "kind": "store",
          "made_by": dict(made),
          "suite": source.name,
          "heldout": list(source.heldout),
          "counts": ledger.counts,
          "dropped_by_task": dict(ledger.dropped),
          "sources": store.describe_sources(source.files),
          "files": files,
          "fingerprint": store.fingerprint(path, files),
      },
  )


def _chunks(
    source: suite.Suite, data: config.Data, seed: int
) -> Iterator[list[_Encoded]]:
  """Encodes the suite's examples, a chunk at a time."""
  tokenizer = tokenizers.get(data.tokenizer)
  prompt = prompts.get(data, tokenizer, seed)
  examples = source.examples()
  while batch := list(itertools.islice(examples, _CHUNK)):
    yield _encode(batch, prompt, tokenizer, data)


def _encode(
    examples: list[suite.Example],
    prompt: prompts.Prompts,
    tokenizer: tokenizers.Tokenizer,
    data: config.Data,
) -> list[_Encoded]:
  """Tokenizes all segments of all examples in one call, and cuts them."""
  try:
    for each in examples:
      f"{each.task}{each.category}{each.key}".encode()  # For the tables.
    segments = [prompt(example) for example in examples]
    encoded = prompts.encode(segments, tokenizer)
  except UnicodeEncodeError as error:
    raise errors.InputError(
        f"an example of {examples[0].task} … {examples[-1].task} has text that"
        f" is not Unicode ({error}). Mend it in the source."
    ) from error
  rows = [
      truncation.cut(each.tokens, each.mask, data.max_length, data.truncate)
      for each in encoded
  ]
  return [
      _Encoded(example, row.tokens, row.mask, said, row.cut)
      for example, row, said in zip(examples, rows, segments, strict=True)
  ]


class _Ledger:
  """Counts what goes into a store, and checks the suite's contract."""

  def __init__(self):
    self.rows = 0
    self.counts: dict[str, collections.Counter] = {}
    self.dropped: collections.Counter = collections.Counter()
    self._tasks: dict[str, dict[str, Any]] = {}
    self._current = None

  def add(self, each: _Encoded) -> bool:
    """Counts an example; False if it has no answer token left."""
    example = each.example
    task = self._task(example)
    counts = self.counts.setdefault(example.split, collections.Counter())
    counts["examples"] += 1
    counts["cut"] += each.cut
    if not each.mask.any():
      counts["dropped"] += 1
      self.dropped[example.task] += 1
      return False
    counts["tokens"] += len(each.tokens)
    counts["loss_tokens"] += int(each.mask.sum())
    task["count"] += 1
    self.rows += 1
    return True

  def _task(self, example: suite.Example) -> dict[str, Any]:
    """The task's entry; a new one begins where the last one ended."""
    if example.task == self._current:
      task = self._tasks[example.task]
    elif example.task in self._tasks:
      raise errors.InputError(
          f"the source gives task {example.task} in two places; a task must"
          " stand together, in one split only."
      )
    else:
      self._current = example.task
      task = self._tasks[example.task] = {
          "task": example.task,
          "category": example.category,
          "split": example.split,
          "first": self.rows,
          "count": 0,
      }
    if task["split"] != example.split:
      raise errors.InputError(
          f"task {example.task} is in {task['split']} and in"
          f" {example.split}; a task is in one split only."
      )
    return task

  def tasks(self, source: suite.Suite) -> pa.Table:
    """The table of tasks; every split of the suite must have examples."""
    kept = [task for task in self._tasks.values() if task["count"]]
    found = {task["split"] for task in kept}
    for split in (suite.TRAIN, *source.heldout):
      if split not in found:
        raise errors.InputError(
            f"the suite {source.name} has no example left in {split}:"
            f" {self.counts.get(split, {}).get('dropped', 0)} lost their whole"
            " answer to config.data.max_length."
        )
    for split, counts in self.counts.items():
      counts["tasks"] = sum(task["split"] == split for task in kept)
    for split, names in source.listed.items():
      absent = sum(name not in self._tasks for name in names)
      self.counts[split]["absent_tasks"] = absent
    return pa.Table.from_pylist(kept)


def _table(kept: list[_Encoded], first: int) -> pa.Table:
  """Rows of examples.parquet."""
  rows = [
      {
          "id": first + i,
          "task": each.example.task,
          "split": each.example.split,
          "key": each.example.key,
          "tokens": len(each.tokens),
          "loss_tokens": int(each.mask.sum()),
          "prompt": _said(each.segments, loss=False),
          "answer": _said(each.segments, loss=True),
      }
      for i, each in enumerate(kept)
  ]
  return pa.Table.from_pylist(rows, schema=_SCHEMA)


def _said(segments: list[prompts.Segment], loss: bool) -> str:
  """The text of the segments with, or without, loss."""
  return "\n".join(each.text for each in segments if each.loss == loss)
