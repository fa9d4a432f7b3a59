"""Makes the order of a config, in one process or by shards.

  python -m zsgen.orders arrange --config=my_config.py

makes the order in this process, as --stage=order does. The store must exist:
python -m zsgen.data prepare makes it. If the arrangement is tmt and the
embeddings exist, several processes, which share the workdir, can divide the pool:
each runs

  python -m zsgen.orders arrange --config=my_config.py --shard=INDEX/COUNT

and restarts skip what exists. Then

  python -m zsgen.orders arrange --config=my_config.py --merge

makes the order, which is that of a single process.
"""

import pathlib

from zsgen.core import command, errors, shard_flags, shards, terminal
from zsgen.core import config as config_lib
from zsgen.data import prepare
from zsgen.orders import order as order_lib
from zsgen.orders import shortlist_shards

FLAGS = (shard_flags.SHARD, shard_flags.MERGE)


def main() -> None:
  """Makes an order, a shard of its lists, or joins the shards.

  Raises:
    InputError: flags of two commands, a run that is forked, no store, or see
      `order.make`, `list_shard` and `merge`.
  """
  shard = shard_flags.parse()
  config = config_lib.check(command.CONFIG.value)
  if config.fork:
    raise errors.InputError(
        f"config.fork={config.fork}: the order of a run that is forked depends"
        " on what its parent has consumed. Use --stage=order."
    )
  root = pathlib.Path(command.WORKDIR.value).absolute()
  console = terminal.Console(stderr=True)
  store = prepare.open_existing(root / "stores", config.data, config.data_seed)
  arguments = root, store, config.order, config.order_seed
  if shard is not None:
    progress = shortlist_shards.list_shard(*arguments, shard, console.print)
    line = shards.describe_progress(
        progress, shard, "parts of the pool listed", "the order exists"
    )
    console.print(line)
    return
  make = shortlist_shards.merge if shard_flags.MERGE.value else order_lib.make
  order = make(*arguments, console.print)
  console.print(
      f"{order.path}: {len(order):,} examples, fingerprint {order.fingerprint}"
  )
