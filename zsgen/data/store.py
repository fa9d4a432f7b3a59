"""The store: token ids on disk, one row an example.

A directory of
  tokens.bin        uint32, all rows one after another
  mask.bin          uint8, 1 where the token takes part in the loss
  offsets.npy       int64 [N+1], where rows begin
  tasks.parquet     task, category, split, first, count: rows stand task by task
  examples.parquet  id, task, split, lengths, text; for people and embedders
  heldout.parquet   id, input, references, first solved example's answer
  choices.npy       int64 [C, 3]: example, place and right of the last C rows,
                    which are choices; absent where there are none
  tokenizer/        what turns its ids into text
  manifest.json     what made it, what it counts, hashes
Training reads it by memory map; nothing here needs TensorFlow.
"""

from collections.abc import Mapping, Sequence
import functools
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen import artifacts, errors
from zsgen.data import judged, suite

FILES = (
    "tokens.bin",
    "mask.bin",
    "offsets.npy",
    "tasks.parquet",
    "examples.parquet",
    "heldout.parquet",
)
# Of these files; a store of another format has another name, and is made
# again.
FORMAT = 2
# Where examples have answers to choose from.
CHOICES = "choices.npy"
# The directory of the tokenizer that it was made with.
TOKENIZER = "tokenizer"


class Row(NamedTuple):
  """One example as tokens."""

  tokens: np.ndarray  # uint32 [length]
  mask: np.ndarray  # uint8 [length], 1 = loss


class Choices(NamedTuple):
  """The rows of the choices of some examples, ascending; together by example.

  Attributes:
    rows: row of each choice, int64 [C].
    examples: id of the example that it is of, int64 [C], ascending.
    right: whether it is a right one, bool [C].
  """

  rows: np.ndarray
  examples: np.ndarray
  right: np.ndarray


