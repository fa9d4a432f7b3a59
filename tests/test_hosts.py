"""Runs of several processes: what one process does, whatever happens to some.

Real processes on the loopback. The small config has 10 steps, evaluations at
0, 4, 8, 10 and checkpoints at 5 and 10.
"""

from concurrent import futures
import dataclasses
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.helpers import closeness, xla
from zsgen import verify
from zsgen.core import artifacts, errors

SIGNAL_RUN = pathlib.Path(__file__).parent / "helpers" / "signal_run.py"
CONFIG = """
import json
import ml_collections

def get_config():
  return ml_collections.ConfigDict(json.loads({text!r}))
"""


@dataclasses.dataclass(frozen=True)
class Ended:
  """How each process of a run ended, and its output.

  Attributes:
    codes: exit codes.
    output: stdout and stderr.
    seconds_after_first: from the end of the first to that of the last.
  """

  codes: list[int]
  output: list[str]
  seconds_after_first: float


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
  """Makes the directory of compiled programs."""
  path = tmp_path_factory.mktemp("shared")
  (path / "cache").mkdir()
  return path


@pytest.fixture
def start(small, shared, tmp_path):
  """Runs the train stage as several processes; moment see signal_run.py."""
  small.model.kv_heads = 2
  small.model.vocab_size = 264
  file = tmp_path / "config.py"
  file.write_text(CONFIG.format(text=small.to_json()))

  def run(
      workdir, processes, moment="never", mesh=(-1, 1, 1), *overrides, **kwargs
  ) -> Ended:
    path = tmp_path / workdir
    if not path.exists():
      path.mkdir()
      (path / "cache").symlink_to(shared / "cache")
    flags = [f"--config={file}", f"--workdir={path}"]
    axes = ("data", "fsdp", "tensor", "context")
    for axis, size in zip(axes, mesh, strict=False):
      flags.append(f"--config.machine.mesh.{axis}={size}")
    command = [sys.executable, SIGNAL_RUN, moment, *flags, *overrides]
    if not any(flag.startswith("--stage") for flag in overrides):
      command.append("--stage=train")
    return _ended(_processes(command, processes, **kwargs))

  return run


def _coordinator(count: int) -> list[dict[str, str]]:
  """What each process is told by zsgen's variables."""
  address = f"127.0.0.1:{_free_port()}"
  return [
      {
          "JAX_COORDINATOR_ADDRESS": address,
          "JAX_NUM_PROCESSES": str(count),
          "JAX_PROCESS_ID": str(index),
      }
      for index in range(count)
  ]


def _two_devices(count: int) -> list[dict[str, str]]:
  """What gives each process two devices."""
  flags = xla.environment(xla.devices(2))["XLA_FLAGS"]
  return [
      {**variables, "XLA_FLAGS": flags} for variables in _coordinator(count)
  ]


def _slurm(count: int) -> list[dict[str, str]]:
  """What SLURM tells each process: jax finds the others by it."""
  port = str(_free_port())
  return [
      {
          "JAX_COORDINATOR_PORT": port,
          "SLURM_JOB_ID": "7",
          "SLURM_STEP_NODELIST": "127.0.0.1",
          "SLURM_NTASKS": str(count),
          "SLURM_PROCID": str(index),
          "SLURM_LOCALID": "0",
      }
      for index in range(count)
  ]


def _processes(
    command: list, count: int, environments=_coordinator, own_flags=()
) -> list[subprocess.Popen]:
  """Starts processes; `own_flags` has further flags of each."""
  return [
      subprocess.Popen(
          [*command, *flags],
          env={**xla.environment(), **environment},
          stdout=subprocess.PIPE,
          stderr=subprocess.STDOUT,
          text=True,
      )
      for environment, flags in zip(
          environments(count), own_flags or [()] * count, strict=True
      )
  ]


def _ended(processes: list[subprocess.Popen]) -> Ended:
  ends = []

  def read(process: subprocess.Popen) -> str:
    process_output, _ = process.communicate(timeout=240)
    ends.append(time.monotonic())
    return process_output

  try:
    with futures.ThreadPoolExecutor(len(processes)) as pool:
      output = list(pool.map(read, processes))
  finally:
    for process in processes:
      process.kill()
  codes = [process.returncode for process in processes]
  return Ended(codes, output, max(ends) - min(ends))


