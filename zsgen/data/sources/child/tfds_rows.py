"""Reads a TFDS data set that is prepared on disk. Imports TensorFlow."""

from collections.abc import Callable, Iterator, Mapping
import functools
import itertools
import os
import pathlib
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from tensorflow_datasets.core import naming, read_only_builder

from zsgen.core import errors, paths
from zsgen.data import suite
from zsgen.data.sources.child import modules, writer

# Features that become text: with an element, or a list of them.
_TEXTUAL = (
    tfds.features.ClassLabel,
    tfds.features.Scalar,
    tfds.features.Tensor,
    tfds.features.Text,
)
# Parts that may be a list.
_LISTS = ("target", "choices")


class _Column(NamedTuple):
  """A feature by the names on the way to it, and its values as texts."""

  path: list[str]
  texts: Callable[[Any], list[str]]


class Reader:
  """Reads a data set, in the sequence of its files.

  Only files are read: neither is the data set's code imported, nor anything
  downloaded.

  Attributes:
    name: of the data set, with config and version.
    notes: `name`, and `unlabelled`, the one task where rows name none.
  """

  def __init__(self, request: Mapping[str, Any]):
    """Opens the data set.

    Args:
      request: as `child.rows` has it.

    Raises:
      InputError: it is not in its directory, or lacks a split or a field.
    """
    self._builder = _builder(request["dataset"], request["data_dir"])
    self.name = self._builder.info.full_name
    self._splits = request["splits"]
    for split in self._splits:
      known = list(self._builder.info.splits)
      writer.check_split(f"TFDS data set {self.name}", split, known)
      _check_files(self._builder, split)
    features = self._builder.info.features
    self._task = self._builder.name
    assert isinstance(features, tfds.features.FeaturesDict)
    self._columns = {
        part: _column(features, part, name, self.name)
        for part, name in request["fields"].items()
        if name and part != "split"
    }
    self.notes = {
        "name": self.name,
        "unlabelled": "" if "task" in self._columns else self._task,
    }

  def rows(self) -> Iterator[suite.Example | errors.InputError]:
    """Yields training rows, then those of each further split."""
    for split in self._splits:
      dataset = self._builder.as_dataset(
          split=split,  # pyright: ignore[reportCallIssue]: it is decorated.
          shuffle_files=False,
          decoders=tfds.decode.PartialDecoding(self._feature_tree()),
          # One file after another.
          read_config=tfds.ReadConfig(
              interleave_cycle_length=1, try_autocache=False
          ),
      )
      iterator = iter(tfds.as_numpy(dataset))
      for index in itertools.count():
        location = f"tfds {self.name}, split {split}, row {index}"
        element = modules.guarded(
            functools.partial(next, iterator, None),
            f"{location}: cannot be read",
        )
        if element is None:
          break
        try:
          parts = {
              part: column.texts(_value(element, column.path))
              for part, column in self._columns.items()
          }
        except UnicodeDecodeError as error:
          yield errors.InputError(f"{location}: is not UTF-8 ({error})")
        else:
          yield writer.example(parts, self._task, split, index)

  def files(self) -> list[str]:
    """Returns the files of the splits and of the data set's description."""
    home = self._builder.data_path
    described = (*home.glob("*.json"), *home.glob("*.labels.txt"))
    files = set(map(os.fspath, described))
    for split in self._splits:
      files |= set(map(os.fspath, self._builder.info.splits[split].filepaths))
    return sorted(filter(os.path.isfile, files))

  def _feature_tree(self) -> dict[str, Any]:
    """Returns the features that are read, as nested dictionaries."""
    tree: dict[str, Any] = {}
    for column in self._columns.values():
      inner = tree
      for name in column.path[:-1]:
        inner = inner.setdefault(name, {})
      inner[column.path[-1]] = True
    return tree


