"""The store: token ids on disk, one row an example.

A directory of
  tokens.bin        uint32, all rows one after another
  mask.bin          uint8, 1 where the token takes part in the loss
  offsets.npy       int64 [N+1], where rows begin
  tasks.parquet     task, category, split, first, count: rows are task by task
  examples.parquet  id, task, split, lengths, text; for people and embedders
  heldout.parquet   id, input, references, first solved example's answer
  choices.npy       int64 [C, 3]: example, index and right of the last C rows,
                    which are choices; absent where there are none
  tokenizer/        turns its ids into text
  blocks.npy        uint32 [blocks], CRC-32 of each 64 KiB of these files
  manifest.json     what made it, counts, hashes
Training reads it by memory map; nothing here needs TensorFlow. What is read is
compared with blocks.npy first (`zsgen.data.blocks`).
"""

from collections.abc import Mapping, Sequence
import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, errors
from zsgen.data import blocks, judged, raw_texts, suite, text_rows

FILES = (
    "tokens.bin",
    "mask.bin",
    "offsets.npy",
    "tasks.parquet",
    "examples.parquet",
    "heldout.parquet",
)
# Version of these files; a store of another format has another name, and is
# made again.
FORMAT = 4
# The checksums of their blocks.
BLOCKS = "blocks.npy"
# Exists if examples have answers to choose from.
CHOICES = "choices.npy"
# The directory of the tokenizer that it was made with.
TOKENIZER = "tokenizer"


class TokenRow(NamedTuple):
  """One example as tokens."""

  tokens: np.ndarray  # uint32 [length]
  mask: np.ndarray  # uint8 [length], 1 = loss


class Choices(NamedTuple):
  """The rows of the choices of some examples, ascending; together by example.

  Attributes:
    rows: row of each choice, int64 [C].
    examples: id of the example of each choice, int64 [C], ascending.
    right: whether each choice is right, bool [C].
  """

  rows: np.ndarray
  examples: np.ndarray
  right: np.ndarray


