"""The prepare stage against the bare tokenizer and a seqio pipeline.

  python -m benchmarks.prepare --path=DIR                  # trains a BPE first
  python -m benchmarks.prepare --path=DIR --tokenizer=HF   # a directory

DIR holds flan_mini.json and train_eval_key_list.json; all rows are used. Three
peers, in separate processes, encode the same texts with the same tokenizer;
tokens are counted before rows are cut.

  zsgen   the whole stage, from the JSON to a store that is opened again
  bare    the tokenizers library's encode_batch on the texts in memory, in
          batches of 4,096, discarding the results
  seqio   a Task over the texts in memory, `seqio.preprocessors.tokenize` with
          the project's vocabulary: one tf.py_function per text, in parallel

CPU seconds are printed too, because on a busy machine only they are comparable.
Peers alternate --repeat times, and the fastest run of each counts.
"""

import argparse
from collections.abc import Callable
import functools
import json
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

import rich.console
import rich.table

from benchmarks import peers as peers_lib
from zsgen.core import config as config_lib
from zsgen.data import __main__ as tools
from zsgen.data import prepare, prompts, sources, tokenizers

# Number of texts per call of the bare tokenizer.
_BATCH = 4096
_VOCAB_SIZE = 8000
# More instances than any task has.
_ALL_INSTANCES = 2_000_000


def data_config(path: str, tokenizer: str) -> config_lib.Data:
  """Returns the config of all of Flan-mini; bytes without a tokenizer."""
  data = {
      "source": "flan_mini",
      "path": path,
      "draw": "first",
      "train_instances": _ALL_INSTANCES,
      "heldout_instances": _ALL_INSTANCES,
  }
  if tokenizer:
    data |= {"tokenizer": "hf", "tokenizer_path": tokenizer}
  return config_lib.check({"data": data}).data


def write_texts(data: config_lib.Data, file: pathlib.Path) -> None:
  """Writes the texts of each example, as `prepare` tokenizes them."""
  source = sources.load(data, 0, file.parent / "scratch")
  tokenizer = tokenizers.get(data)
  template = prompts.get(data, tokenizer, 0)
  pieces = [
      prompts.split(template(example), tokenizer, data.border)
      for example in source.examples()
  ]
  texts = [[piece.segment.text for piece in row] for row in pieces]
  file.write_text(json.dumps(texts), "utf-8")


def read_texts(folder: pathlib.Path) -> list[list[str]]:
  """Reads the texts that `write_texts` wrote."""
  return json.loads((folder / "texts.json").read_text("utf-8"))


