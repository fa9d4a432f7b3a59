"""The section `config.machine`: options that never change a result."""

import dataclasses
from typing import Any

from zsgen.core.schema import option, section

# The upper bound of options that count examples of a step, and its reason.
STEP: dict[str, Any] = dict(
    high=2**20, why="the examples of a step are held in memory"
)


@dataclasses.dataclass(frozen=True)
class Rule:
  """How parameters are split over the mesh."""

  # A regular expression for their whole path, such as r"blocks/.*/mlp/up/.*".
  parameters: str = option("", kind="regex")
  # The mesh axis that splits each of their axes; "": none. An axis that fsdp
  # splits is split by context too.
  axes: tuple[str, ...] = option((), choices=("data", "fsdp", "tensor", ""))


@dataclasses.dataclass(frozen=True)
class Mesh:
  """Devices on each axis of a slice; one axis may be -1: all that remain."""

  data: int = option(-1, low=-1, machine=True)
  fsdp: int = option(1, low=-1, machine=True)
  tensor: int = option(1, low=-1, machine=True)
  # Devices that split the positions of each row and, with fsdp, parameters.
  context: int = option(1, low=-1, machine=True)
  # Slices that split the rows: TPU slices, machines with GPUs or, on CPUs,
  # processes. The sizes above are those of one slice.
  dcn_data: int = option(1, low=1, machine=True)
  # Slices that split the rows and also the parameters.
  dcn_fsdp: int = option(1, low=1, machine=True)
  # Rules that replace those of zsgen/core/mesh.py; (): those. Each parameter
  # must match exactly one rule, and each rule at least one parameter.
  rules: tuple[Rule, ...] = option((), machine=True)


@dataclasses.dataclass(frozen=True)
class Hosts:
  """The processes of a run; needed only where JAX does not detect them."""

  # HOST:PORT of process 0, which all processes must be able to reach; "":
  # detected, or there is only one process.
  coordinator: str = option("", machine=True, per_process=True)
  # Number of processes; 0: detected; 1: one, without detection. Processes
  # compare the number that each of them uses, wherever it comes from.
  count: int = option(0, low=0, high=65_536, machine=True, per_process=True)
  # Index of this process, from 0; -1: detected.
  index: int = option(-1, low=-1, machine=True, per_process=True)
  # Seconds that a starting process waits for the others; 0: 45 with a
  # coordinator's address, 300 if JAX detects the processes of a cluster.
  wait: int = option(0, low=0, high=86_400, machine=True, per_process=True)


@dataclasses.dataclass(frozen=True)
class Machine:
  """Options that never change a result."""

  mesh: Mesh = section(Mesh, machine=True)
  hosts: Hosts = section(Hosts, machine=True)
  # Steps between checkpoints; the last step is always saved.
  save_every: int = option(50, low=1, machine=True)
  # Seconds after which another process may take over a run, or a point of a
  # sweep, in a bucket whose process has not renewed its lease.
  lease: int = option(60, low=1, high=86_400, machine=True)
  # Number of checkpoints to keep, the newest ones.
  keep: int = option(2, low=1, machine=True)
  # Further steps whose checkpoints are saved and kept, whatever save_every and
  # keep are; none may be beyond the last step of the order.
  keep_steps: tuple[int, ...] = option((), low=1, machine=True)
  # Maximum number of shapes of steps that training compiles; with more of them,
  # there is less padding.
  layouts: int = option(
      8,
      low=1,
      high=1024,
      why="training needs a shape, and each is a program to compile",
      machine=True,
  )
  # Number of parts in which the rows of a step are computed, one after the
  # other. More parts need less memory; at most the number of examples in a
  # step.
  micro_batches: int = option(1, low=1, machine=True, **STEP)
  # What the backward pass recomputes instead of saving it. none: nothing;
  # cheap: all but matrix products; full: whole blocks.
  remat: str = option("cheap", choices=("none", "cheap", "full"), machine=True)
  # Maximum number of positions with loss, in a row group (the rows of a device
  # in a micro-batch), whose logits are in memory at once; 0: all of them.
  logits_chunk: int = option(512, low=0, machine=True)
  # Implementation of attention; auto: the best one for the platform.
  attention: str = option(
      "auto",
      choices=("auto", "xla", "flash", "cudnn", "splash"),
      machine=True,
  )
  # Element type of exported parameters.
  export_dtype: str = option(
      "float32", choices=("float32", "bfloat16"), machine=True
  )
  # What is exported from a run with adapters. merged: the base with the
  # adapters merged into it; adapter: the adapters alone, as PEFT files.
  export: str = option("merged", choices=("merged", "adapter"), machine=True)
  # Whether to write TensorBoard events.
  tensorboard: bool = option(True, machine=True, per_process=True)
  # Weights & Biases project to write to; "": none (extra: wandb).
  wandb: str = option("", machine=True, per_process=True)
  # Trackio project to write to, on this machine; "": none (extra: trackio).
  trackio: str = option("", machine=True, per_process=True)
