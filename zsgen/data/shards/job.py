"""The directory in which several processes prepare a store.

`.STORE.shards` is next to the store STORE and has
  job.json         config, software, source files and work items: all processes
                   must agree on them
  rows-00000/      a scanned work item, see `sources.parts`
  plan/            the rows of the store, see `plan`; exists once all work items
                   are scanned
  chunk-00000.arrow  encoded rows, see `chunks`
Each of these is written under another name first, and renamed when it is whole.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any

from zsgen.core import artifacts, config, errors, shards
from zsgen.data import chunks, plan, prepare, sources, store
from zsgen.data.sources import catalog, example_file, items, parts

# Version of the directory's layout.
_FORMAT = 1
# Libraries that determine what a source's rows become.
_LIBRARIES = (
    "numpy",
    "pyarrow",
    "tokenizers",
    "sentencepiece",
    "jinja2",
)
# The code that does.
_CODE = ("the file zsgen/core/", "the file zsgen/data/")
# What is finished, by the pattern of its names.
_WORK = {"rows-*": "work items scanned", "chunk-*.arrow": "chunks encoded"}


@dataclasses.dataclass(frozen=True)
class Job:
  """The common work of several processes.

  Attributes:
    path: its directory.
    recipe: of the store.
    corpus: the source.
    files: the source's files, as `store.describe_sources` returns them.
    items: the work items, in the order of their rows.
    digest: of config, software, files and work items.
  """

  path: pathlib.Path
  recipe: Mapping[str, Any]
  corpus: catalog.Corpus
  files: Sequence[Mapping[str, Any]]
  items: Sequence[items.Item]
  digest: str

  def part_path(self, number: int) -> pathlib.Path:
    """Returns the directory of a scanned work item."""
    return self.path / f"rows-{number:05d}"

  @property
  def plan_path(self) -> pathlib.Path:
    """The directory of the plan."""
    return self.path / "plan"

  def missing_parts(self) -> list[int]:
    """Returns the numbers of the work items that are not scanned."""
    present = {path.name for path in self.path.glob("rows-*")}
    numbers = range(len(self.items))
    return [n for n in numbers if self.part_path(n).name not in present]

  def missing_chunks(self, count: int) -> list[int]:
    """Returns which of `count` chunks are not encoded."""
    present = {path.name for path in self.path.glob("chunk-*")}
    paths = [chunks.path_of(self.path, number) for number in range(count)]
    return [n for n, path in enumerate(paths) if path.name not in present]

  def scan(self, number: int) -> None:
    """Scans a work item and commits it.

    Raises:
      InputError: its file cannot be read, or has changed.
    """
    path, item = self.part_path(number), self.items[number]
    artifacts.remove_leftovers(path)
    with artifacts.writing(path) as partial:
      file = example_file.ExampleFile(partial, parts.EXAMPLES)
      corpus = self.corpus
      part = parts.scan(corpus.reader, [item], file, corpus.tasks_by_split)
      self.check_file(item.file)
      parts.save(part, partial, self._owner(number))

  def read_parts(self, thorough: bool = False) -> list[parts.Part]:
    """Returns all scanned work items; see `parts.open_part`."""
    return [
        parts.open_part(self.part_path(number), self._owner(number), thorough)
        for number in range(len(self.items))
    ]

  def open_plan(self) -> plan.Plan:
    """Returns the plan; makes and commits it if there is none yet.

    Raises:
      InputError: bad rows, a damaged part, or see `catalog.draw`.
    """
    scanned = self.read_parts(thorough=not self.plan_path.is_dir())
    if not self.plan_path.is_dir():
      artifacts.remove_leftovers(self.plan_path)
      new_plan = plan.build(catalog.draw(self.corpus, scanned))
      with artifacts.writing(self.plan_path) as partial:
        new_plan.save(partial, self.digest)
    examples = example_file.Examples([part.batches for part in scanned])
    return plan.open_plan(
        self.plan_path, self.digest, self.corpus.files, examples
    )

  def read_chunks(self, numbers: Sequence[int]) -> Iterator[chunks.Chunk]:
    """Yields chunks that exist; raises InputError for a damaged one."""
    advice = (
        "It may be of another job. Delete it, and run its shard again:"
        " other chunks remain."
    )
    return chunks.read_some(self.path, numbers, self.digest, advice)

  def check_file(self, number: int) -> None:
    """Raises InputError if a source file is not the one that was listed."""
    description = self.files[number]
    path = pathlib.Path(description["path"])
    stat = path.stat() if path.is_file() else None
    is_same = stat is not None and stat.st_size == description["bytes"]
    if is_same and stat and stat.st_mtime_ns != description["mtime_ns"]:
      is_same = artifacts.file_digest(path) == description["sha256"]
    if not is_same:
      raise errors.InputError(
          f"{path}: changed since the shards of {self.path} were begun."
          f" Restore the file, or delete {self.path} to begin again."
      )

  def describe_others(self, of_same_files: bool = False) -> list[str]:
    """Returns a line on each job that may have what is missing here.

    Args:
      of_same_files: whether to leave out jobs of other source files.
    """
    common = {"files": self.files} if of_same_files else None
    return shards.describe_others(self.path, self.recipe, _WORK, common)

  def _owner(self, number: int) -> str:
    """Returns what a scanned work item belongs to."""
    return f"{self.digest}, work item {number}"


def open_job(
    root: pathlib.Path, data: config.Data, seed: int, create: bool
) -> Job:
  """Opens the job of a config, or begins it.

  Args:
    root: the directory of the stores.
    data: the config's section.
    seed: draws the suite's instances.
    create: whether to begin a job that does not exist.

  Raises:
    InputError: a source that is prepared on one host only; another
      installation, or other files, than those of processes before; or there
      is no job.
  """
  recipe = prepare.recipe_of(data, seed)
  path = shards.path_of(prepare.path_of(root, data, seed))
  corpus = _open_corpus(data, seed, root.parent / "scratch")
  if not path.is_dir():
    if not create:
      hints = shards.describe_others(path, recipe, _WORK)
      message = shards.describe_absence(path, "prepared", hints)
      raise errors.InputError(message)
    shards.begin_job(path, _describe(corpus, recipe))
  fields = shards.read_job(path, _FORMAT, recipe, _software())
  job = Job(
      path,
      recipe,
      corpus,
      fields["files"],
      [items.Item(*item) for item in fields["items"]],
      artifacts.digest(fields),
  )
  _check_files(job)
  return job


def _open_corpus(
    data: config.Data, seed: int, scratch: pathlib.Path
) -> catalog.Corpus:
  """Opens a source whose files can be divided.

  Raises:
    InputError: its rows are not in files.
  """
  source = sources.open_source(data, seed, scratch)
  if not isinstance(source, catalog.Corpus):
    raise errors.InputError(
        f"config.data.source: {data.source} is prepared by one process, because"
        " its rows are not in files that can be divided. Leave --shard and"
        " --merge out."
    )
  return source


def _describe(
    corpus: catalog.Corpus, recipe: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns the fields of a new job.

  Raises:
    InputError: a file of the source is missing.
  """
  for path in corpus.files:
    if not path.is_file():
      raise errors.InputError(
          f"{path}: is not there, but the source {corpus.name} needs it."
      )
  return {
      "format": _FORMAT,
      "made_by": recipe,
      "software": _software(),
      "files": store.describe_sources(corpus.files),
      "items": corpus.reader.work_items(),
  }


@functools.cache
def _software() -> dict[str, str]:
  """Returns what must be the same in all processes, by its name."""
  return shards.describe_software(_LIBRARIES, _CODE)


def _check_files(job: Job) -> None:
  """Raises InputError if the source's files are not those of the job."""
  expected = [file["path"] for file in job.files]
  present = [str(path.resolve()) for path in job.corpus.files]
  if expected != present:
    different = {*expected} ^ {*present} or {"their order"}
    raise errors.InputError(
        f"{job.path}: the source's files are others than when its shards were"
        f" begun ({min(different)}). Restore them, or delete {job.path} to"
        " begin again."
    )
  for number in range(len(expected)):
    job.check_file(number)