def _free_port() -> int:
  with socket.socket() as actual:
    actual.bind(("127.0.0.1", 0))
    return actual.getsockname()[1]


def _run(workdir: pathlib.Path) -> dict:
  """What a run has left."""
  (path,) = (workdir / "runs").iterdir()
  return {
      "name": path.name,
      "consumed": np.load(path / "consumed.npy"),
      "losses": np.load(path / "evals/heldout/loss.npy"),
      "metrics": [json.loads(line) for line in (path / "metrics.jsonl").open()],
      "bytes": (path / "metrics.jsonl").read_bytes(),
  }


def _check_same(workdir: pathlib.Path, expected_workdir: pathlib.Path) -> None:
  actual, expected = _run(workdir), _run(expected_workdir)
  assert actual["name"] == expected["name"]
  assert (expected["consumed"] >= 0).all()
  np.testing.assert_array_equal(actual["consumed"], expected["consumed"])
  closeness.assert_close(actual["losses"], expected["losses"])
  for record, expected_record in zip(
      actual["metrics"], expected["metrics"], strict=True
  ):
    assert record == pytest.approx(expected_record, rel=1e-5)


def _artifacts(workdir: pathlib.Path, kind: str) -> dict[str, bytes]:
  files = [
      path
      for path in (workdir / kind).rglob("*")
      if path.is_file() and path.name != artifacts.PROVENANCE
  ]
  return {str(path.relative_to(workdir)): path.read_bytes() for path in files}


@pytest.fixture
def single_workdir(small, start, workdirs):
  """Runs one process; `start` has changed `small`. Returns its workdir."""
  return workdirs.get(small, "train")


@pytest.mark.slow
def test_two_processes_stop_and_resume(start, single_workdir, tmp_path):
  """Stops one of them by SIGTERM; resumed, they leave what one process does."""
  stopped = start("stopped", 2, "SIGTERM:1:2")
  assert stopped.codes == [errors.STOPPED] * 2, stopped.output
  assert "train    from step 0 of 10" in stopped.output[0]
  for message in stopped.output:  # They agree on a step.
    assert "zsgen: stopped before step 6 of 10" in message
    assert "resume with the same command" in message
  assert len(_run(tmp_path / "stopped")["metrics"]) == 6 + 2
  for kind in ("orders", "embeddings"):
    artifacts = _artifacts(tmp_path / "stopped", kind)
    assert artifacts == _artifacts(single_workdir, kind)
  resumed = start("stopped", 2)
  assert resumed.codes == [0, 0], resumed.output
  assert "train    from step 6 of 10" in resumed.output[0]
  assert "zsgen" not in re.sub("Gloo.*", "", resumed.output[1])  # It is silent.
  _check_same(tmp_path / "stopped", single_workdir)


@pytest.mark.slow
def test_a_stop_changes_no_byte_and_one_process_may_resume(
    start, single_workdir, tmp_path
):
  unbroken = start("unbroken", 2)
  assert unbroken.codes == [0, 0], unbroken.output
  assert start("stopped", 2, "SIGTERM:1:2").codes == [errors.STOPPED] * 2
  shutil.copytree(tmp_path / "stopped", tmp_path / "moved", symlinks=True)
  assert start("stopped", 2).codes == [0, 0]
  actual, expected = _run(tmp_path / "stopped"), _run(tmp_path / "unbroken")
  assert actual["bytes"] == expected["bytes"]
  np.testing.assert_array_equal(actual["losses"], expected["losses"])
  np.testing.assert_array_equal(actual["consumed"], expected["consumed"])
  single = start("moved", 1)
  assert single.codes == [0], single.output
  assert "train    from step 6 of 10" in single.output[0]
  _check_same(tmp_path / "moved", single_workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "mesh"),
    [
        ({"arrangement": "scored", "score": "loss"}, (-1, 1, 1)),
        # The positions of a row are split when it is trained.
        ({"arrangement": "tmt", "embedder": "hidden"}, (1, 1, 1, -1)),
    ],
)
def test_all_processes_consume_the_segments_that_one_has_written(
    start, tmp_path, order, mesh
):
  order = {**order, "remake_every": 4}
  flags = [f"--config.order.{name}={value}" for name, value in order.items()]
  stopped = start("remade", 2, "SIGTERM:1:2", mesh, *flags)
  assert stopped.codes == [errors.STOPPED] * 2, stopped.output
  (run,) = (tmp_path / "remade" / "runs").iterdir()
  written = _artifacts(run, "segments")
  assert {name.split("/")[1] for name in written} == {"4"}
  resumed = start("remade", 2, "never", mesh, *flags)
  assert resumed.codes == [0, 0], resumed.output
  segments = _artifacts(run, "segments")
  assert written.items() <= segments.items()
  lines = verify.verify(run)
  assert sum("ids verified, fingerprint" in line for line in lines) == 2
  assert any("10 steps verified of 10" in line for line in lines)


