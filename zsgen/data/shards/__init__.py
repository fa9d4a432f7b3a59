"""Prepares a store by several processes, on one or many hosts.

They share a directory next to the store, and nothing else: no process waits for
another one, and each may be killed and started again. A `Job` is that
directory. Its work items, and then the chunks of the store, are divided among
shards; whoever makes one of them, and however often, makes the same bytes.
"""

from zsgen.core.shards import Shard, parse_shard
from zsgen.data.shards.merging import merge
from zsgen.data.shards.working import Progress, prepare_shard

__all__ = ["Progress", "Shard", "merge", "parse_shard", "prepare_shard"]
