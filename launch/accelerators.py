"""The accelerators that jobs run on: their names, sizes and labels.

All of `launch` reads this table. Its facts are those of Google's public pages
(runtime versions of Cloud TPU, "Plan TPUs in GKE"); a test compares the sizes
with the topologies. Versions after v6e have no queued resources.
"""

import dataclasses
import math

from zsgen.core import errors

# Families of images in the project `ubuntu-os-accelerator-images`.
_IMAGE = "ubuntu-accel-2204-amd64-tpu-v5e-v5p-v6e"
_IMAGE_7X = "ubuntu-accel-2404-amd64-tpu-tpu7x"
_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_BOXES = (
    *("2x2x1", "2x2x2", "2x2x4", "2x4x4"),
    *("4x4x4", "4x4x8", "4x8x8", "8x8x8"),
)


@dataclasses.dataclass(frozen=True)
class Tpu:
  """A TPU version.

  Attributes:
    name: its short name, such as "v5e".
    prefix: the start of its accelerator types, "v5litepod" of "v5litepod-16".
    cores: the number by which an accelerator type counts a chip.
    vm_chips: the most chips of a VM that is a slice by itself; other VMs have
      4.
    runtimes: the images of its VMs, the default first.
    label: `cloud.google.com/gke-tpu-accelerator` of its nodes in GKE.
    machine: the machine type of these nodes, with the chips as a field.
    topologies: the shapes of slices, in chips.
    image: the family of the images of VMs of Compute Engine; "" if there are
      none.
    disk: the type of their boot disks; "" for the default.
  """

  name: str
  prefix: str
  cores: int
  vm_chips: int
  runtimes: tuple[str, ...]
  label: str
  machine: str
  topologies: tuple[str, ...]
  image: str = ""
  disk: str = ""

  def slices(self) -> dict[str, "Slice"]:
    """Returns all slices by accelerator type, from the smallest."""
    slices = [Slice(self, topology) for topology in self.topologies]
    return {slice_.accelerator_type: slice_ for slice_ in slices}


@dataclasses.dataclass(frozen=True)
class Slice:
  """A TPU slice: chips that are connected to each other.

  Attributes:
    tpu: the version.
    topology: its shape in chips, such as "4x4".
  """

  tpu: Tpu
  topology: str

  @property
  def chips(self) -> int:
    """The number of chips."""
    return math.prod(int(side) for side in self.topology.split("x"))

  @property
  def chips_per_host(self) -> int:
    """The number of chips of one VM."""
    return self.chips if self.chips <= self.tpu.vm_chips else 4

  @property
  def hosts(self) -> int:
    """The number of VMs."""
    return self.chips // self.chips_per_host

  @property
  def accelerator_type(self) -> str:
    """The name that gcloud, xpk and gcluster use, such as "v5litepod-16"."""
    return f"{self.tpu.prefix}-{self.chips * self.tpu.cores}"

  @property
  def machine(self) -> str:
    """The machine type of the nodes in GKE."""
    return self.tpu.machine.format(self.chips_per_host)


@dataclasses.dataclass(frozen=True)
class Gpu:
  """A GPU of Google Cloud.

  Attributes:
    name: its short name, such as "h100".
    counts: the numbers of GPUs that a node can have.
    label: `cloud.google.com/gke-accelerator` of its nodes in GKE.
    device: the start of its device types in xpk.
    sky: its name in SkyPilot.
  """

  name: str
  counts: tuple[int, ...]
  label: str
  device: str
  sky: str


@dataclasses.dataclass(frozen=True)
class Node:
  """A machine with GPUs.

  Attributes:
    gpu: the kind of its GPUs.
    gpus: their number.
  """

  gpu: Gpu
  gpus: int