class Store:
  """A store that was opened; rows are read when asked for.

  Attributes:
    path: its directory.
    manifest: what made it, counts and hashes.
    fingerprint: SHA-256 of its content.
  """

  def __init__(self, path: pathlib.Path, manifest: Mapping[str, Any]):
    self.path = path
    self.manifest = manifest
    self.fingerprint: str = manifest["fingerprint"]
    self._offsets = np.load(path / "offsets.npy")
    # Plain views of the maps: slices of a memmap cost ten times as much.
    self._tokens = np.asarray(np.memmap(path / "tokens.bin", np.uint32, "r"))
    self._mask = np.asarray(np.memmap(path / "mask.bin", np.uint8, "r"))

  def __len__(self) -> int:
    return len(self._offsets) - 1

  def row(self, example: int) -> Row:
    """Tokens and loss mask of one example id."""
    begin, end = self._offsets[example], self._offsets[example + 1]
    return Row(self._tokens[begin:end], self._mask[begin:end])

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
    """The publisher's id of each example id; unique within its task."""
    return self._column("key")[ids].tolist()

  def split_tasks(self, split: str) -> list[int]:
    """Positions in `tasks` of the tasks of a split, ascending.

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
    """Ids of a split, ascending, int64; InputError for an unknown one."""
    return np.flatnonzero(np.isin(self.task_index, self.split_tasks(split)))

  @functools.cached_property
  def examples(self) -> int:
    """Rows that are examples; those of choices stand after them."""
    return len(self) - len(self._choices)

  def choices(self, split: str) -> Choices:
    """The choices of a held-out set's examples.

    Examples that lost one, or a part of one, to `config.data.max_length` are
    not among them.

    Raises:
      InputError: there is no such set, or none of its examples has any.
    """
    rows = np.arange(self.examples, len(self))
    wanted = np.isin(self._choices[:, 0], self.split_ids(split))
    if not wanted.any():
      raise errors.InputError(
          f"the held-out set {split!r} of the suite {self.suite} has no answers"
          " to choose from: name their column, config.data.fields.choices"
          " (table, tfds, seqio); rows of P3 have them in answer_choices."
      )
    examples, _, right = self._choices[wanted].T
    return Choices(rows[wanted], examples, right.astype(bool))

  def answered(self, ids: np.ndarray) -> list[judged.Answered]:
    """What answers to held-out examples are judged by.

    Args:
      ids: of held-out examples, int64 [n].
    """
    table = _read(self.path / "heldout.parquet")
    places = np.searchsorted(table["id"].to_numpy(), ids)
    return judged.answered(table.take(places))

  def cut(self, ids: np.ndarray, what: str) -> np.ndarray:
    """Which examples lost a part of their answers to config.data.max_length.

    Args:
      ids: of examples, int64 [n].
      what: "answer_cut": any loss token; "last_lost": all of the last answer.

    Returns:
      bool [n].

    Raises:
      InputError: the store was made by a version that did not note it, and
        something was cut.
    """
    if what in self._columns:
      return self._column(what)[ids].astype(bool)
    names = self._tasks["split"].to_pylist()
    splits = {names[task] for task in np.unique(self.task_index[ids])}
    counts = self.manifest["counts"]
    if any(counts[split].get("answer_cut", 0) for split in splits):
      raise errors.InputError(
          f"{self.path}: was made by an older version, which did not note whose"
          " answers config.data.max_length cut; an evaluation must know. Delete"
          " the directory to have the store made again."
      )
    return np.zeros(len(ids), bool)

  def texts(self, ids: Sequence[int]) -> list[tuple[str, str]]:
    """Prompt and answer of each id, as text."""
    prompts, answers = self._column("prompt"), self._column("answer")
    return [(prompts[i], answers[i]) for i in ids]

  def verify(self) -> None:
    """Recomputes every hash of content and sources.

    Raises:
      InputError: names the file that is not what it was.
    """
    for name, expected in self.manifest["files"].items():
      if artifacts.file_digest(self.path / name) != expected["sha256"]:
        raise errors.InputError(
            f"{self.path / name}: the content is not what was written. Delete"
            f" {self.path} to have the store made again."
        )
    if self.fingerprint != fingerprint(self.path, self.manifest["files"]):
      raise errors.InputError(
          f"{self.path / artifacts.MANIFEST}: the fingerprint does not follow"
          " from the files. Delete the directory to have it made again."
      )
    check_sources(self.manifest["sources"], self.path, thorough=True)

  @functools.cache  # noqa: B019 - stores live as long as the process.
  def _column(self, name: str) -> np.ndarray:
    return _read(self.path / "examples.parquet", [name])[name].to_numpy()

  @functools.cached_property
  def _columns(self) -> list[str]:
    path = self.path / "examples.parquet"
    try:
      return pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
      raise _damaged(path) from error

  @functools.cached_property
  def _choices(self) -> np.ndarray:
    """The table of choices; empty where there are none."""
    path = self.path / CHOICES
    if CHOICES not in self.manifest["files"]:
      return np.zeros((0, 3), np.int64)
    try:
      return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
      raise _damaged(path) from error

  @functools.cached_property
  def _tasks(self) -> pa.Table:
    return _read(self.path / "tasks.parquet")


def open_store(path: pathlib.Path) -> Store:
  """Opens a store; sizes are checked here, hashes by `Store.verify`.

  Raises:
    InputError: it is not there, or a file is missing or of another size.
  """
  manifest = artifacts.read_manifest(path, "store")
  files = {*manifest["files"]} - {CHOICES}
  if set(FILES) != files or "fingerprint" not in manifest:
    raise _damaged(path / artifacts.MANIFEST)
  for name in manifest["files"]:
    file = path / name
    size = file.stat().st_size if file.is_file() else None
    if size != manifest["files"][name]["bytes"]:
      raise errors.InputError(
          f"{file}: {'is missing' if size is None else f'has {size} bytes'},"
          f" but {manifest['files'][name]['bytes']} were written. Delete"
          f" {path} to have the store made again."
      )
  return Store(path, manifest)


def _read(path: pathlib.Path, columns: list[str] | None = None) -> pa.Table:
  try:
    return pq.read_table(path, columns=columns)
  except (OSError, pa.ArrowException) as error:
    raise _damaged(path) from error


def _damaged(path: pathlib.Path) -> errors.InputError:
  return errors.InputError(
      f"{path}: is damaged. Delete {path.parent} to have the store made again."
  )


def describe_files(path: pathlib.Path) -> dict[str, Any]:
  """Size and SHA-256 of each file of a store that is being written."""
  return {
      name: {
          "bytes": (path / name).stat().st_size,
          "sha256": artifacts.file_digest(path / name),
      }
      for name in (*FILES, CHOICES)
      if name != CHOICES or (path / CHOICES).exists()
  }


def fingerprint(path: pathlib.Path, files: Mapping[str, Any]) -> str:
  """Hash of tokens, mask, borders, choices and tasks: all a run depends on.

  Parquet files are not hashed by their bytes, which change with its writer.
  """
  tasks = pq.read_table(path / "tasks.parquet").to_pylist()
  named = [name for name in (*FILES[:3], CHOICES) if name in files]
  hashes = [files[name]["sha256"] for name in named]
  return artifacts.digest([*hashes, tasks])


def describe_sources(files: Sequence[pathlib.Path]) -> list[dict[str, Any]]:
  """Path, size, modification time and SHA-256 of each source file."""
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
  every file if `thorough`, is hashed. Sources that are gone are fine: the
  store holds all that training needs.

  Raises:
    InputError: names the file that changed.
  """
  for source in sources:
    path = pathlib.Path(source["path"])
    if not path.exists():
      continue
    stat = path.stat()
    same = stat.st_size == source["bytes"]
    if same and (thorough or stat.st_mtime_ns != source["mtime_ns"]):
      same = artifacts.file_digest(path) == source["sha256"]
    if not same:
      raise errors.InputError(
          f"{path}: changed since the store {store} was made of it. Delete"
          " the store, or use another workdir."
      )