def zsgen(data: config_lib.Data, folder: pathlib.Path) -> Callable[[], int]:
  """Returns the stage, which counts the tokens of rows after cuts."""

  def run() -> int:
    """Prepares a store and returns its tokens."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
      store = prepare.prepare(pathlib.Path(name) / "stores", data, seed=0)
      return int(store.lengths.sum())

  return run


def bare(data: config_lib.Data, folder: pathlib.Path) -> Callable[[], int]:
  """Returns a call of the library only, which counts tokens."""
  import tokenizers as library

  file = pathlib.Path(data.tokenizer_path) / "tokenizer.json"
  encode = functools.partial(
      library.Tokenizer.from_file(str(file)).encode_batch,
      add_special_tokens=False,
  )
  texts = [text for example in read_texts(folder) for text in example]
  return lambda: sum(
      sum(map(len, encode(texts[first : first + _BATCH])))
      for first in range(0, len(texts), _BATCH)
  )


def seqio_task(
    data: config_lib.Data, folder: pathlib.Path
) -> Callable[[], int]:
  """Returns a Task of the texts, which counts tokens."""
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  import seqio
  import tensorflow as tf

  from zsgen.data import vocabularies

  inputs, targets = (
      tf.constant(column) for column in zip(*read_texts(folder), strict=True)
  )

  def texts(split: str, shuffle_files: bool) -> Any:
    """Returns all texts as a data set, in their order."""
    del split, shuffle_files
    columns = {"inputs": inputs, "targets": targets}
    return tf.data.Dataset.from_tensor_slices(columns)

  vocabulary = vocabularies.adapt(tokenizers.get(data))
  feature = seqio.Feature(vocabulary, add_eos=False)
  task = seqio.TaskRegistry.add(
      "benchmark",
      source=seqio.FunctionDataSource(texts, splits=["train"]),
      preprocessors=[seqio.preprocessors.tokenize],
      output_features={"inputs": feature, "targets": feature},
  )

  def run() -> int:
    """Reads the data set and returns its tokens."""
    dataset = task.get_dataset(split="train", shuffle=False)
    return sum(
        len(row["inputs"]) + len(row["targets"])
        for row in dataset.as_numpy_iterator()
    )

  return run


PEERS = {"zsgen": zsgen, "bare": bare, "seqio": seqio_task}


def _timed(
    name: str, path: str, tokenizer: str, folder: pathlib.Path
) -> dict[str, float]:
  """Returns seconds, CPU seconds and tokens of a peer."""
  run = PEERS[name](data_config(path, tokenizer), folder)
  clock, cpu = time.perf_counter(), time.process_time()
  tokens = run()
  return {
      "seconds": time.perf_counter() - clock,
      "cpu": time.process_time() - cpu,
      "tokens": tokens,
  }


def compare(
    path: str,
    tokenizer: str,
    folder: pathlib.Path,
    peers: list[str],
    repeat: int,
) -> dict[str, dict]:
  """Returns the fastest run of each peer."""
  best: dict[str, dict] = {}
  for _ in range(repeat):
    for peer in peers:
      result = peers_lib.measure(_timed, peer, path, tokenizer, folder)
      load = round(os.getloadavg()[0], 1)
      print(json.dumps({"peer": peer, "load": load, **result}), file=sys.stderr)
      previous = best.get(peer, result)
      if result.get("seconds", 0) <= previous.get("seconds", 0):
        best[peer] = result
  return best


def table(results: dict[str, dict]) -> rich.table.Table:
  """Returns a table of seconds, tokens per second and ratios to the bare
  tokenizer.
  """
  grid = rich.table.Table(title="Flan-mini, all rows")
  columns = ("peer", "seconds", "CPU seconds", "tokens/s", "of bare", "peak GB")
  for column in columns:
    grid.add_column(column, justify="left" if column == "peer" else "right")
  base = results["bare"]
  for peer, result in results.items():
    if "failed" in result:
      grid.add_row(peer, result["failed"], *[""] * 4)
      continue
    grid.add_row(
        peer,
        f"{result['seconds']:.1f}",
        f"{result['cpu']:.1f}",
        f"{base['tokens'] / result['seconds']:,.0f}",
        f"{base['seconds'] / result['seconds']:.2f}",
        f"{result['peak_mb'] / 1024:.2f}",
    )
  return grid


def train(path: str, out: pathlib.Path) -> None:
  """Trains the BPE, like `python -m zsgen.data train_tokenizer`."""
  tools.train_tokenizer(
      data_config(path, ""),
      seed=0,
      vocab_size=_VOCAB_SIZE,
      out=out,
      scratch=out.parent / "scratch",
      console=rich.console.Console(stderr=True),
  )


def main() -> None:
  """Measures the peers of the flags, alternately."""
  parser = argparse.ArgumentParser(
      "python -m benchmarks.prepare", description=__doc__
  )
  parser.add_argument("--path", required=True)
  parser.add_argument("--tokenizer", default="")
  parser.add_argument("--repeat", type=int, default=1)
  parser.add_argument(
      "--peers", nargs="+", choices=list(PEERS), default=list(PEERS)
  )
  options = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    tokenizer = options.tokenizer or str(folder / "tokenizer")
    if not options.tokenizer:
      train(options.path, folder / "tokenizer")
    write_texts(data_config(options.path, tokenizer), folder / "texts.json")
    peers = list(dict.fromkeys(["bare", *options.peers]))
    results = compare(options.path, tokenizer, folder, peers, options.repeat)
  rich.console.Console(width=80).print(table(results))


if __name__ == "__main__":
  main()