TPUS = {
    tpu.name: tpu
    for tpu in (
        Tpu(
            name="v4",
            prefix="v4",
            cores=2,
            vm_chips=4,
            runtimes=("tpu-ubuntu2204-base", "v2-alpha-tpuv4"),
            label="tpu-v4-podslice",
            machine="ct4p-hightpu-{}t",
            topologies=(*_BOXES, "8x8x12", "8x8x16", "8x16x16"),
        ),
        Tpu(
            name="v5e",
            prefix="v5litepod",
            cores=1,
            vm_chips=8,
            runtimes=("v2-alpha-tpuv5-lite",),
            label="tpu-v5-lite-podslice",
            machine="ct5lp-hightpu-{}t",
            topologies=_FLAT,
        ),
        Tpu(
            name="v5p",
            prefix="v5p",
            cores=2,
            vm_chips=4,
            runtimes=("v2-alpha-tpuv5",),
            label="tpu-v5p-slice",
            machine="ct5p-hightpu-{}t",
            # Slices above 1,024 chips exist too; add a line to use them.
            topologies=(
                "2x2x1",
                "2x2x2",
                "2x2x4",
                "2x4x4",
                "4x4x4",
                "4x4x8",
                "4x4x12",
                "4x8x8",
                "4x4x20",
                "4x8x12",
                "4x4x28",
                "8x8x8",
                "4x12x12",
                "4x8x20",
                "8x8x12",
                "8x8x16",
            ),
            image=_IMAGE,
        ),
        Tpu(
            name="v6e",
            prefix="v6e",
            cores=1,
            vm_chips=8,
            runtimes=("v2-alpha-tpuv6e",),
            label="tpu-v6e-slice",
            machine="ct6e-standard-{}t",
            topologies=_FLAT,
            image=_IMAGE,
        ),
        Tpu(
            name="tpu7x",
            prefix="tpu7x",
            cores=2,
            vm_chips=4,
            runtimes=(),
            label="tpu7x",
            machine="tpu7x-standard-{}t",
            # Slices above 1,024 chips exist too; add theirs to use them.
            topologies=(*_BOXES, "8x8x16"),
            image=_IMAGE_7X,
            disk="hyperdisk-balanced",
        ),
    )
}
GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100", (1, 2, 4, 8), "nvidia-tesla-a100", "a100-40gb", "A100"),
        Gpu("h100", (8,), "nvidia-h100-80gb", "h100-80gb", "H100"),
        Gpu("h200", (8,), "nvidia-h200-141gb", "h200-141gb", "H200"),
    )
}


def find(name: str) -> Slice | Node:
  """Returns a TPU slice or a GPU node.

  Args:
    name: a kind and a size, such as "v5e-16", "v5litepod-16" or "h100-8".

  Raises:
    InputError: the kind is unknown, or it does not have that size.
  """
  source = f"--accelerator={name}"
  kind, _, size = name.rpartition("-")
  by_prefix = {tpu.prefix: tpu for tpu in TPUS.values()}
  kinds: dict[str, Tpu | Gpu] = {**by_prefix, **TPUS, **GPUS}
  if not kind or not size.isdecimal():
    raise errors.InputError(
        f"{source}: give a kind and a size, such as v5e-16 or h100-8. Kinds:"
        f" {', '.join([*TPUS, *GPUS])}."
    )
  match errors.choose(kinds, kind, source):
    case Tpu() as tpu:
      slices = tpu.slices()
      match = slices.get(f"{tpu.prefix}-{int(size)}")
      sizes = [type_.rpartition("-")[2] for type_ in slices]
    case gpu:
      sizes = [str(count) for count in gpu.counts]
      match = Node(gpu, int(size)) if size in sizes else None
  if match is None:
    known = ", ".join(f"{kind}-{size}" for size in sizes)
    raise errors.InputError(
        f"{source}: there is no {kind} of that size. Choose one of: {known}."
    )
  return match


def find_slice(name: str) -> Slice:
  """Returns a TPU slice.

  Raises:
    InputError: see `find`; or it is not a TPU.
  """
  accelerator = find(name)
  if not isinstance(accelerator, Slice):
    raise errors.InputError(
        f"--accelerator={name} is not a TPU, and this way to start a job is"
        f" only for TPUs ({', '.join(TPUS)}). For GPUs, use python -m"
        " launch.render with jobset, sky or slurm."
    )
  return accelerator


def choose_runtime(tpu: Tpu, runtime: str) -> str:
  """Returns the image of TPU VMs.

  Args:
    tpu: the version.
    runtime: the value of --runtime; "" for the default.

  Raises:
    InputError: the image is not for this version, or it has no queued
      resources.
  """
  if not tpu.runtimes:
    raise errors.InputError(
        f"{tpu.name} has no queued resources. python -m launch.render mig makes"
        " a script for VMs of Compute Engine, and jobset a manifest for GKE."
    )
  if runtime in ("", *tpu.runtimes):
    return runtime or tpu.runtimes[0]
  owners = [kind.name for kind in TPUS.values() if runtime in kind.runtimes]
  problem = f"is for {', '.join(owners)}" if owners else "is unknown"
  raise errors.InputError(
      f"--runtime={runtime} {problem}. {tpu.name} has:"
      f" {', '.join(tpu.runtimes)}; leave --runtime out for the first one."
  )