def _builder(name: str, data_dir: str) -> tfds.core.DatasetBuilder:
  """Returns the data set that files describe."""
  try:
    parsed, options = naming.parse_builder_name_kwargs(name)
    return read_only_builder.builder_from_files(
        str(parsed), data_dir=data_dir, **options
    )
  except Exception as error:
    raise errors.InputError(
        f"config.data.dataset: the TFDS data set {name!r} is not prepared in"
        f" {data_dir}, and nothing is downloaded. Check the name"
        " (NAME[/CONFIG][:VERSION]) and config.data.path, or prepare it:"
        f" tfds.builder({name!r}, data_dir={data_dir!r})"
        ".download_and_prepare()."
    ) from error


def _check_files(builder: tfds.core.DatasetBuilder, split: str) -> None:
  """Checks that a data set's description names its own files only."""
  home = os.fspath(builder.data_path)
  if "://" in home:
    return
  location = f"{os.path.join(home, 'dataset_info.json')}: splits"
  for file in map(os.fspath, builder.info.splits[split].filepaths):
    name = os.path.relpath(file, home)
    paths.resolve_inside(pathlib.Path(home), name, location)


def _column(
    features: tfds.features.FeaturesDict, part: str, name: str, dataset: str
) -> _Column:
  """Returns the feature at a path such as "a/b".

  Raises:
    InputError: there is none, or it is no text.
  """
  path = name.split("/")
  feature, is_list = features, False
  for step in path:
    feature, is_list = _unwrapped(feature, is_list)
    if (
        not isinstance(feature, tfds.features.FeaturesDict)
        or step not in feature
    ):
      raise errors.InputError(_missing(features, part, name, dataset))
    feature = feature[step]
  feature, is_list = _unwrapped(feature, is_list)
  rank = len(feature.shape or ()) + is_list
  if type(feature) not in _TEXTUAL or rank > (part in _LISTS):
    raise errors.InputError(
        f"config.data.fields.{part}: the feature {name!r} of the TFDS data set"
        f" {dataset} is no text:"
        f" {'a list of ' * is_list}{type(feature).__name__}."
    )
  return _Column(path, _labels(feature))


def _unwrapped(feature: Any, is_list: bool) -> tuple[Any, bool]:
  """Returns a sequence's elements, and whether it is, or is in, a list."""
  lists = tfds.features.Sequence
  # A data set inside an element is a sequence by name only.
  while isinstance(feature, lists) and type(feature) is lists:
    feature, is_list = feature.feature, True
  return feature, is_list


def _missing(
    features: tfds.features.FeaturesDict, part: str, name: str, dataset: str
) -> str:
  """Returns the message on a feature that is missing."""
  known = list(_paths(features))
  hint = ' "" makes the data set one task.' if part == "task" else ""
  return (
      f"config.data.fields.{part}: the TFDS data set {dataset} has no feature"
      f" {name!r}.{errors.did_you_mean(name, known)} It has:"
      f" {', '.join(known)}.{hint}"
  )


def _paths(feature: Any, path: str = "") -> Iterator[str]:
  """Yields the paths of all features."""
  feature, _ = _unwrapped(feature, False)
  if not isinstance(feature, tfds.features.FeaturesDict):
    yield path
    return
  for name, inner in feature.items():
    yield from _paths(inner, f"{path}/{name}" if path else name)


def _labels(feature: Any) -> Callable[[Any], list[str]]:
  """Returns a function to texts; a class by its name, none without one."""
  if not isinstance(feature, tfds.features.ClassLabel):
    return writer.texts

  def labels(value: Any) -> list[str]:
    """Returns the names of one class number, or of an array of them."""
    numbers = [value] if getattr(value, "ndim", 0) == 0 else value
    # Test sets without labels have -1.
    return [feature.int2str(int(n)) for n in numbers if n >= 0]

  return labels


def _value(element: Mapping[str, Any], path: list[str]) -> Any:
  """Returns the value at a path."""
  for name in path:
    element = element[name]
  return element
