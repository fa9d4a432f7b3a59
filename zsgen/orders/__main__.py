"""Inspects and exchanges orders: `python -m zsgen.orders TOOL PATH…`.

The tools are show, diff, verify, trace, export and import. Two others make what
a config describes, in one process or by shards:

  python -m zsgen.orders embed --config=FILE    the embeddings of its order
  python -m zsgen.orders arrange --config=FILE  its order
"""

import argparse
from collections.abc import Mapping, Sequence
import math
import pathlib
import sys
from typing import Any

import numpy as np
import rich.console
import rich.table

from zsgen.core import chatter, errors, schema, terminal, texts
from zsgen.data import differing_text
from zsgen.data import store as store_lib
from zsgen.orders import diff, exchange, exported
from zsgen.orders import order as order_lib
from zsgen.orders import trace as trace_lib
from zsgen.train import bucket_paths

# Tools with the flags of an experiment.
_EMBED, _ARRANGE = "embed", "arrange"
# Number of characters of a task's name or prompt that `show` prints.
_TEXT = 60
# The largest number that is accepted.
_LARGEST = 2**31


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs one tool; returns the exit code: 0, or 2 for bad input."""
  options = _parser().parse_args(arguments)
  console = terminal.Console()
  chatter.hide()
  try:
    options.tool(options, console)
  except errors.InputError as error:
    terminal.print_message(error)
    return 2
  return 0


def _parser() -> argparse.ArgumentParser:
  """Returns the parser of all tools."""
  parser = argparse.ArgumentParser(
      "python -m zsgen.orders", description=__doc__
  )
  tools = parser.add_subparsers(
      required=True, metavar="show|diff|verify|trace|export|import"
  )
  show = tools.add_parser(
      "show", help="print the first examples and statistics of orders"
  )
  show.add_argument("paths", nargs="+", metavar="ORDER")
  show.add_argument(
      "--head", type=_count, default=10, help="number of examples to print (10)"
  )
  show.set_defaults(tool=_show)
  differ = tools.add_parser(
      "diff", help="print the overlap and rank correlation of two orders"
  )
  differ.add_argument("paths", nargs=2, metavar="ORDER")
  differ.set_defaults(tool=_diff)
  check = tools.add_parser(
      "verify", help="check hashes, as python -m zsgen.verify does"
  )
  check.add_argument("paths", nargs="+", metavar="PATH")
  check.set_defaults(tool=_verify)
  _add_trace(tools)
  _add_exchange(tools)
  return parser


def _count(text: str) -> int:
  """Parses a number of examples, rows or steps."""
  try:
    value = int(text)
  except ValueError as error:
    raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from error
  if abs(value) > _LARGEST:
    raise argparse.ArgumentTypeError(f"{text} is more than {_LARGEST:,}")
  return value


def _add_trace(tools: Any) -> None:
  """Adds the tool `trace` and its options."""
  trace = tools.add_parser(
      "trace", help="measure distances of an order's prefixes to held-out tasks"
  )
  trace.add_argument("path", metavar="ORDER")
  for name, default, description in (
      ("batch_size", 16, "examples per step"),
      ("every", 10, "steps between measurements"),
  ):
    trace.add_argument(
        f"--{name}",
        type=_count,
        default=default,
        help=f"{description} ({default})",
    )
  trace.add_argument("--split", default="heldout", help="held-out set")
  trace.add_argument(
      "--embedder", default="", help="the order's own, or ngram if it has none"
  )
  trace.add_argument(
      "--text",
      default="",
      choices=("prompt+answer", "prompt"),
      help="the order's own, or prompt+answer if it has none",
  )
  trace.set_defaults(tool=_trace)


def _add_exchange(tools: Any) -> None:
  """Adds the tools `export` and `import`."""
  export = tools.add_parser(
      "export", help="write an order for other machines, with a card"
  )
  export.add_argument("path", metavar="ORDER")
  export.add_argument("out", metavar="OUT", help="the new directory")
  export.set_defaults(tool=_export)
  importer = tools.add_parser(
      "import", help="make an exported order over a store of the same source"
  )
  importer.add_argument("path", metavar="DIR")
  importer.add_argument(
      "--store",
      required=True,
      help="the store, in the directory stores of a workdir",
  )
  importer.set_defaults(tool=_import)


def _show(options: argparse.Namespace, console: rich.console.Console) -> None:
  """Prints the first examples and the statistics of orders."""
  for path in options.paths:
    order, store = _open(path)
    console.print(_head(order, store, max(options.head, 0)))
    console.print(_facts(order.statistics(store), "statistics"))


def _diff(options: argparse.Namespace, console: rich.console.Console) -> None:
  """Prints how much two orders of one store differ."""
  first, second = (
      order_lib.Order.load(bucket_paths.open_copy(path))
      for path in options.paths
  )
  stores = [order.manifest["made_by"]["store"] for order in (first, second)]
  if stores[0] != stores[1]:
    raise errors.InputError(
        f"{first.path} and {second.path} were made for different stores, in"
        " which an id means different examples. Compare orders of one store."
    )
  console.print(_facts(diff.compare(first.ids, second.ids), "difference"))


def _verify(options: argparse.Namespace, console: rich.console.Console) -> None:
  """Checks the hashes of orders."""
  from zsgen.verify import command  # It needs runs, a layer above orders.

  del console
  command.verify(options.paths)


def _export(options: argparse.Namespace, console: rich.console.Console) -> None:
  """Writes an order as a directory that another store can import."""
  out = _local(options.out, "OUT")
  order, store = _open(options.path)
  exchange.write(order, store, out)
  console.print(
      f"export {out}: {len(order):,} examples, fingerprint"
      f" {order.fingerprint}",
      markup=False,
  )


def _import(options: argparse.Namespace, console: rich.console.Console) -> None:
  """Makes an order from an exported one, and prints how to train on it.

  If the store lacks examples, or has other texts for them, prints all of them.
  """
  path = _local(options.path, "DIR")
  store = store_lib.open_store(_local(options.store, "--store"))
  try:
    order, is_same = exchange.read(path, store)
  except exported.OtherExamples as error:
    for line in error.lines:
      console.print(line, markup=False, highlight=False, soft_wrap=True)
    raise
  console.print(f"order {order.path}", markup=False)
  if is_same:
    console.print(f"the same fingerprint: {order.fingerprint}")
  else:
    console.print(
        f"all {len(order):,} texts are the same, in the same order; the stores"
        f" differ in tokens or ids, and so do the fingerprints: {order.fingerprint}"
    )
  console.print(
      "to train on it: --config.order.arrangement=file"
      f" --config.order.path={path / order_lib.TABLE}",
      markup=False,
  )


def _trace(options: argparse.Namespace, console: rich.console.Console) -> None:
  """Writes a trace of an order, and prints its measures."""
  path = _local(options.path, "ORDER")  # The trace is written next to it.
  order = order_lib.Order.load(path)
  store = store_lib.open_store(order.store_path)
  trace = trace_lib.make(
      order_lib.Order.load(path, store),
      store,
      options.batch_size,
      options.every,
      options.split,
      options.embedder,
      options.text,
  )
  console.print(f"trace {trace.path}", markup=False)
  for side, count in zip(
      ("training", "held-out"),
      trace.description["without_bigrams"],
      strict=True,
  ):
    if count:
      console.print(f"{count} {side} texts have fewer than two words")
  console.print(_measured(trace))


def _measured(trace: trace_lib.Trace) -> rich.table.Table:
  """Returns a table of the first, middle and last prefix."""
  last = len(trace.steps) - 1
  indices = sorted({0, last // 2, last})
  table = rich.table.Table(
      title=f"distance to {trace.description['split']}, mean over tasks"
  )
  for name in ("measure", *(f"step {trace.steps[i]}" for i in indices)):
    table.add_column(name, no_wrap=True)
  for measure in trace_lib.COLUMNS:
    means = trace.means(measure)[indices].tolist()
    values = (None if math.isnan(mean) else mean for mean in means)
    table.add_row(measure, *map(_number, values))
  return table


def _open(path: str) -> tuple[order_lib.Order, store_lib.Store]:
  """Opens an order, local or in a bucket, and its store."""
  copy = bucket_paths.open_copy(path)
  store = store_lib.open_store(order_lib.Order.load(copy).store_path)
  return order_lib.Order.load(copy, store), store


def _local(path: str, location: str) -> pathlib.Path:
  """Returns a path; raises InputError if it is a URL."""
  schema.check_local(path, location)
  return pathlib.Path(path)


def _head(
    order: order_lib.Order, store: store_lib.Store, size: int
) -> rich.table.Table:
  """Returns a table of the first rows of an order.

  Of each prompt it has the beginning of what differs within its task.
  """
  table = rich.table.Table(title=order.path.name)
  for name in ("position", "id", "task", "round", "distance", "text"):
    # Numbers never wrap; long texts do, on narrow terminals.
    table.add_column(name, no_wrap=name not in ("task", "text"))
  rows = order.table.slice(0, size).to_pylist()
  prompts = differing_text.differing_parts(store, order.ids[:size])
  for row, prompt in zip(rows, prompts, strict=True):
    table.add_row(
        str(row["position"]),
        str(row["id"]),
        texts.short(row["task"], _TEXT),
        str(row["round"] or "-"),
        _number(row["distance"]),
        texts.short(" ".join(prompt.split()), _TEXT),
    )
  return table


def _facts(facts: Mapping[str, Any], title: str) -> rich.table.Table:
  """Returns a table with a row for each name and value."""
  table = rich.table.Table(title=title, show_header=False)
  for name, value in facts.items():
    table.add_row(name.replace("_", " "), _number(value))
  return table


def _number(value: float | None) -> str:
  """Returns a number as text, with four decimals unless it is whole."""
  if value is None:
    return "-"
  is_integer = isinstance(value, int | np.integer)
  return str(value) if is_integer else f"{value:.4f}"


if __name__ == "__main__":
  if sys.argv[1:2] == [_EMBED]:
    from zsgen.core import command
    from zsgen.orders import embed_command

    del sys.argv[1]
    command.start(embed_command.main, embed_command.FLAGS)
  elif sys.argv[1:2] == [_ARRANGE]:
    from zsgen.core import command
    from zsgen.orders import arrange_command

    del sys.argv[1]
    command.start(arrange_command.main, arrange_command.FLAGS)
  else:
    sys.exit(main())
