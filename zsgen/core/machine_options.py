"""The section `config.machine`: what never changes a result."""

import dataclasses
from typing import Any

from zsgen.core.schema import option, section

# The bound of options that count examples of a step, and the reason.
STEP: dict[str, Any] = dict(
    high=2**20, why="the examples of a step are held in memory"
)


@dataclasses.dataclass(frozen=True)
class Rule:
  """How parameters are split over the mesh."""

  # A regular expression over their whole path, such as r"blocks/.*/mlp/up/.*".
  parameters: str = option("", kind="regex")
  # The mesh axis that splits each of their axes; "" for none. What fsdp
  # splits, context splits too.
  axes: tuple[str, ...] = option((), choices=("data", "fsdp", "tensor", ""))


@dataclasses.dataclass(frozen=True)
class Mesh:
  """Devices on each axis, in each slice; one -1 takes those that are left."""

  data: int = option(-1, low=-1, machine=True)
  fsdp: int = option(1, low=-1, machine=True)
  tensor: int = option(1, low=-1, machine=True)
  # Devices that split the positions of each row, and parameters with fsdp.
  context: int = option(1, low=-1, machine=True)
  # TPU slices, machines with GPUs or, on CPUs, processes that split the rows:
  # the sizes above are for the devices of one of them.
  dcn_data: int = option(1, low=1, machine=True)
  # The same, but they split parameters too.
  dcn_fsdp: int = option(1, low=1, machine=True)
  # Instead of those of zsgen/core/mesh.py; (): they. Each parameter must match
  # exactly one, and each rule some parameter.
  rules: tuple[Rule, ...] = option((), machine=True)


@dataclasses.dataclass(frozen=True)
class Hosts:
  """The processes of a run; nothing need be set where jax finds them itself."""

  # HOST:PORT of process 0, which all processes reach; "": found, or one
  # process.
  coordinator: str = option("", machine=True, per_process=True)
  # Processes; 0: as many as are found. 1: one, and nothing is looked for. The
  # number that is in force is compared, wherever it comes from.
  count: int = option(0, low=0, high=65_536, machine=True, per_process=True)
  # The number of this process, from 0; -1: found.
  index: int = option(-1, low=-1, machine=True, per_process=True)
  # Seconds that a process waits at its start for the others; 0: 45 if there is
  # a coordinator's address, 300 if jax finds the processes of a cluster.
  wait: int = option(0, low=0, high=86_400, machine=True, per_process=True)


@dataclasses.dataclass(frozen=True)
class Machine:
  """What never changes a result."""

  mesh: Mesh = section(Mesh, machine=True)
  hosts: Hosts = section(Hosts, machine=True)
  # Steps between checkpoints; the last step is always saved.
  save_every: int = option(50, low=1, machine=True)
  # Seconds after which another process may take over a run, or a point of a
  # sweep, in a bucket whose process has not renewed its lease.
  lease: int = option(60, low=1, high=86_400, machine=True)
  # Checkpoints that are kept, the newest ones.
  keep: int = option(2, low=1, machine=True)
  # Steps that are saved and whose checkpoints are kept too, whatever save_every
  # and keep are; at most the steps of the order.
  keep_steps: tuple[int, ...] = option((), low=1, machine=True)
  # Shapes of steps that training may compile, at the most: more have less
  # padding.
  layouts: int = option(
      8,
      low=1,
      high=1024,
      why="training needs a shape, and each is a program to compile",
      machine=True,
  )
  # Parts that the rows of a step are computed in, one after the other: more
  # need less memory; at most the examples of a step.
  micro_batches: int = option(1, low=1, machine=True, **STEP)
  # What the backward pass computes again instead of keeping it: nothing, all
  # but matrix products, or whole blocks.
  remat: str = option("cheap", choices=("none", "cheap", "full"), machine=True)
  # Positions with loss of each row group (the rows of a device in a
  # micro-batch) whose logits are held at once; 0: all of them.
  logits_chunk: int = option(512, low=0, machine=True)
  # How attention is computed; auto: as is best on the platform.
  attention: str = option(
      "auto",
      choices=("auto", "xla", "flash", "cudnn", "splash"),
      machine=True,
  )
  # Element type of exported parameters.
  export_dtype: str = option(
      "float32", choices=("float32", "bfloat16"), machine=True
  )
  # What is exported of a run with adapters: the base with them merged in, or
  # they alone, as PEFT's files.
  export: str = option("merged", choices=("merged", "adapter"), machine=True)
  # Write TensorBoard events.
  tensorboard: bool = option(True, machine=True, per_process=True)
  # Weights & Biases project to write to; "" for none (extra: wandb).
  wandb: str = option("", machine=True, per_process=True)
  # Trackio project to write to, on this machine; "" for none (extra: trackio).
  trackio: str = option("", machine=True, per_process=True)
