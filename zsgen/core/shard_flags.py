"""The flags of commands that do a shard of their work, or join all shards."""

from absl import flags

from zsgen.core import errors, shards

SHARD = flags.DEFINE_string(
    "shard", None, "INDEX/COUNT: do this part of the work, such as 0/2."
)
MERGE = flags.DEFINE_bool("merge", False, "Join what all shards have made.")


def parse() -> shards.Shard | None:
  """Returns the shard that the flags name; None if they name none.

  Raises:
    InputError: they name none of the possible shards, or two commands.
  """
  if SHARD.value is None:
    return None
  if MERGE.value:
    raise errors.InputError(
        "--shard and --merge are two commands: run --merge when all shards are"
        " done."
    )
  return shards.parse_shard(SHARD.value)
