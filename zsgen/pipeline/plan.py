"""The stage plan: what a step needs, before anything is there."""

from zsgen.pipeline import experiment
from zsgen.planning import plan as plan_lib
from zsgen.planning import topology
from zsgen.reports import grids, plans


def plan(made: experiment.Experiment) -> plan_lib.Plan:
  """Plans the config's step, and prints it; no data is read or written."""
  hardware = topology.find_hardware(made.config.plan.topology)
  with made.console.status(f"plan for {hardware.name}"):
    result = plan_lib.make(made.config, made.start, hardware)
  for table in plans.tables(result):
    made.console.print(grids.to_rich(table))
  for line in plans.verdict(result):
    made.say(f"plan     {line}")
  return result
