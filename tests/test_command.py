"""The command line: one message, exit code 2, no traceback, nothing written."""

import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

from zsgen.core import command as command_lib
from zsgen.core import errors


def command(*arguments, cwd: pathlib.Path):
  """Runs zsgen.main as a user does."""
  return subprocess.run(
      [sys.executable, "-m", "zsgen.main", *arguments],
      cwd=cwd,
      env={**os.environ, "PYTHONPATH": str(cwd)},
      capture_output=True,
      text=True,
      check=False,
  )


TYPO = """import zsgen
def get_config():
  config = zsgen.default_config()
  config.order.pik = "nearest"
  return config
"""
BROKEN = "def get_config(:\n  pass\n"


BAD = (
    ([], "no experiment is named"),
    (
        ["--config=configs/tnt.py"],
        "'configs/tnt.py'. Check the path; a relative one begins in /",
    ),
    (["--config={broken}"], "broken.py, line 1"),
    (["--config={failing}"], "failing.py: RuntimeError: boom"),
    (["--confg=configs/tmt.py"], "Did you mean"),
    (["--config=configs/tmt.py", "stray"], "'stray' is not a flag"),
    (["--config=configs/tmt.py", "--config.lrr=1"], "config.lrr"),
    (
        ["--config=configs/tmt.py", "--config.train.learning_rat=1"],
        'Did you mean "learning_rate"',
    ),
    (
        ["--config=configs/tmt.py", "--config.train.batch_size=x"],
        "invalid literal",
    ),
    (
        ["--config=configs/table.py", "--config.data.heldout.X.share=0.1"],
        "config.data.heldout has no 'X'; it has: heldout.",
    ),
    (
        ["--config=configs/table.py", "--config.evals.new.split=X"],
        "write in the file: config.evals.new = dict(...)",
    ),
    (["--config={typo}"], "typo.py, line 4: config.order.pik is not an"),
    (
        ["--config=configs/tmt.py", "--config.order.measure=wsd"],
        "It is an option of arrangement='similarity'",
    ),
    (
        [
            "--config=configs/tmt.py",
            "--config.order.pick=farthest",
            "--config.order.arrangement=random",
        ],
        "config.order.pick is not an option",
    ),
    (["--config=configs/tmt.py", "--stage=trian"], "--stage=trian"),
    (
        ["--config=configs/tmt.py", "--config.data.source=sinth"],
        'Did you mean "synth"',
    ),
    (["--config=configs/niv2.py"], "no directory tasks/"),
    (
        ["--config=configs/tmt.py", "--config.model.init=/nowhere"],
        "/nowhere",
    ),
    (
        ["--config=configs/tmt.py", "--config.machine.mesh.data=3"],
        "config.machine.mesh",
    ),
    (
        ["--config=configs/tmt.py", "--config.plan.rows=3"],
        "--config.plan.rows: only --stage=plan reads it",
    ),
)


@pytest.fixture
def complete(tmp_path):
  """Puts the paths of files with errors into arguments; adds a workdir."""
  contents = {
      "broken": BROKEN,
      "failing": "def get_config():\n  raise RuntimeError('boom')\n",
      "typo": TYPO,
  }
  files = {name: tmp_path / f"{name}.py" for name in contents}
  for name, file in files.items():
    file.write_text(contents[name])

  def put(arguments):
    completed = [argument.format(**files) for argument in arguments]
    return [*completed, f"--workdir={tmp_path / 'workdir'}"]

  return put


def _assert_refused(code, printed, message):
  assert code == 2, printed
  assert message in printed
  assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        case if case[0] == [] else pytest.param(*case, marks=pytest.mark.slow)
        for case in BAD
    ],
)
def test_bad_input(root, tmp_path, complete, arguments, message):
  completed = command(*complete(arguments), cwd=root)
  _assert_refused(completed.returncode, completed.stderr, message)
  assert not list(tmp_path.glob("workdir/runs/*/metrics.jsonl"))


@pytest.mark.slow
def test_bad_input_in_forks(root, tmp_path, complete):
  """Checks the same in forks of one process, which imports everything once."""
  cases = [
      {"arguments": complete(arguments), "reach": "plan", "seconds": 300}
      for arguments, _ in BAD
  ]
  completed = subprocess.run(
      [sys.executable, "-m", "tests.campaigns.option_runner", "2"],
      input="\n".join(map(json.dumps, cases)),
      cwd=root,
      env={**os.environ, "PYTHONPATH": str(root)},
      capture_output=True,
      text=True,
      check=True,
  )
  results = map(json.loads, completed.stdout.splitlines())
  for (_, message), result in zip(BAD, results, strict=True):
    _assert_refused(result["code"], result["printed"], message)
  assert not list(tmp_path.glob("workdir/runs/*/metrics.jsonl"))


def test_a_workdir_that_is_a_url(root, tmp_path):
  completed = command(
      f"--config={root}/configs/tmt.py", "--workdir=s3://bucket/x", cwd=root
  )
  assert completed.returncode == 2
  assert (
      "--workdir is 's3://bucket/x', but of buckets only those of Google Cloud"
      in completed.stderr
  )
  assert not (root / "gs:").exists()


def test_help_shows_what_is_needed(root):
  printed = command("--help", cwd=root).stdout
  assert "--config:" in printed
  assert "--workdir:" in printed


def test_a_workdir_that_is_a_file(root, tmp_path):
  file = tmp_path / "file"
  file.write_text("")
  completed = command("--config=configs/tmt.py", f"--workdir={file}", cwd=root)
  assert completed.returncode == 2
  assert "Traceback" not in completed.stderr
  assert str(file) in completed.stderr


def test_a_stopped_run_exits_with_code_75(monkeypatch, capsys, tmp_path):
  def run():
    raise errors.Stopped("stopped before step 6 of 10")

  flag = types.SimpleNamespace(value=str(tmp_path))
  monkeypatch.setattr(command_lib, "CONFIG", flag)
  monkeypatch.setattr(command_lib, "WORKDIR", flag)
  monkeypatch.setattr(command_lib.full_disk, "watch", lambda _: None)
  with pytest.raises(SystemExit) as ended:
    command_lib._guarded(run, ["main"])
  assert ended.value.code == 75
  assert capsys.readouterr().err == "zsgen: stopped before step 6 of 10\n"
