"""The stage plan: what a step needs, before anything is there."""

from zsgen.core import artifacts, errors, slices
from zsgen.data import prepare, store
from zsgen.orders import order
from zsgen.pipeline.experiment import Experiment
from zsgen.planning import plan as plan_lib
from zsgen.planning import topology
from zsgen.reports import plans
from zsgen.train import layouts


def plan(experiment: Experiment) -> plan_lib.Plan:
  """Plans the config's step, and prints it; nothing is written.

  If the order has been made, it is the step of the most expensive shape.
  """
  console, config = experiment.console, experiment.config
  hardware = topology.find_hardware(
      config.plan.topology, slices.count(config.machine.mesh)
  )
  lengths = None
  if not (config.plan.rows or config.plan.length):
    lengths = known_lengths(experiment)
  with console.status(f"plan for {hardware.name}"):
    result = plan_lib.make(config, experiment.start, hardware, lengths)
  for table in plans.tables(result):
    console.show(table)
  if result.planned:
    console.log(f"layouts  {result.planned.describe()}")
  for line in plans.verdict(result):
    console.log(f"plan     {line}")
  return result


def known_lengths(experiment: Experiment) -> layouts.Lengths | None:
  """Returns the sizes of the examples of the order, if it has been made.

  Otherwise it prints why they are not known.
  """
  config, workdir = experiment.config, experiment.workdir
  reason = "the order has not been made (--stage=order)"
  try:
    path = prepare.path_of(workdir / "stores", config.data, config.data_seed)
    if artifacts.exists(path):
      opened = store.open_store(path)
      path = experiment.order_path(opened)
      if artifacts.exists(path):
        ids = experiment.planned_ids(order.Order.load(path, opened).ids)
        return layouts.sizes_of(opened, ids)
  except errors.InputError as error:
    reason = str(error)
  experiment.console.log(
      "layouts  the largest step that there can be, because shapes are not"
      f" known: {reason}"
  )
  return None
