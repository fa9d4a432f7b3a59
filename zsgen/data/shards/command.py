"""Prepares the store of a config, in one process or by shards.

  python -m zsgen.data prepare --config=configs/niv2.py

makes the store in this process. Several processes, which share the workdir,
each run

  python -m zsgen.data prepare --config=configs/niv2.py --shard=INDEX/COUNT

twice: at first they scan the source, and then they encode what is drawn from
all of it. Restarts skip what exists. With --wait=SECONDS, a process waits for the
others, and once is enough if all run at the same time. Then

  python -m zsgen.data prepare --config=configs/niv2.py --merge

makes the store, which has the bytes of one that a single process makes.
--runner=direct|flink|spark|dataflow lets Apache Beam run all shards, and merges
them; --beam passes an option to it, such as --beam=--direct_num_workers=2.
"""

import pathlib
import types

from absl import flags

from zsgen.core import command, errors, shard_flags, terminal
from zsgen.core import config as config_lib
from zsgen.core import shards as core_shards
from zsgen.data import prepare, shards, store

WAIT = flags.DEFINE_float(
    "wait",
    0.0,
    "With --shard: the most seconds to wait for other shards to scan.",
    lower_bound=0.0,
)
RUNNER = flags.DEFINE_enum(
    "runner",
    None,
    ["direct", "flink", "spark", "dataflow"],
    "Let Apache Beam run all shards, and merge them.",
)
BEAM = flags.DEFINE_multi_string("beam", [], "An option of Apache Beam.")
FLAGS = (shard_flags.SHARD, shard_flags.MERGE, WAIT, RUNNER, BEAM)


def main() -> None:
  """Makes a store, a shard of one, or joins the shards, as the flags say.

  Raises:
    InputError: flags of two commands, no Beam, or see `prepare`,
      `prepare_shard`, `merge` and `beam.run`.
  """
  shard = shard_flags.parse()
  _check_flags(shard is not None)
  config = config_lib.check(command.CONFIG.value)
  root = pathlib.Path(command.WORKDIR.value).absolute() / "stores"
  console = terminal.Console(stderr=True)
  arguments = root, config.data, config.data_seed
  if shard is not None:
    progress = shards.prepare_shard(
        *arguments, shard, WAIT.value, console.print
    )
    console.print(describe_progress(progress, shard))
  elif RUNNER.value:
    _import_beam().run(root, config, RUNNER.value, BEAM.value)
    console.print(describe_store(shards.merge(*arguments)))
  elif shard_flags.MERGE.value:
    console.print(describe_store(shards.merge(*arguments)))
  else:
    console.print(describe_store(prepare.prepare(*arguments, console.print)))


def _check_flags(is_shard: bool) -> None:
  """Raises InputError for flags of two commands."""
  if RUNNER.value and (is_shard or shard_flags.MERGE.value):
    raise errors.InputError(
        "--runner runs all shards and merges them: leave --shard and --merge"
        " out."
    )
  if WAIT.value and not is_shard:
    raise errors.InputError("--wait is an option of --shard.")
  if BEAM.value and not RUNNER.value:
    raise errors.InputError(
        f"--beam={BEAM.value[0]}: is an option of --runner. Name a runner, such"
        " as --runner=direct."
    )


def _import_beam() -> types.ModuleType:
  """Returns the module that runs shards on Apache Beam.

  Raises:
    InputError: Beam is not installed.
  """
  try:
    from zsgen.data.shards import beam
  except ImportError as error:
    raise errors.InputError(
        f"--runner={RUNNER.value}: Apache Beam cannot be imported ({error})."
        " Install it into an environment of its own: pip install -e"
        " '.[beam,hf]' (docs/corpora.md)."
    ) from error
  return beam


def describe_progress(progress: shards.Progress, shard: shards.Shard) -> str:
  """Returns a line on what a shard has done, and what to do next."""
  name = f"shard {shard.index}/{shard.count}"
  if progress.store is not None:
    return f"{name}: the store exists already. {describe_store(progress.store)}"
  if progress.is_encoded:
    return (
        f"{name}: encoded {progress.chunks:,} chunks, {progress.rows:,} rows,"
        f" {progress.tokens:,} tokens. Once all shards have, run --merge."
    )
  if not progress.unscanned:
    return (
        f"{name}: scanned {progress.items:,} work items. All are scanned: run"
        " the commands of all shards again to encode."
    )
  numbers = progress.unscanned
  text = core_shards.list_numbers(numbers)
  return (
      f"{name}: scanned {progress.items:,} work items. Other shards have to scan"
      f" {len(numbers):,} ({text}) before rows are drawn. Run the same"
      " command again then."
  )


def describe_store(row_store: store.Store) -> str:
  """Returns a line on a store."""
  count, fingerprint = len(row_store), row_store.fingerprint
  return f"{row_store.path}: {count:,} rows, fingerprint {fingerprint}"
