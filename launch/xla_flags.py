"""Flags of the compiler for a chip: `eval "$(python -m launch.xla_flags v5e)"`.

Set before Python starts, as XLA reads them once. All are there to overlap what
chips send with what they compute; results do not depend on them. An XLA that
does not know a flag stops at once and names it.
"""

import shlex
import sys

_TPU = {
    # Schedules sends early and waits late.
    "xla_tpu_enable_latency_hiding_scheduler": "true",
    # Gathers start and end apart, so that something can stand between.
    "xla_enable_async_all_gather": "true",
    # What stands between are products: pieces of a gather run inside them,
    # over several of them where one is too short.
    "xla_tpu_enable_async_collective_fusion": "true",
    "xla_tpu_enable_async_collective_fusion_fuse_all_gather": "true",
    "xla_tpu_enable_async_collective_fusion_multiple_steps": "true",
    "xla_tpu_overlap_compute_collective_tc": "true",
    # Gradients over the axis data are summed beside the backward pass.
    "xla_tpu_enable_data_parallel_all_reduce_opt": "true",
    "xla_tpu_data_parallel_opt_different_sized_ops": "true",
}
# A product takes both cores of a chip, gathers are kept out of it: they would
# no longer be asynchronous.
_TWO_CORES = {"xla_tpu_megacore_fusion_allow_ags": "false"}
# Half again of the default for the tiles of a product: there are 128 MiB.
_WIDE = {"xla_tpu_scoped_vmem_limit_kib": "98304"}
_HOPPER = {
    # Schedules sends early and waits late.
    "xla_gpu_enable_latency_hiding_scheduler": "true",
    # A block's weights arrive, and its gradients leave, while another block of
    # the scan computes.
    "xla_gpu_enable_pipelined_all_gather": "true",
    "xla_gpu_enable_pipelined_reduce_scatter": "true",
    "xla_gpu_enable_pipelined_all_reduce": "true",
    # Two turns of the scan as one: without it the above copies what it sends.
    "xla_gpu_enable_while_loop_double_buffering": "true",
    # Sends of one block go together, those of several do not: 128 MiB.
    "xla_gpu_all_gather_combine_threshold_bytes": "134217728",
    "xla_gpu_reduce_scatter_combine_threshold_bytes": "134217728",
    "xla_gpu_all_reduce_combine_threshold_bytes": "134217728",
}
# By chip: the variable of the environment, and its flags.
CHIPS: dict[str, tuple[str, dict[str, str]]] = {
    "v4": ("LIBTPU_INIT_ARGS", {**_TPU, **_TWO_CORES}),
    "v5e": ("LIBTPU_INIT_ARGS", _TPU),
    "v5p": ("LIBTPU_INIT_ARGS", {**_TPU, **_TWO_CORES}),
    "v6e": ("LIBTPU_INIT_ARGS", {**_TPU, **_WIDE}),
    "h100": ("XLA_FLAGS", _HOPPER),
    "h200": ("XLA_FLAGS", _HOPPER),
}


def line(chip: str) -> str:
  """A line of shell that sets a chip's flags, after those that are set."""
  variable, flags = CHIPS[chip]
  words = " ".join(f"--{name}={value}" for name, value in flags.items())
  return f'export {variable}="${{{variable}:-}} "{shlex.quote(words)}'


def main() -> None:
  """Prints the line of the chip that is named."""
  if len(sys.argv) != 2 or sys.argv[1] not in CHIPS:
    sys.exit(f"zsgen: name one of the chips {', '.join(CHIPS)}.")
  print(line(sys.argv[1]))


if __name__ == "__main__":
  main()
