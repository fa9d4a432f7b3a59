"""Data sets that only TensorFlow reads, as a table made by a child process.

TensorFlow and seqio are never imported here. `python -m` of this package reads
one data set, writes its rows to a Parquet file and exits. The file is kept in
a directory of its own, with a manifest, and reused until the files that it
came from change.
"""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

from zsgen.core import artifacts, config, errors, texts
from zsgen.data import store, suite
from zsgen.data.sources import bad_rows, catalog, files, options, table

ROWS = "rows.parquet"
REPLY = "reply.json"
# The columns of the table, named as the fields of an example.
COLUMNS = (
    "task",
    "category",
    "split",
    "definition",
    "input",
    "targets",
    "key",
    "choices",
)
_PACKAGES = ("seqio", "tensorflow", "tensorflow-datasets")
# No accelerator is used, and the sequence of sets is deterministic.
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "HIP_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "PYTHONHASHSEED": "0",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def splits(data: options.Rows, fields: config.Fields) -> list[str]:
  """Returns the splits to read: train, and those that held-out sets name.

  Raises:
    InputError: no held-out set, one that names train, a column for the split,
      or none for answers.
  """
  source = data.source
  if not data.heldout:
    raise errors.InputError(
        f"config.data.heldout: is empty, and {source} data has no official"
        ' held-out set. Name one: {"heldout": {"split": "validation"}}, or by'
        " tasks, categories or share."
    )
  if fields.split:
    raise errors.InputError(
        f"config.data.fields.split: {source} data has splits of its own; name"
        " them in config.data.heldout.NAME.split."
    )
  if not fields.target:
    raise errors.InputError(
        "config.data.fields.target: is empty; name the column of the answers."
    )
  heldout_splits = {heldout.split for heldout in data.heldout.values()} - {""}
  if suite.TRAIN in heldout_splits:
    raise errors.InputError(
        "config.data.heldout: a held-out set takes the split train, which is"
        " trained on. Take another split, or tasks of it by name."
    )
  return [suite.TRAIN, *sorted(heldout_splits)]


def rows(
    request: Mapping[str, Any], on_bad_row: str, scratch: pathlib.Path
) -> pathlib.Path:
  """Returns the requested table; a child process writes it if necessary.

  Args:
    request: `kind` ("seqio" or "tfds"), `dataset`, `splits`, `fields`, and
      `module` or `data_dir`.
    on_bad_row: "error" or "skip"; rows that are no text are never in the
      table, and the manifest next to it counts them.
    scratch: the directory for such tables.

  Returns:
    A Parquet file with the columns COLUMNS: `targets` and `choices` lists of
    texts, all others text.

  Raises:
    InputError: the child reported an error or crashed (the message has its
      last line), or there are bad rows.
  """
  made_by = {**request, "versions": _versions(request["kind"])}
  stem = re.sub(r"[^\w.-]+", "_", request["dataset"])
  path = scratch.absolute() / artifacts.name(stem, made_by)
  if not _fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    with artifacts.writing(path) as partial:
      reply = _run(request, partial)
      sources = [pathlib.Path(name) for name in reply.pop("files")]
      reply |= {"kind": "rows", "made_by": made_by}
      reply["sources"] = store.describe_sources(sources)
      artifacts.write_manifest(partial, reply)
  bad = manifest(path / ROWS)["bad_rows"]
  if bad["count"] and on_bad_row == "error":
    raise bad_rows.refuse(bad["count"], bad["first"])
  return path / ROWS


def manifest(path: pathlib.Path) -> dict[str, Any]:
  """Returns the manifest of a table of `rows`."""
  return artifacts.read_manifest(path.parent, "rows")


def suite_of(
    name: str,
    path: pathlib.Path,
    data: options.Rows,
    fields: config.Fields,
    seed: int,
    scratch: pathlib.Path,
) -> suite.Suite:
  """Returns a table of `rows` as the suite `name`.

  Its files are the table and, on this machine, those that it was read from.
  Its notes have the table's manifest as `read`.
  """
  read = manifest(path)
  reader = table.reader_of(files.find(str(path), scratch), _columns(fields))
  unlabelled = read["unlabelled"]
  corpus = catalog.Corpus(name, reader, data, seed, unlabelled=unlabelled)
  table_suite = catalog.suite(corpus, scratch)
  read_from = [pathlib.Path(source["path"]) for source in read.pop("sources")]
  return dataclasses.replace(
      table_suite,
      files=(*table_suite.files, *read_from),
      notes={**table_suite.notes, "read": read},
  )


def _columns(fields: config.Fields) -> config.Fields:
  """Returns the columns of an example's parts in a table of `rows`."""
  return config.Fields(
      task="task",
      input="input" if fields.input else "",
      target="targets",
      definition="definition" if fields.definition else "",
      category="category" if fields.category else "",
      split="split",
      key="key",
      choices="choices" if fields.choices else "",
  )


def _versions(kind: str) -> dict[str, str]:
  """Returns the versions of the packages that read the data."""
  try:
    return {name: importlib.metadata.version(name) for name in _PACKAGES}
  except importlib.metadata.PackageNotFoundError as error:
    raise errors.InputError(
        f"config.data.source: {kind!r} needs {', '.join(_PACKAGES)};"
        f" {error.name} is not installed: pip install 'zsgen[data]'."
    ) from error


def _fresh(path: pathlib.Path) -> bool:
  """Returns whether a table is complete and its sources are unchanged."""
  if not path.is_dir():
    return False
  try:
    entries = manifest(path / ROWS)
    artifacts.check_files(path, entries["files"])
    store.check_sources(entries["sources"], path)
  except errors.InputError:
    return False
  return True


def _run(request: Mapping[str, Any], out: pathlib.Path) -> dict[str, Any]:
  """Runs a child that writes ROWS to `out`; returns its reply."""
  process = subprocess.Popen(
      [sys.executable, "-P", "-m", __name__],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      encoding="utf-8",
      errors="replace",
      env=_environment(),
  )
  stdin, stdout = process.stdin, process.stdout
  assert stdin and stdout, "both are pipes"
  with process:
    try:
      with contextlib.suppress(BrokenPipeError), stdin:
        stdin.write(json.dumps({**request, "out": str(out)}))
      last = _forward(stdout)
    except BaseException:
      process.kill()
      raise
  if not (out / REPLY).is_file():
    raise errors.InputError(
        f"{request['kind']} {request['dataset']}: the process that reads it"
        f" ended with status {process.returncode}:"
        f" {last or 'it printed nothing'}"
    )
  reply = artifacts.read_json(out / REPLY)
  (out / REPLY).unlink()
  if "error" in reply:
    raise errors.InputError(reply["error"])
  return reply


def _environment() -> dict[str, str]:
  """Returns the child's environment, with the module path of this process."""
  path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
  return {**os.environ, **_ENVIRONMENT, "PYTHONPATH": path}


def _forward(lines: Iterable[str]) -> str:
  """Prints the lines of progress; returns the last of all others."""
  last = ""
  for line in lines:
    if line.startswith("progress "):
      progress = line.removeprefix("progress ").rstrip()
      print(texts.message(progress), file=sys.stderr)
    elif line.strip():
      last = line.strip()
  return last
