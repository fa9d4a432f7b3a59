"""Reads the rows of a seqio Task or Mixture. Imports TensorFlow."""

from collections.abc import Callable, Iterator, Mapping
import functools
import itertools
import os
import random
from typing import Any, NamedTuple

import numpy as np
import seqio
import tensorflow as tf

from zsgen.core import config, errors
from zsgen.data import suite
from zsgen.data.sources.child import modules, writer

# Seeds the user's preprocessors: the table is the same for all seeds.
_SEED = 0
# Fields left at their defaults mean seqio's own names.
_NAMES = {"input": "inputs", "target": "targets", "task": ""}
# Parts that may be a list.
_LISTS = ("target", "choices")


class _Column(NamedTuple):
  """Where a part of an example comes from, and how it becomes text."""

  feature: str
  method: str  # "pretokenized", "text" or "decoded"
  texts: Callable[[Any], list[str]]


class Reader:
  """Reads a Task, or the tasks of a Mixture one by one in sorted order.

  A task is whole and in its source's own sequence; a Mixture's rates are
  ignored, and noted.

  Attributes:
    name: of the Task or Mixture.
    notes: `text`, where each task's text comes from; `unlabelled`, the one task
      where rows name none; `rates_ignored`, those of a Mixture.
  """

  def __init__(self, request: Mapping[str, Any], loaded: modules.Loaded):
    """Finds the Task or Mixture.

    Args:
      request: as `child.rows` has it.
      loaded: the module that registered it.

    Raises:
      InputError: an unknown name, or no task with a split that is asked for.
    """
    self.name = request["dataset"]
    provider = _provider(self.name, loaded.name)
    mixture = isinstance(provider, seqio.Mixture)
    self._tasks = provider.tasks if mixture else [provider]
    self._splits = request["splits"]
    self._fields = _fields(request["fields"])
    self._loaded = loaded
    has_task = mixture or self._fields.get("task")
    self.notes = {"text": {}, "unlabelled": "" if has_task else self.name}
    if mixture:
      self.notes["rates_ignored"] = {
          name: "a function" if callable(rate) else float(rate)
          for name, rate in provider.rate_per_task_name.items()
      }
    known = sorted({split for task in self._tasks for split in task.splits})
    for split in self._splits:
      writer.check_split(f"seqio Task or Mixture {self.name}", split, known)

  def rows(self) -> Iterator[suite.Example | errors.InputError]:
    """Yields training rows of all tasks, then those of each further split.

    Raises:
      InputError: a feature that is missing or no text, or a preprocessor that
        failed.
    """
    for split in self._splits:
      for task in self._tasks:
        if split in task.splits:
          yield from self._rows(task, split)

  def files(self) -> list[str]:
    """Returns the user's modules, and the files of sources that have any."""
    files = set(self._loaded.files())
    for split in self._splits:
      for task in self._tasks:
        if split in task.splits:
          files |= _files(task.source, split)
    return sorted(files)

  def _rows(
      self, task: seqio.Task, split: str
  ) -> Iterator[suite.Example | errors.InputError]:
    """Yields the rows of one split of one task."""
    location = f"seqio Task {task.name}, split {split}"
    # Seeded for each task: draws do not depend on previous tasks.
    _seed()
    dataset = modules.guarded(
        lambda: _dataset(task, split), f"{location}: cannot be made"
    )
    columns = self._columns(task, dataset.element_spec, location)
    self.notes["text"][task.name] = {
        part: f"{column.feature} ({column.method})"
        for part, column in columns.items()
    }
    for index, element in enumerate(_elements(dataset, columns, location)):
      try:
        parts = {
            part: column.texts(element[column.feature])
            for part, column in columns.items()
        }
      except UnicodeDecodeError as error:
        yield errors.InputError(
            f"{location}, row {index}: is not UTF-8 ({error})"
        )
      else:
        yield writer.example(parts, task.name, split, index)

  def _columns(
      self, task: seqio.Task, spec: Any, location: str
  ) -> dict[str, _Column]:
    """Returns where each part of an example is."""
    if not isinstance(spec, Mapping):
      raise errors.InputError(f"{location}: its elements have no features.")
    return {
        part: _column(task, spec, part, feature, location)
        for part, feature in self._fields.items()
        if feature
    }


def _fields(fields: Mapping[str, str]) -> dict[str, str]:
  """Returns the feature of each part, "" for none."""
  default = config.Fields()
  return {
      part: _NAMES.get(part, "") if name == getattr(default, part) else name
      for part, name in fields.items()
      if part != "split"
  }


