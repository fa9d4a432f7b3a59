"""Compiler flags for a chip: `eval "$(python -m launch.xla_flags v5e)"`.

Set them before Python starts, because XLA reads them only once. They overlap
communication with computation and do not affect results. XLA stops with an
error that names a flag if it does not know it.
"""

import shlex
import sys

_TPU = {
    # Schedules sends early and waits late.
    "xla_tpu_enable_latency_hiding_scheduler": "true",
    # Separates the start and the end of gathers, to compute in between.
    "xla_enable_async_all_gather": "true",
    # Runs pieces of a gather inside of products, and over several products if
    # one is too short.
    "xla_tpu_enable_async_collective_fusion": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_all_gather": "true",
    "xla_tpu_enable_async_collective_fusion_multiple_steps": "true",
    "xla_tpu_overlap_compute_collective_tc": "true",
    # Sums gradients over the axis data during the backward pass.
    "xla_tpu_enable_data_parallel_all_reduce_opt": "true",
    "xla_tpu_data_parallel_opt_different_sized_ops": "true",
}
# A product uses both cores of a chip. Gathers are not fused with it, because
# they would no longer be asynchronous.
_TWO_CORES = {"xla_tpu_megacore_fusion_allow_ags": "false"}
# 1.5 times the default for the tiles of a product, of 128 MiB in total.
_WIDE = {"xla_tpu_scoped_vmem_limit_kib": "98304"}
_HOPPER = {
    # Schedules sends early and waits late.
    "xla_gpu_enable_latency_hiding_scheduler": "true",
    # Receives a block's weights, and sends its gradients, while another block
    # of the scan computes.
    "xla_gpu_enable_pipelined_all_gather": "true",
    "xla_gpu_enable_pipelined_reduce_scatter": "true",
    "xla_gpu_enable_pipelined_all_reduce": "true",
    # Unrolls the scan twice; otherwise the flags above copy what they send.
    "xla_gpu_enable_while_loop_double_buffering": "true",
    # Combines the sends of one block but not of several: 128 MiB.
    "xla_gpu_all_gather_combine_threshold_bytes": "134217728",
    "xla_gpu_reduce_scatter_combine_threshold_bytes": "134217728",
    "xla_gpu_all_reduce_combine_threshold_bytes": "134217728",
}
# The environment variable and the flags of each chip.
CHIPS: dict[str, tuple[str, dict[str, str]]] = {
    "v4": ("LIBTPU_INIT_ARGS", {**_TPU, **_TWO_CORES}),
    "v5e": ("LIBTPU_INIT_ARGS", _TPU),
    "v5p": ("LIBTPU_INIT_ARGS", {**_TPU, **_TWO_CORES}),
    "v6e": ("LIBTPU_INIT_ARGS", {**_TPU, **_WIDE}),
    "h100": ("XLA_FLAGS", _HOPPER),
    "h200": ("XLA_FLAGS", _HOPPER),
}


def line(chip: str) -> str:
  """Returns a shell line that appends a chip's flags to the current ones."""
  variable, flags = CHIPS[chip]
  words = " ".join(f"--{name}={value}" for name, value in flags.items())
  return f'export {variable}="${{{variable}:-}} "{shlex.quote(words)}'


def main() -> None:
  """Prints the line of a chip."""
  if len(sys.argv) != 2 or sys.argv[1] not in CHIPS:
    sys.exit(f"zsgen: give one of the chips {', '.join(CHIPS)}.")
  print(line(sys.argv[1]))


if __name__ == "__main__":
  main()
