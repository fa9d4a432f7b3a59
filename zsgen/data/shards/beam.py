"""Runs the shards of a store on Apache Beam (extra `beam`).

Beam is the scheduler: its workers do work items and chunks one by one in the
directory of the job (`job`), which all of them must see, as the processes of
`--shard` do. So a retry, or work that Beam starts twice, changes nothing.
"""

from collections.abc import Sequence
import functools
import json
import pathlib
import re
from typing import NamedTuple

# pyright: reportMissingImports=false
import apache_beam as beam
from apache_beam.options import pipeline_options
from apache_beam.runners.portability import fn_api_runner

from zsgen.core import artifacts, errors, saved_config
from zsgen.core import config as config_lib
from zsgen.data import plan as plan_lib
from zsgen.data import prepare
from zsgen.data.shards import job as job_lib
from zsgen.data.shards import working

# Beam's name of each runner of --runner. Beam's own DirectRunner tries to
# download a binary first; "direct" is what it falls back to: workers in this
# process, or processes on this host.
_RUNNERS = {
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "dataflow": "DataflowRunner",
}
# The message of an InputError of a worker, in the error of a pipeline.
_MESSAGE = re.compile(
    r"errors\.InputError: (.*?)(?: \[while running|\n\n|\Z)", re.DOTALL
)


class Task(NamedTuple):
  """What a worker opens the job by.

  Attributes:
    root: the directory of the stores.
    config: the config, as JSON.
  """

  root: str
  config: str


def run(
    root: pathlib.Path,
    config: config_lib.Config,
    runner: str,
    options: Sequence[str],
) -> None:
  """Scans and encodes everything, so that the shards can be merged.

  If the store exists, nothing is to be done.

  Args:
    root: the directory of the stores; all workers must see it.
    config: the config; each worker loads its plug-ins.
    runner: "direct", "flink", "spark" or "dataflow".
    options: flags of Beam, such as "--direct_num_workers=2".

  Raises:
    InputError: of a worker; see `working.prepare_shard`.
  """
  if artifacts.exists(prepare.path_of(root, config.data, config.data_seed)):
    return
  task = Task(str(root), json.dumps(config_lib.to_dict(config)))
  job = job_lib.open_job(root, config.data, config.data_seed, create=True)
  parsed = pipeline_options.PipelineOptions(list(options))
  engine = _RUNNERS.get(runner) or fn_api_runner.FnApiRunner()
  try:
    with beam.Pipeline(engine, parsed) as pipeline:
      _build(pipeline, task, len(job.items))
  except Exception as error:
    # One of a worker in this process is raised itself.
    text = f"{type(error).__module__}.{type(error).__name__}: {error}"
    if match := _MESSAGE.search(text):
      raise errors.InputError(match[1]) from error
    raise


def _build(pipeline: beam.Pipeline, task: Task, count: int) -> None:
  """Adds the steps: no chunk is encoded before all items are scanned."""
  scanned = (
      pipeline
      | "List work items" >> beam.Create(range(count))
      | "Spread work items" >> beam.Reshuffle()
      | "Scan" >> beam.Map(functools.partial(_scan, task))
  )
  _ = (
      scanned
      | "Wait for all" >> beam.combiners.Count.Globally()
      | "Draw" >> beam.FlatMap(functools.partial(_draw, task))
      | "Spread chunks" >> beam.Reshuffle()
      | "Encode" >> beam.Map(functools.partial(_encode, task))
  )


def _scan(task: Task, number: int) -> int:
  """Scans a work item, unless it is scanned."""
  job = _open(task)
  if not job.part_path(number).is_dir():
    job.scan(number)
  return number


def _draw(task: Task, count: int) -> list[int]:
  """Returns the numbers of the chunks, once all items are scanned."""
  del count
  return list(range(len(_open(task).open_plan())))


def _encode(task: Task, number: int) -> int:
  """Encodes a chunk, unless it is encoded; returns its rows."""
  config = _config(task)
  chunks = working.encode_chunks(
      _open(task), _plan(task), [number], config.data, config.data_seed
  )
  return sum(len(chunk.table) for chunk in chunks)


@functools.lru_cache(1)
def _config(task: Task) -> config_lib.Config:
  return saved_config.read(json.loads(task.config))


@functools.lru_cache(1)
def _open(task: Task) -> job_lib.Job:
  config = _config(task)
  root = pathlib.Path(task.root)
  return job_lib.open_job(root, config.data, config.data_seed, create=False)


@functools.lru_cache(1)
def _plan(task: Task) -> plan_lib.Plan:
  return _open(task).open_plan()
