"""Peak rates and memory of common chips, by jax's names.

MFU and plans use this table: the vendors' peak rates of dense bfloat16 products
with float32 sums, for what jax counts as one device. Vendors state memory in GB
of 2^30 bytes, sometimes rounded.
"""

from typing import NamedTuple

_GB = 2**30
_TERA = 1e12


class Chip(NamedTuple):
  """One device.

  Attributes:
    name: name for display.
    kinds: values of `device_kind`.
    flops: peak rate of dense bfloat16 products, in FLOP/s.
    memory: memory in bytes.
    bandwidth: bandwidth of the memory, in bytes/s.
    links: total bandwidth of the links to other devices in one direction, in
      bytes/s.
  """

  name: str
  kinds: tuple[str, ...]
  flops: float
  memory: int
  bandwidth: float
  links: float


CHIPS = (
    # https://cloud.google.com/tpu/docs/v4; links: 2,400 Gbit/s, in
    # https://cloud.google.com/blog/products/ai-machine-learning/
    # introducing-cloud-tpu-v5p-and-ai-hypercomputer
    Chip("TPU v4", ("TPU v4",), 275 * _TERA, 32 * _GB, 1.2e12, 3e11),
    # https://cloud.google.com/tpu/docs/v5e; links: 1,600 Gbit/s.
    Chip(
        "TPU v5e",
        ("TPU v5 lite", "TPU v5e"),
        197 * _TERA,
        16 * _GB,
        8.19e11,
        2e11,
    ),
    # https://cloud.google.com/tpu/docs/v5p; links: 4,800 Gbit/s.
    Chip(
        "TPU v5p",
        ("TPU v5", "TPU v5p"),
        459 * _TERA,
        95 * _GB,
        2.765e12,
        6e11,
    ),
    # https://cloud.google.com/tpu/docs/v6e; links: 800 GB/s both ways.
    Chip(
        "TPU v6e",
        ("TPU v6 lite", "TPU v6e"),
        918 * _TERA,
        32 * _GB,
        1.64e12,
        4e11,
    ),
    # https://cloud.google.com/tpu/docs/tpu7x; a chip of 2,307 TFLOP/s, 192
    # GiB, 7,380 GB/s and links of 1,200 GB/s both ways is two devices.
    Chip(
        "TPU v7x, half a chip",
        ("TPU7x",),
        1153.5 * _TERA,
        96 * _GB,
        3.69e12,
        3e11,
    ),
    # https://www.nvidia.com/en-us/data-center/a100/ and its data sheets of 40
    # and 80 GB; NVLink 600 GB/s both ways, PCIe 64 GB/s.
    Chip(
        "A100 40GB SXM",
        ("NVIDIA A100-SXM4-40GB",),
        312 * _TERA,
        40 * _GB,
        1.555e12,
        3e11,
    ),
    Chip(
        "A100 40GB PCIe",
        ("NVIDIA A100-PCIE-40GB",),
        312 * _TERA,
        40 * _GB,
        1.555e12,
        3.2e10,
    ),
    Chip(
        "A100 80GB SXM",
        ("NVIDIA A100-SXM4-80GB",),
        312 * _TERA,
        80 * _GB,
        2.039e12,
        3e11,
    ),
    Chip(
        "A100 80GB PCIe",
        ("NVIDIA A100 80GB PCIe",),
        312 * _TERA,
        80 * _GB,
        1.935e12,
        3.2e10,
    ),
    # https://www.nvidia.com/en-us/data-center/h100/; half of the rates, which
    # are of sparse products: 1,979 and 1,513 TFLOP/s.
    Chip(
        "H100 SXM",
        ("NVIDIA H100 80GB HBM3",),
        989.5 * _TERA,
        80 * _GB,
        3.35e12,
        4.5e11,
    ),
    Chip(
        "H100 PCIe",
        ("NVIDIA H100 PCIe",),
        756.5 * _TERA,
        80 * _GB,
        2e12,
        6.4e10,
    ),
    # https://www.nvidia.com/en-us/data-center/h200/; half of 1,979 TFLOP/s.
    # 141 GB are a little less than 141 GiB.
    Chip(
        "H200 SXM",
        ("NVIDIA H200",),
        989.5 * _TERA,
        140 * _GB,
        4.8e12,
        4.5e11,
    ),
    # https://www.nvidia.com/en-us/data-center/dgx-b200/: a share of eight;
    # half of 36 PFLOP/s, 1,440 GB, 64 TB/s; NVLink 1,800 GB/s both ways.
    Chip(
        "B200",
        ("NVIDIA B200",),
        2250 * _TERA,
        179 * _GB,
        8e12,
        9e11,
    ),
    # https://www.nvidia.com/en-us/data-center/l4/; half of 242 TFLOP/s.
    Chip("L4", ("NVIDIA L4",), 121 * _TERA, 22 * _GB, 3e11, 3.2e10),
    # https://images.nvidia.com/aem-dam/Solutions/geforce/ada/
    # nvidia-ada-gpu-architecture.pdf, appendix A: with float32 sums.
    Chip(
        "RTX 4090",
        ("NVIDIA GeForce RTX 4090",),
        165.2 * _TERA,
        24 * _GB,
        1.008e12,
        3.2e10,
    ),
)


def find_chip(kind: str) -> Chip | None:
  """Returns the chip of a `device_kind`, or None if the table does not have it."""
  return next((chip for chip in CHIPS if kind in chip.kinds), None)
