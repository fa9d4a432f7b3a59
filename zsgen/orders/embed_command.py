"""Embeds the rows of a store, in one process or by shards.

  python -m zsgen.orders embed --config=my_config.py

makes the embeddings that the order of a config needs, in this process. The store
must exist: python -m zsgen.data prepare makes it. Several processes, which share
the workdir, each run

  python -m zsgen.orders embed --config=my_config.py --shard=INDEX/COUNT

and restarts skip what exists. Then

  python -m zsgen.orders embed --config=my_config.py --merge

makes the embeddings, which have the bytes of those that a single process makes.
"""

from collections.abc import Sequence
import pathlib

from zsgen.core import artifacts, command, errors, shard_flags, shards, terminal
from zsgen.core import config as config_lib
from zsgen.data import prepare
from zsgen.orders import arrangements, embedders, embedding_shards, embeddings
from zsgen.orders.embedders import by_model

FLAGS = (shard_flags.SHARD, shard_flags.MERGE)


def main() -> None:
  """Makes embeddings, a shard of them, or joins the shards, as the flags say.

  Raises:
    InputError: flags of two commands, a config without an embedder, no store,
      or see `embeddings.obtain`, `embed_shard` and `merge`.
  """
  shard = shard_flags.parse()
  config = config_lib.check(command.CONFIG.value)
  root = pathlib.Path(command.WORKDIR.value).absolute()
  console = terminal.Console(stderr=True)
  orders = _list_orders(config.order)
  store = prepare.open_existing(root / "stores", config.data, config.data_seed)
  for order in orders:
    if shard is not None:
      progress = embedding_shards.embed_shard(
          root, store, order, shard, console.print
      )
      line = shards.describe_progress(
          progress, shard, "chunks embedded", "the embeddings exist"
      )
      console.print(line)
    elif shard_flags.MERGE.value:
      console.print(_describe(*embedding_shards.merge(root, store, order)))
    else:
      vectors = embeddings.obtain(root, store, order, console.print)
      recipe = embeddings.recipe_of(store, order)
      console.print(_describe(vectors, embeddings.path_of(root, recipe)))


def _list_orders(order: config_lib.Order) -> Sequence[config_lib.Order]:
  """Returns the orders whose embeddings differ: an order and its parts.

  Raises:
    InputError: nothing is embedded, or a model of a run embeds.
  """
  named = {}
  for part in [order, *arrangements.all_parts(order)]:
    if not part.embedder:
      continue
    embedder = embedders.make(part)
    if isinstance(embedder, by_model.ModelEmbedder):
      raise errors.InputError(
          f"config.order.embedder: {part.embedder!r} embeds by a model of a"
          " run, which this command does not load. Use --stage=order."
      )
    recipe = [part.embedder, part.text, embedder.parameters()]
    named.setdefault(artifacts.digest(recipe), part)
  if not named:
    raise errors.InputError(
        "config.order.embedder is '': the order needs no embeddings. Set an"
        " embedder, such as --config.order.embedder=minilm."
    )
  return list(named.values())


def _describe(vectors: embeddings.Embeddings, path: pathlib.Path) -> str:
  """Returns a line on embeddings."""
  digest = vectors.digest[:16]
  return (
      f"{path}: {len(vectors):,} vectors of {vectors.dim:,}, SHA-256 {digest}…"
  )