class Store:
  """An open store; rows are read on demand.

  Attributes:
    path: its directory.
    manifest: what made it, counts and hashes.
    fingerprint: SHA-256 of its content.
  """

  def __init__(self, path: pathlib.Path, manifest: Mapping[str, Any]):
    self.path = path
    self.manifest = manifest
    self.fingerprint: str = manifest["fingerprint"]
    self._sums = _sums(path, manifest["files"])
    self._tokens = self._open("tokens.bin", np.uint32)
    self._mask = self._open("mask.bin", np.uint8)
    self._offsets = self._array("offsets.npy")
    self._check_offsets()
    for name in self._sums:
      if name.startswith(f"{TOKENIZER}/"):
        self._open(name, np.uint8).read_all()

  def __len__(self) -> int:
    return len(self._offsets) - 1

  def row(self, example: int) -> TokenRow:
    """Returns tokens and loss mask of one example id.

    Raises:
      InputError: a block of them is damaged.
    """
    begin, end = self._offsets[example : example + 2].tolist()
    return TokenRow(self._tokens.read(begin, end), self._mask.read(begin, end))

  @functools.cached_property
  def lengths(self) -> np.ndarray:
    """Tokens of each example, int32 [N]."""
    return np.diff(self._offsets).astype(np.int32)

  @functools.cached_property
  def loss_lengths(self) -> np.ndarray:
    """Loss tokens of each example, int32 [N]."""
    return self._column("loss_tokens").astype(np.int32)

  @functools.cached_property
  def prompt_lengths(self) -> np.ndarray:
    """Tokens without loss of each example, int32 [N]."""
    return self.lengths - self.loss_lengths

  @property
  def suite(self) -> str:
    """Name of the suite."""
    return self.manifest["suite"]

  @property
  def template(self) -> str:
    """`config.data.template` that its conversations are shown by."""
    return self.manifest["made_by"].get("template", "plain")

  @functools.cached_property
  def tasks(self) -> list[str]:
    """Task names, training tasks first, in the suite's order."""
    return self._tasks["task"].to_pylist()

  @functools.cached_property
  def task_index(self) -> np.ndarray:
    """Position in `tasks` of each example's task, int32 [N]."""
    counts = self._tasks["count"].to_numpy()
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)

  @functools.cached_property
  def categories(self) -> list[str]:
    """Category of each of `tasks`; "" where the source knows none."""
    return self._tasks["category"].to_pylist()

  def keys(self, ids: np.ndarray) -> list[str]:
    """Returns the publisher's id of each example id; unique within its task."""
    return self._column("key")[ids].tolist()

  def split_tasks(self, split: str) -> list[int]:
    """Returns positions in `tasks` of the tasks of a split, ascending.

    Raises:
      InputError: the suite has no such split.
    """
    splits = self._tasks["split"].to_pylist()
    if split not in splits:
      heldout = dict.fromkeys(name for name in splits if name != suite.TRAIN)
      raise errors.InputError(
          f"the suite {self.suite} has no held-out set {split!r}."
          f"{errors.did_you_mean(split, heldout)} It has:"
          f" {', '.join(heldout)}."
      )
    return [i for i, name in enumerate(splits) if name == split]

  def split_ids(self, split: str) -> np.ndarray:
    """Returns the ids of a split, ascending, int64.

    Raises:
      InputError: the suite has no such split.
    """
    return np.flatnonzero(np.isin(self.task_index, self.split_tasks(split)))

  @functools.cached_property
  def examples(self) -> int:
    """Rows that are examples; those of choices come after them."""
    return len(self) - len(self._choices)

  def choices(self, split: str) -> Choices:
    """Returns the choices of a held-out set's examples.

    Examples that lost all or part of a choice to `config.data.max_length` are
    left out.

    Raises:
      InputError: there is no such set, or none of its examples has choices.
    """
    rows = np.arange(self.examples, len(self))
    is_selected = np.isin(self._choices[:, 0], self.split_ids(split))
    if not is_selected.any():
      raise errors.InputError(
          f"the held-out set {split!r} of the suite {self.suite} has no answers"
          " to choose from: name their column, config.data.fields.choices"
          " (table, tfds, seqio); rows of P3 have them in answer_choices."
      )
    examples, _, right = self._choices[is_selected].T
    return Choices(rows[is_selected], examples, right.astype(bool))

  def choices_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the examples that choices belong to, and which are right.

    Args:
      rows: choices, rows of the store, int64 [C].

    Returns:
      int64 [C] and bool [C].
    """
    examples, _, right = self._choices[rows - self.examples].T
    return examples, right.astype(bool)

  def answered(self, ids: np.ndarray) -> list[judged.Answered]:
    """Returns the references for answers to held-out examples.

    Args:
      ids: of held-out examples, int64 [n].
    """
    table = self._table("heldout.parquet")
    positions = np.searchsorted(table["id"].to_numpy(), ids)
    return judged.answered(table.take(positions))

  def cut(self, ids: np.ndarray, column: str) -> np.ndarray:
    """Returns which examples lost answer tokens to config.data.max_length.

    Args:
      ids: of examples, int64 [n].
      column: "answer_cut": any loss token; "last_lost": all of the last answer.

    Returns:
      bool [n].

    Raises:
      InputError: the store was made by a version that did not record it, and
        something was cut.
    """
    if column in self._columns:
      return self._column(column)[ids].astype(bool)
    names = self._tasks["split"].to_pylist()
    splits = {names[task] for task in np.unique(self.task_index[ids])}
    counts = self.manifest["counts"]
    if any(counts[split].get("answer_cut", 0) for split in splits):
      raise errors.InputError(
          f"{self.path}: was made by an older version, which did not record"
          " which answers config.data.max_length cut, as evaluations require."
          " Delete the directory to have the store made again."
      )
    return np.zeros(len(ids), bool)

  def texts(self, ids: Sequence[int] | np.ndarray) -> list[tuple[str, str]]:
    """Returns prompt and answer of each id, as text without template."""
    prompts, answers = self._column("prompt"), self._column("answer")
    return [(prompts[i], answers[i]) for i in ids]

  def compared_texts(self, ids: Sequence[int] | np.ndarray) -> list[str]:
    """Returns the text of each id that is compared, see `raw_texts.compared`."""
    turns = self._column("turns")
    return [
        raw_texts.compared(*pair, turns[i])
        for pair, i in zip(self.texts(ids), ids, strict=True)
    ]

  @functools.cached_property
  def text_rows(self) -> text_rows.TextRows:
    """The texts of consecutive ids, without those of all others."""
    name = "examples.parquet"
    stream = blocks.Stream(self._open(name, np.uint8))
    return text_rows.TextRows(self.path / name, stream)

  def verify(self) -> None:
    """Raises InputError with all `problems`, a line each."""
    if wrong := problems(self.path):
      raise errors.InputError("\n".join(wrong))

  @functools.cache  # noqa: B019 - stores live as long as the process.
  def _column(self, name: str) -> np.ndarray:
    return self._table("examples.parquet", [name])[name].to_numpy()

  @functools.cached_property
  def _columns(self) -> list[str]:
    """Returns the columns of the table of examples."""
    path = self.path / "examples.parquet"
    try:
      return pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
      raise _damaged(path) from error

  @functools.cached_property
  def _choices(self) -> np.ndarray:
    """The table of choices; empty where there are none."""
    if CHOICES not in self._sums:
      return np.zeros((0, 3), np.int64)
    return self._array(CHOICES)

  @functools.cached_property
  def _tasks(self) -> pa.Table:
    return self._table("tasks.parquet")

  def _open(self, name: str, dtype: type[np.generic]) -> blocks.BlockFile:
    """Opens a file of the store, whose blocks are checked when read."""
    try:
      return blocks.BlockFile(self.path, name, self._sums[name], dtype)
    except (OSError, ValueError) as error:
      raise _damaged(self.path / name, self.path) from error

  def _array(self, name: str) -> np.ndarray:
    """Returns the array of a NumPy file; all of it is checked."""
    self._open(name, np.uint8).read_all()
    return artifacts.load_array(self.path / name)

  def _table(self, name: str, columns: list[str] | None = None) -> pa.Table:
    """Returns a Parquet file, or columns of it; all that is read is checked."""
    file = self._open(name, np.uint8)
    try:
      # In this thread only: a thread of Arrow that still reads a Python file
      # when the process ends aborts it.
      with pq.ParquetFile(blocks.Stream(file), pre_buffer=False) as table:
        return table.read(columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
      raise _damaged(self.path / name) from error

  def _check_offsets(self) -> None:
    """Raises InputError if rows do not fill tokens and mask."""
    offsets = self._offsets
    fits = (
        offsets.dtype == np.int64
        and offsets.ndim == 1
        and offsets[:1].tolist() == [0]
        and offsets[-1] == len(self._tokens) == len(self._mask)
        and bool((offsets[1:] >= offsets[:-1]).all())
    )
    if not fits:
      raise _damaged(self.path / "offsets.npy")


def open_store(path: pathlib.Path) -> Store:
  """Opens a store.

  Its manifest, the sizes of its files, the table of sums, the borders of rows
  and the tokenizer are checked here; other blocks when they are first read;
  SHA-256 of whole files by `problems`.

  Raises:
    InputError: it does not exist, has an older format, or is damaged.
  """
  manifest = _read_manifest(path)
  for problem in _misfits(path, manifest).values():
    raise errors.InputError(problem)
  return Store(path, manifest)


def problems(path: pathlib.Path) -> list[str]:
  """Recomputes every hash of a store's content and sources.

  Args:
    path: its directory.

  Returns:
    A sentence for each difference from what was written; [] if none.

  Raises:
    InputError: the manifest is damaged: nothing can be compared with it.
  """
  manifest = _read_manifest(path)
  files = manifest["files"]
  misfits = _misfits(path, manifest)
  wrong = [*misfits.values()]
  wrong += [
      f"{path / name}: {_find_damage(path, name, files)}. {_advise(path)}"
      for name in sorted(files.keys() - misfits.keys())
      if artifacts.file_digest(path / name) != files[name]["sha256"]
  ]
  if not wrong and manifest["fingerprint"] != fingerprint(path, files):
    wrong.append(
        f"{path / artifacts.MANIFEST}: the fingerprint does not follow from the"
        f" files. {_advise(path)}"
    )
  try:
    if not wrong:
      Store(path, manifest)  # Compares the borders of rows with the files.
    check_sources(manifest["sources"], path, thorough=True)
  except errors.InputError as error:
    wrong.append(str(error))
  return wrong


def _read_manifest(path: pathlib.Path) -> dict[str, Any]:
  """Returns the manifest of a store of this format; otherwise InputError."""
  manifest = artifacts.read_manifest(path, "store")
  if BLOCKS not in manifest["files"] or not artifacts.has_digest(manifest):
    raise errors.InputError(
        f"{path}: an older zsgen wrote this store, without checksums of its"
        " blocks. The same command makes it again under another name; this"
        " one can be deleted."
    )
  return manifest


def _misfits(path: pathlib.Path, manifest: Mapping[str, Any]) -> dict[str, str]:
  """Returns a sentence for each file that is missing or of another size."""
  wrong = {}
  for name, written in manifest["files"].items():
    file = path / name
    size = file.stat().st_size if file.is_file() else None
    if size != written["bytes"]:
      state = "is missing" if size is None else f"has {size:,} bytes"
      wrong[name] = (
          f"{file}: {state}, but {written['bytes']:,} bytes were written."
          f" {_advise(path)}"
      )
  return wrong


def _sums(
    path: pathlib.Path, files: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  """Returns the CRC-32 of the blocks of each file.

  Raises:
    InputError: the table is damaged.
  """
  if artifacts.file_digest(path / BLOCKS) != files[BLOCKS]["sha256"]:
    raise _damaged(path / BLOCKS)
  sizes = {name: files[name]["bytes"] for name in files if name != BLOCKS}
  try:
    return dict(blocks.split(artifacts.load_array(path / BLOCKS), sizes))
  except ValueError as error:
    raise _damaged(path / BLOCKS) from error


def _find_damage(
    path: pathlib.Path, name: str, files: Mapping[str, Any]
) -> str:
  """Describes where a file is damaged."""
  try:
    sums = _sums(path, files)[name]
  except (KeyError, OSError, errors.InputError):
    return "is damaged"  # It is the table, or the table is damaged too.
  file = blocks.BlockFile(path, name, sums, np.uint8)
  damaged = file.damaged()
  if not damaged:
    return "is damaged: it does not match its SHA-256"
  first = file.describe(damaged[0])
  if len(damaged) == 1:
    return f"is damaged: {first} does not match its checksum"
  return (
      f"is damaged: {len(damaged)} blocks do not match their checksums, the"
      f" first is {first}"
  )


def _damaged(
    path: pathlib.Path, store: pathlib.Path | None = None
) -> errors.InputError:
  """Returns the error for a file that is damaged or missing."""
  return errors.InputError(
      f"{path}: is damaged or missing. {_advise(store or path.parent)}"
  )


def _advise(path: pathlib.Path) -> str:
  return f"Delete {path} to have the store made again."


def fingerprint(path: pathlib.Path, files: Mapping[str, Any]) -> str:
  """Returns the hash of tokens, mask, borders, choices and tasks.

  These are all that a run depends on. Parquet files are not hashed by their
  bytes, which depend on the writer's version.
  """
  tasks = pq.read_table(path / "tasks.parquet").to_pylist()
  names = [name for name in (*FILES[:3], CHOICES) if name in files]
  hashes = [files[name]["sha256"] for name in names]
  return artifacts.digest([*hashes, tasks])


def describe_sources(files: Sequence[pathlib.Path]) -> list[dict[str, Any]]:
  """Returns path, size, modification time and SHA-256 of each file."""
  return [
      {
          "path": str(path.resolve()),
          "bytes": path.stat().st_size,
          "mtime_ns": path.stat().st_mtime_ns,
          "sha256": artifacts.file_digest(path),
      }
      for path in files
  ]


def check_sources(
    sources: Sequence[Mapping[str, Any]],
    store: pathlib.Path,
    thorough: bool = False,
) -> None:
  """Compares source files with what the store was made of.

  By path, size and modification time; a file whose time alone differs, or
  every file if `thorough`, is hashed. Missing sources are ignored: the store
  has all that training needs.

  Raises:
    InputError: names the file that changed.
  """
  for source in sources:
    path = pathlib.Path(source["path"])
    if not path.exists():
      continue
    stat = path.stat()
    is_same = stat.st_size == source["bytes"]
    if is_same and (thorough or stat.st_mtime_ns != source["mtime_ns"]):
      is_same = artifacts.file_digest(path) == source["sha256"]
    if not is_same:
      raise errors.InputError(
          f"{path}: changed since the store {store} was made from it. Delete"
          " the store, or use another workdir."
      )
