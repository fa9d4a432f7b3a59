"""The command line: one message, exit code 2, no traceback, nothing written."""

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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no experiment is named"),
        (["--config=configs/tnt.py"], "No such file"),
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
    ],
)
def test_bad_input(root, tmp_path, arguments, said):
  broken = tmp_path / "broken.py"
  broken.write_text(BROKEN)
  failing = tmp_path / "failing.py"
  failing.write_text("def get_config():\n  raise RuntimeError('boom')\n")
  workdir = tmp_path / "workdir"
  typo = tmp_path / "typo.py"
  typo.write_text(TYPO)
  files = {"broken": broken, "failing": failing, "typo": typo}
  arguments = [each.format(**files) for each in arguments]
  done = command(*arguments, f"--workdir={workdir}", cwd=root)
  assert done.returncode == 2, done.stderr
  assert said in done.stderr
  assert "Traceback" not in done.stderr
  assert not list(workdir.glob("runs/*/metrics.jsonl"))


def test_a_workdir_that_is_a_url(root, tmp_path):
  done = command(
      f"--config={root}/configs/tmt.py", "--workdir=gs://bucket/x", cwd=root
  )
  assert done.returncode == 2
  assert "--workdir is 'gs://bucket/x', which is a URL" in done.stderr
  assert not (root / "gs:").exists()


def test_help_shows_what_is_needed(root):
  printed = command("--help", cwd=root).stdout
  assert "--config:" in printed
  assert "--workdir:" in printed


def test_a_workdir_that_is_a_file(root, tmp_path):
  file = tmp_path / "file"
  file.write_text("")
  done = command("--config=configs/tmt.py", f"--workdir={file}", cwd=root)
  assert done.returncode == 2
  assert "Traceback" not in done.stderr
  assert str(file) in done.stderr


def test_a_run_that_stopped_is_not_done(monkeypatch, capsys, tmp_path):
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