@pytest.mark.slow
def test_all_processes_report_a_damaged_checkpoint(
    start, single_workdir, tmp_path
):
  """Checks that what one has saved and two read is found by both."""
  first = start("moved", 1, "SIGTERM:0:7")
  assert first.codes == [errors.STOPPED], first.output
  (run,) = (tmp_path / "moved" / "runs").iterdir()
  saved = run / "checkpoints"
  for name in ("manifest.ocdbt", "d", "ocdbt.process_0"):  # The arrays alone.
    damaged = saved / "7" / "state" / name
    shutil.rmtree(damaged) if damaged.is_dir() else damaged.unlink()
    older = saved / "5" / "state" / name
    copy = shutil.copytree if older.is_dir() else shutil.copy
    copy(older, damaged)
  ended = start("moved", 2, "never", (1, 2, 1))
  assert ended.codes == [2, 2], ended.output
  for message in ended.output:
    assert re.search(
        r"checkpoints/7: the checkpoint is damaged .*chec", message
    )
    assert "checkpoint is that of step 5: delete" in message
    assert "Traceback" not in message
  shutil.rmtree(saved / "7")
  resumed = start("moved", 2, "never", (1, 2, 1))
  assert resumed.codes == [0, 0], resumed.output
  assert "train    from step 5 of 10" in resumed.output[0]
  _check_same(tmp_path / "moved", single_workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "mesh"),
    [(2, (1, 2, 1)), (4, (1, 2, 2)), (2, (1, 1, 1, 2))],
)
def test_one_process_is_killed(
    start, single_workdir, tmp_path, processes, mesh
):
  """Resumes what one has saved, on another mesh, and then one resumes."""
  first = start("moved", 1, "SIGTERM:0:2")
  assert first.codes == [75], first.output
  assert "zsgen: stopped before step 2 of 10" in first.output[0]
  killed = processes // 2
  ended = start("moved", processes, f"SIGKILL:{killed}:8", mesh)
  assert "from step 2 of 10" in ended.output[0]
  assert ended.codes[killed] == -signal.SIGKILL
  assert 0 not in ended.codes and ended.seconds_after_first < 60
  for index in {*range(processes)} - {killed}:
    assert "another" in ended.output[index], ended.output[index]
  last = start("moved", 1)
  assert last.codes == [0], last.output
  assert re.search("from step [25] of 10", last.output[0])
  _check_same(tmp_path / "moved", single_workdir)


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["data", "fsdp"])
def test_a_mesh_over_slices_is_one_process(
    start, single_workdir, tmp_path, axis
):
  """Two processes of two devices: within them fsdp, between them an axis."""
  ended = start(
      *("w", 2, "never", (1, 2, 1)),
      f"--config.machine.mesh.dcn_{axis}=2",
      environments=_two_devices,
  )
  assert ended.codes == [0, 0], ended.output
  _check_same(tmp_path / "w", single_workdir)
  (run,) = (tmp_path / "w" / "runs").iterdir()
  (entry,) = artifacts.read_provenance(run)
  sizes = {"data": 1, "fsdp": 2, "context": 1, "tensor": 1}
  assert entry["mesh"] == {**sizes, axis: 2 * sizes[axis]}


