"""`make tpu-check`: compiles every preset of configs/scale and prints its plan.

It needs libtpu (the extra `tpu`) but no TPU, takes minutes per preset, and
prints the table of docs/scale.md. First it compiles small steps with everything
that a mesh can split, with the TPU's attention, on a topology of each family.
"""

from collections.abc import Iterator
import pathlib
import runpy
import sys
import time

from absl import app, flags

from zsgen.core import config as config_lib
from zsgen.core import errors, slices
from zsgen.planning import plan as plan_lib
from zsgen.planning import topology
from zsgen.reports import grids, plans
from zsgen.train import starts

_ONLY = flags.DEFINE_list(
    "only", None, "Presets to plan, without the small steps."
)
_PRESETS = pathlib.Path(__file__).parents[1] / "configs/scale/llama2_7b.py"
# Topologies, and the chips that share the positions of a row.
_SMALL = (
    ("v4:2x2x1", 1),
    ("v5e:2x4", 1),
    ("v5e:2x4", 2),
    ("v5p:2x2x1", 1),
    ("v6e:2x4", 1),
    ("tpu7x:2x2x1", 1),
)


def main(argv: list[str]) -> None:
  """Plans the presets of the flags, including those that do not fit."""
  del argv
  rows = []
  for name, config in _configs(_ONLY.value):
    begin = time.monotonic()
    plan = _planned(config)
    rows.append(plans.row(name, plan))
    print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    for line in plans.verdict(plan):
      print(f"  {line}", file=sys.stderr)
  print(grids.to_markdown(plans.side_by_side(rows)))


def _configs(
    presets: list[str] | None,
) -> Iterator[tuple[str, config_lib.Config]]:
  """Yields the names and configs to plan."""
  file = runpy.run_path(str(_PRESETS))
  for name in presets or file["PRESETS"]:
    yield name, config_lib.check(file["get_config"](name))
  for topology_name, context in () if presets else _SMALL:
    yield "small", config_lib.check(_small(topology_name, context))


def _small(topology_name: str, context: int) -> dict:
  """Returns a small decoder with the features of all families, split on every
  axis.
  """
  return {
      "plan": {"topology": topology_name, "length": 512},
      "model": {
          "init": "new",
          "dtype": "bfloat16",
          "vocab_multiple": 128,
          "heads": 4,
          "kv_heads": 2,
          "head_width": 128,
          "pattern": ["local", "global"],
          "window": 256,
          "score_cap": 50.0,
          "qk_norm": True,
      },
      "machine": {
          "mesh": {"fsdp": 2, "tensor": 2, "context": context},
          "micro_batches": 2,
      },
  }


def _planned(config: config_lib.Config) -> plan_lib.Plan:
  """Returns the plan of a config for its topology."""
  start = starts.make(config.model, config.init_seed, config.lora)
  count = slices.count(config.machine.mesh)
  hardware = topology.find_hardware(config.plan.topology, count)
  return plan_lib.make(config, start, hardware)


if __name__ == "__main__":
  try:
    app.run(main)
  except errors.InputError as error:
    sys.exit(f"zsgen: {error}")
