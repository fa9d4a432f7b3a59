"""The stage report: the page of a run, and the closing table."""

import pathlib

from zsgen.core import hosts
from zsgen.pipeline import train
from zsgen.pipeline.experiment import Experiment
from zsgen.reports import curves, run_report
from zsgen.train import run_copies


def report(experiment: Experiment) -> pathlib.Path:
  """Writes the page of a run, trained if it is not finished; returns it.

  Raises:
    InputError: the run's records are damaged, or see `train.train`.
  """
  if experiment.run.finished() is None:
    train.train([experiment])
  page = ""
  if hosts.is_first():
    run = curves.open_run(experiment.run.path)
    order = run.load_order(experiment.store)
    page = str(run_report.write(run, experiment.store, order))
    run_copies.push(run.path, {})
    for table in run_report.tables(run):
      experiment.console.show(table)
    if run.lost_clocks:
      experiment.console.log(f"report   {run.lost_clocks}")
    experiment.console.log(f"report   {page}")
  return pathlib.Path(hosts.broadcast("report", page))