@pytest.mark.slow
def test_a_failure_of_the_first_process_ends_all(start):
  niv2 = ("--config.data.source=niv2", "--config.data.path=nowhere")
  ended = start("w", 2, "never", (-1, 1, 1), *niv2)
  assert ended.codes == [2, 2], ended.output
  assert "zsgen: " in ended.output[0] and "nowhere" in ended.output[0]
  assert (
      "zsgen: process 0: " in ended.output[1] and "nowhere" in ended.output[1]
  )
  assert "Traceback" not in "".join(ended.output)


@pytest.mark.parametrize(
    "environments", [pytest.param(_coordinator, marks=pytest.mark.slow), _slurm]
)
def test_processes_that_differ_end_with_one_message(
    start, tmp_path, environments
):
  own_flags = [
      ("--config.machine.save_every=5", "--config.machine.hosts.wait=100"),
      (
          "--config.machine.save_every=7",
          "--config.train.learning_rate=0.25",
          "--config.machine.hosts.wait=200",
          "--config.machine.tensorboard=True",
      ),
  ]
  ended = start("w", 2, environments=environments, own_flags=own_flags)
  assert ended.codes == [2, 2], ended.output
  for output in ended.output:
    (message,) = re.findall("^zsgen: .*", output, re.M)
    assert message == (
        "zsgen: the processes of this run do not agree:"
        " config.train.learning_rate is 0.003 in process 0 and 0.25 in process"
        " 1; config.machine.save_every is 5 in process 0 and 7 in process 1."
        " Start all processes by the same command, with the same config, the"
        " same installation and the same files."
    )
    assert "Traceback" not in output
  assert not list((tmp_path / "w").glob("stores"))


def _nowhere(count: int) -> list[dict[str, str]]:
  environments = _coordinator(count)
  for environment in environments:
    environment["JAX_COORDINATOR_ADDRESS"] = "nowhere.invalid:1234"
  return environments


def _only(index: int):
  """One process of two, the other is never started."""
  return lambda count: [_coordinator(2)[index]]


def _slurm_alone(count: int) -> list[dict[str, str]]:
  return [_slurm(2)[0]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environments", "count", "message"),
    [
        (_nowhere, 2, r"at nowhere\.invalid:1234.* the host is not known"),
        (
            _only(0),
            1,
            r"process 1 of 2 did not connect to 127\.0\.0\.1:\d+ with",
        ),
        (_only(1), 1, r"process 1 cannot reach process 0 at 127\..*refused"),
        (_slurm_alone, 1, "process 0 of 2 did not find the others at"),
    ],
)
def test_missing_processes_are_reported(start, environments, count, message):
  ended = start(
      "w",
      count,
      "never",
      (-1, 1, 1),
      "--config.machine.hosts.wait=3",
      environments=environments,
  )
  assert ended.codes == [2] * count, ended.output
  for output in ended.output:
    (line,) = re.findall("^zsgen: .*", output, re.M)
    assert re.search(message, line)
    assert "Stack trace" not in output and "Traceback" not in output


@pytest.mark.slow
@pytest.mark.parametrize("environments", [_only(0), _only(1), _slurm_alone])
def test_sigterm_while_a_process_waits_for_others(start, environments):
  ended = start("w", 1, "SIGTERM:0:join", environments=environments)
  assert ended.codes == [128 + signal.SIGTERM], ended.output
  assert "zsgen: stopped" in ended.output[0]


@pytest.mark.slow
def test_sigterm_while_another_process_hangs(start, tmp_path):
  """Checks a process in a collective, where no handler of Python runs."""
  ended = start("w", 2, "HANG:1:6")
  assert ended.codes == [128 + signal.SIGTERM, 1], ended.output
  message = "stopped by SIGTERM while it waited for other processes"
  assert f"zsgen: {message}" in ended.output[0]
  assert f"zsgen: process 0: {message}" in ended.output[1]
  resumed = start("w", 2)
  assert resumed.codes == [0, 0], resumed.output
  assert "train    from step 5 of 10" in resumed.output[0]


def test_sigterm_with_nothing_to_save(start, tmp_path):
  ended = start("w", 1, "SIGTERM:0:prepare")
  assert ended.codes == [128 + signal.SIGTERM]
  assert (
      "zsgen: stopped; run the same command again to resume." in ended.output[0]
  )
  assert not list((tmp_path / "w").glob("stores/[!.]*"))