def _provider(name: str, module: str) -> seqio.Task | seqio.Mixture:
  """Returns the Mixture or Task of a name, as seqio looks it up."""
  for registry in (seqio.MixtureRegistry, seqio.TaskRegistry):
    if name in registry.names():
      return registry.get(name)
  known = sorted({*seqio.MixtureRegistry.names(), *seqio.TaskRegistry.names()})
  raise errors.InputError(
      f"config.data.dataset: the module {module} registers no Task or Mixture"
      f" {name!r}.{errors.did_you_mean(name, known)} There are"
      f" {len(known)}: {', '.join(known[:10])}{', …' * (len(known) > 10)}."
  )


def _dataset(task: seqio.Task, split: str) -> tf.data.Dataset:
  """Returns the task's data set, preprocessed, in its own sequence."""
  return task.get_dataset(
      sequence_length=None,
      split=split,
      shuffle=False,
      num_epochs=1,
      use_cached=task.requires_caching,
      try_in_mem_cache=False,
  )


def _seed() -> None:
  """Seeds every generator that preprocessors may use."""
  tf.random.set_seed(_SEED)
  np.random.seed(_SEED)
  random.seed(_SEED)


def _elements(
    dataset: tf.data.Dataset, columns: Mapping[str, _Column], location: str
) -> Iterator[Mapping[str, Any]]:
  """Yields the required features of each element."""
  features = {column.feature for column in columns.values()}
  selected = dataset.map(
      lambda element: {name: element[name] for name in features}
  )
  iterator = selected.as_numpy_iterator()
  for index in itertools.count():
    element = modules.guarded(
        functools.partial(next, iterator, None),
        f"{location}, row {index}: the source or a preprocessor fails",
    )
    if element is None:
      return
    yield element


def _column(
    task: seqio.Task,
    spec: Mapping[str, tf.TensorSpec],
    part: str,
    feature: str,
    location: str,
) -> _Column:
  """Finds the text before tokenization, other text, or token ids."""
  max_rank = 1 if part in _LISTS else 0
  for name, method in (
      (f"{feature}_pretokenized", "pretokenized"),
      (feature, "text"),
  ):
    if name in spec and _is_text(spec[name], max_rank):
      return _Column(name, method, writer.texts)
  output = task.output_features.get(feature)
  if feature in spec and output is not None and _is_ids(spec[feature]):
    decode = functools.partial(_decode, output.vocabulary, location)
    return _Column(feature, "decoded", decode)
  known = ", ".join(sorted(spec))
  problem = "is no text" if feature in spec else "is missing"
  raise errors.InputError(
      f"{location}: the feature {feature!r} {problem} after preprocessing"
      f" (there are: {known}). Set config.data.fields.{part} to another."
      f"{errors.did_you_mean(feature, spec)}"
  )


def _is_text(spec: Any, max_rank: int) -> bool:
  """Returns whether a feature is text, or a list of texts if allowed."""
  if not isinstance(spec, tf.TensorSpec) or spec.dtype != tf.string:
    return False
  return spec.shape.rank is not None and spec.shape.rank <= max_rank


def _is_ids(spec: Any) -> bool:
  """Returns whether a feature is a sequence of token ids."""
  return (
      isinstance(spec, tf.TensorSpec)
      and spec.dtype.is_integer
      and spec.shape.rank == 1
  )


def _decode(
    vocabulary: seqio.Vocabulary, location: str, ids: np.ndarray
) -> list[str]:
  """Returns the text of token ids up to the end token, without padding."""
  tokens = ids.tolist()
  if vocabulary.eos_id in tokens:
    tokens = tokens[: tokens.index(vocabulary.eos_id)]
  while tokens and tokens[-1] == vocabulary.pad_id:
    tokens.pop()
  text = vocabulary.decode(tokens)
  if not isinstance(text, str):
    raise errors.InputError(
        f"{location}: its vocabulary ({type(vocabulary).__name__}) decodes to"
        " no text. Keep the text: seqio.preprocessors.tokenize has"
        " copy_pretokenized=True."
    )
  return [text]


def _files(source: seqio.DataSource, split: str) -> set[str]:
  """Returns the files of a split that are on this machine."""
  if not isinstance(source, seqio.FileDataSource | seqio.TfdsDataSource):
    return set()
  return {
      str(shard) for shard in source.list_shards(split) if os.path.isfile(shard)
  }
