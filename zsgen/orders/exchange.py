"""Exports orders for other machines, and imports them.

An exported order is a directory of
  order.parquet  position, id, key, task, epoch, round, distance and text_hash
                 of each example; fingerprints in the metadata of the file
  README.md      a card: fingerprint, recipes of order and store, versions
"""

import importlib.metadata
import json
import pathlib
import platform
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.core import artifacts, config, errors, texts
from zsgen.data import store as store_lib
from zsgen.orders import exported, text_hashes
from zsgen.orders import order as order_lib

CARD = "README.md"
# Version of the table.
_FORMAT = 1
_METADATA = b"zsgen"


def write(
    order: order_lib.Order, store: store_lib.Store, path: pathlib.Path
) -> None:
  """Writes an order for other machines.

  Args:
    order: the order.
    store: its store.
    path: the new directory.

  Raises:
    InputError: the directory exists, or cannot be written.
  """
  if path.exists():
    raise errors.InputError(
        f"{path}: exists already. Name a new directory, or delete this one."
    )
  try:
    with artifacts.writing(path) as partial:
      pq.write_table(_table(order, store), partial / order_lib.TABLE)
      digest = artifacts.file_digest(partial / order_lib.TABLE)
      card = _card(order, store, digest)
      artifacts.write_bytes(partial / CARD, card.encode())
  except OSError as error:
    raise errors.InputError(
        f"{path}: cannot be written ({error}). Name another directory."
    ) from error


def read(
    path: pathlib.Path, store: store_lib.Store
) -> tuple[order_lib.Order, bool]:
  """Makes the order of an exported one over another store of its source.

  It is an artifact of the store's workdir, made by the arrangement `file`.

  Args:
    path: the directory of the exported order.
    store: a store in a workdir.

  Returns:
    The order, and whether it has the fingerprint of the exported one: it has
    not if tokens or ids of the stores differ, though all texts are the same.

  Raises:
    InputError: the directory is no whole export, the store is not in a workdir,
      or see `exported.find`.
  """
  root = store.path.absolute().parent
  if root.name != "stores":
    raise errors.InputError(
        f"{store.path}: is not in the directory stores of a workdir, where the"
        " order is to be made. Name a store of a workdir."
    )
  table = path / order_lib.TABLE
  written = _check(table)
  options = config.build(
      config.Order,
      arrangement="file",
      path=str(table.absolute()),
      embedder="",
  )
  order = order_lib.make(root.parent, store, options, 0)
  return order, order.fingerprint == written


def _check(table: pathlib.Path) -> str:
  """Returns the fingerprint of an exported order.

  Raises:
    InputError: the file is no exported order, or its ids were changed.
  """
  advice = "Copy the directory again, or export the order again."
  try:
    metadata = pq.read_schema(table).metadata or {}
    fields = json.loads(metadata[_METADATA])
    ids = pq.read_table(table, columns=["id"])["id"].to_numpy()
    expected, store, version = (
        fields[name] for name in ("fingerprint", "store", "format")
    )
  except (OSError, ValueError, LookupError, pa.ArrowException) as error:
    reason = f"{type(error).__name__} {error}"
    raise errors.InputError(
        f"{table}: is not an exported order, or is damaged ({reason}). {advice}"
    ) from error
  if version != _FORMAT:
    raise errors.InputError(
        f"{table}: has format {version!r}, but this version of zsgen reads"
        f" {_FORMAT}. Use the version that wrote it."
    )
  if order_lib.fingerprint(ids, store) != expected:
    raise errors.InputError(
        f"{table}: its ids do not have its fingerprint, so it is damaged or was"
        f" changed. {advice}"
    )
  return expected


def _table(order: order_lib.Order, store: store_lib.Store) -> pa.Table:
  """Returns the content of the exported order.parquet."""
  names = ("position", "id", "task", "epoch", "round", "distance")
  columns = {name: order.table[name] for name in names}
  table = pa.table(
      {
          **columns,
          "key": pa.array(store.keys(order.ids), pa.string()),
          exported.HASH: text_hashes.compute(store, order.ids),
      }
  )
  fields = dict(
      format=_FORMAT,
      order=order.path.name,
      fingerprint=order.fingerprint,
      store=store.fingerprint,
  )
  return table.replace_schema_metadata({_METADATA: json.dumps(fields)})


def _card(order: order_lib.Order, store: store_lib.Store, digest: str) -> str:
  """Returns the text of README.md."""
  recipe = order.manifest["made_by"]
  sources = [
      {
          "name": pathlib.Path(source["path"]).name,
          "bytes": source["bytes"],
          "sha256": source["sha256"],
      }
      for source in store.manifest["sources"]
  ]
  rows = {
      "fingerprint": order.fingerprint,
      "examples": f"{len(order):,}",
      "distinct examples": f"{len(np.unique(order.ids)):,}",
      "tasks": f"{len(np.unique(store.task_index[order.ids])):,}",
      "suite": store.suite,
      "fingerprint of the store": store.fingerprint,
      "SHA-256 of order.parquet": digest,
      **_versions(),
  }
  facts = "\n".join(
      f"| {name} | {texts.escape_markdown(str(value))} |"
      for name, value in rows.items()
  )
  return _CARD.format(
      name=texts.escape_markdown(order.path.name),
      facts=facts,
      order=_code(recipe),
      store=_code({**store.manifest["made_by"], "sources": sources}),
  )


def _versions() -> dict[str, str]:
  """Returns the versions of what wrote the order, by name."""
  return {
      "zsgen": _version("zsgen"),
      "Python": platform.python_version(),
      "NumPy": np.__version__,
      "PyArrow": pa.__version__,
  }


def _version(package: str) -> str:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return "not installed"


def _code(value: Any) -> str:
  """Returns JSON that cannot end a block of code, without this machine's paths."""
  text = json.dumps(_without_folders(value), indent=1, sort_keys=True)
  return text.replace("`", "\\u0060")


def _without_folders(value: Any) -> Any:
  """Returns a JSON value in which absolute paths are the names of files."""
  if isinstance(value, dict):
    return {name: _without_folders(item) for name, item in value.items()}
  if isinstance(value, list | tuple):
    return [_without_folders(item) for item in value]
  is_path = isinstance(value, str) and value.startswith("/")
  return pathlib.Path(value).name if is_path else value


_CARD = """# Order {name}

The order of the training examples of an experiment with
zsgen, by `python -m zsgen.orders export`. Row i of `order.parquet` is the
example at position i.

| | |
| --- | --- |
{facts}

To have the same order on another machine, make the store from the same source
by the recipe below (`--stage=prepare`), and prove that its texts are the same:

```
python -m zsgen.orders import DIRECTORY --store workdir/stores/STORE
```

To train on it, set `--config.order.arrangement=file` and
`--config.order.path=DIRECTORY/order.parquet`.

| column | content |
| --- | --- |
| `position` | from 0 |
| `id` | id of the example in the store that the order was made for |
| `task`, `key` | its task, and the publisher's id of the instance |
| `epoch`, `round`, `distance` | its epoch, from 0; round, from 1, or 0; what ranked it, or empty |
| `text_hash` | SHA-256 of the JSON list [prompt, answer] in UTF-8, without white space between elements and with all characters as they are |

## Recipe of the order

```json
{order}
```

## Recipe of the store

```json
{store}
```
"""
