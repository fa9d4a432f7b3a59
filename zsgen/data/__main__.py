"""Shows the examples of a store, prepares one, or trains a tokenizer.

  python -m zsgen.data show workdir/stores/niv2-… --task=task001 --cut

prints examples as a model reads them (`show --help`).

  python -m zsgen.data prepare --config=configs/niv2.py --shard=0/2

prepares a store, or a part of one (`prepare --help`).

  python -m zsgen.data train_tokenizer --config=configs/niv2.py \\
      --vocab_size=8000 --out=tokenizer

trains a byte-level BPE on the training examples, with prompts and answers as
the config formats them, and writes Hugging Face's files. To use the tokenizer,
set config.data.tokenizer = "hf" and config.data.tokenizer_path = "tokenizer".
"""

from collections.abc import Iterator
import itertools
import pathlib
import sys

from absl import flags
import rich.console

from zsgen.core import command, errors, schema, terminal
from zsgen.core import config as config_lib
from zsgen.data import prompts, sources, suite, tokenizers
from zsgen.data.tokenizers import bpe

_VOCAB_SIZE = flags.DEFINE_integer(
    "vocab_size",
    8000,
    "Number of ids, including 256 bytes and two special tokens.",
    upper_bound=2**24,
)
_OUT = flags.DEFINE_string("out", None, "The directory to write.")
_SHOW, _TRAIN, _PREPARE = "show", "train_tokenizer", "prepare"
# Examples from one line of progress to the next.
_EVERY = 20_000


def training_texts(
    data: config_lib.Data, seed: int, scratch: pathlib.Path
) -> Iterator[list[str]]:
  """Yields the texts of each training example in pieces, as tokenized.

  Held-out examples come after all training ones and are never generated.
  Where a prompt counts tokens, it counts bytes: there is no tokenizer yet.

  Args:
    data: the config's section; its tokenizer is ignored.
    seed: draws the suite's instances.
    scratch: where a source may keep things.

  Raises:
    InputError: whatever the source or the prompt finds wrong.
  """
  source = sources.load(data, seed, scratch)
  tokenizer = tokenizers.Bytes()
  template = prompts.get(data, tokenizer, seed)
  training = itertools.takewhile(
      lambda example: example.split == suite.TRAIN, source.examples()
  )
  for example in training:
    if not example.targets and not example.turns:
      continue
    pieces = prompts.split(template(example), tokenizer, data.border)
    texts = [piece.segment.text for piece in pieces]
    try:
      "".join(texts).encode()
    except UnicodeEncodeError as error:
      raise errors.InputError(
          f"example {example.key} of {example.task} has text that is not"
          f" Unicode ({error}). Fix it in the source."
      ) from error
    yield texts


def train_tokenizer(
    data: config_lib.Data,
    seed: int,
    vocab_size: int,
    out: pathlib.Path,
    scratch: pathlib.Path,
    console: rich.console.Console,
) -> None:
  """Trains a tokenizer on a suite and writes it to a new directory.

  Args:
    data: the config's section; says which examples, in which form.
    seed: draws the suite's instances.
    vocab_size: number of ids.
    out: the directory to make.
    scratch: where a source may keep things.
    console: where lines for people go.

  Raises:
    InputError: the directory exists, or see `training_texts`, `bpe.train`.
  """
  if out.exists():
    raise errors.InputError(
        f"--out={out}: already exists. Name another directory, or delete it."
    )
  examples = training_texts(data, seed, scratch)
  texts = _report_progress(examples, console)
  with console.status("train_tokenizer"):
    trained = bpe.train(texts, vocab_size)
  bpe.write(trained, out)
  size = trained.get_vocab_size()
  console.print(f"tokenizer {out}: {size:,} ids", markup=False)


def _report_progress(
    examples: Iterator[list[str]], console: rich.console.Console
) -> Iterator[list[str]]:
  """Yields the examples, and prints their number at intervals.

  Raises:
    InputError: there is none.
  """
  count = 0
  for count, texts in enumerate(examples, 1):
    yield texts
    if count % _EVERY == 0:
      console.print(f"read {count:,} examples")
  if not count:
    raise errors.InputError("the suite has no training example with text.")
  console.print(f"read {count:,} examples; merging")


def main() -> None:
  """Trains the tokenizer that the flags describe."""
  if not _OUT.value:
    raise errors.InputError("name the directory to write: --out=DIR.")
  schema.check_local(_OUT.value, "--out")
  config = config_lib.check(command.CONFIG.value)
  console = terminal.Console(stderr=True)
  train_tokenizer(
      config.data,
      config.data_seed,
      _VOCAB_SIZE.value,
      pathlib.Path(_OUT.value).expanduser(),
      pathlib.Path(command.WORKDIR.value).absolute() / "scratch",
      console,
  )


if __name__ == "__main__":
  if sys.argv[1:2] == [_TRAIN]:
    del sys.argv[1]
    command.start(main)
  elif sys.argv[1:2] == [_PREPARE]:
    from zsgen.data.shards import command as shards_command

    del sys.argv[1]
    command.start(shards_command.main, shards_command.FLAGS)
  elif sys.argv[1:2] == [_SHOW]:
    from zsgen.reports import store_view  # A layer above data.

    sys.exit(store_view.main(sys.argv[2:]))
  elif sys.argv[1:] in (["--help"], ["-h"]):
    print(__doc__)
  else:
    print(
        "zsgen: name a tool: python -m zsgen.data"
        f" {_SHOW}|{_PREPARE}|{_TRAIN} --help",
        file=sys.stderr,
    )
    sys.exit(2)
