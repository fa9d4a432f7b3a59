"""The stage plan: what a step needs, before anything is there."""

from zsgen.pipeline.experiment import Experiment
from zsgen.planning import plan as plan_lib
from zsgen.planning import topology
from zsgen.reports import plans


def plan(experiment: Experiment) -> plan_lib.Plan:
  """Plans the config's step, and prints it; no data is read or written."""
  console, config = experiment.console, experiment.config
  hardware = topology.find_hardware(config.plan.topology)
  with console.status(f"plan for {hardware.name}"):
    result = plan_lib.make(config, experiment.start, hardware)
  for table in plans.tables(result):
    console.show(table)
  for line in plans.verdict(result):
    console.log(f"plan     {line}")
  return result
