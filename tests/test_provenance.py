"""Where artifacts come from: recorded next to them, and in nothing else."""

import dataclasses
import datetime
import json
import pathlib
import subprocess

import pytest

from tests.helpers import configs, shared
import zsgen
from zsgen import pipeline, verify
from zsgen.core import artifacts, errors, software
from zsgen.core import config as config_lib
from zsgen.core.artifacts import manifests, provenance
from zsgen.data.sources import child
from zsgen.orders import segments

STAGES = ("train", "evaluate")
# Artifacts that a finished run has in its workdir, by kind.
FINISHED = {
    "store": "stores",
    "embeddings": "embeddings",
    "order": "orders",
    "run": "runs",
    "evaluation": "evaluations",
}
# Kinds that take seconds to make.
SLOW = ("export", "population", "scores", "segment")


def _only(workdir: pathlib.Path, section: str) -> pathlib.Path:
  (path,) = (path for path in (workdir / section).iterdir() if path.is_dir())
  return path


@dataclasses.dataclass
class _Makers:
  """Makes an artifact of each kind, as the code that users run makes it."""

  workdirs: shared.Workdirs
  tmp_path: pathlib.Path
  monkeypatch: pytest.MonkeyPatch

  def make(self, kind: str) -> pathlib.Path:
    if kind in FINISHED:
      workdir = self.workdirs.get(configs.small(), *STAGES)
      return _only(workdir, FINISHED[kind])
    return getattr(self, f"make_{kind}")()

  def make_export(self) -> pathlib.Path:
    self.workdirs.run(configs.small(), self.tmp_path, STAGES)
    zsgen.run(configs.small(), self.tmp_path, ["export"])
    return _only(self.tmp_path, "runs") / "export-float32"

  def make_scores(self) -> pathlib.Path:
    return _only(self.workdirs.get(configs.remade(), "train"), "scores")

  def make_segment(self) -> pathlib.Path:
    run = _only(self.workdirs.get(configs.remade(), "train"), "runs")
    return segments.path_of(run, 4)

  def make_population(self) -> pathlib.Path:
    members = [configs.small(), configs.small()]
    members[1].seed = 1
    checked = [config_lib.check(member) for member in members]
    pipeline.run_population(checked, self.tmp_path)
    return _only(self.tmp_path, "populations")

  def make_rows(self) -> pathlib.Path:
    def write(request: object, out: pathlib.Path) -> dict:
      (out / child.ROWS).write_bytes(b"rows")
      return {"files": [], "bad_rows": {"count": 0, "first": []}}

    self.monkeypatch.setattr(child, "_run", write)  # Needs no TensorFlow.
    request = {"kind": "tfds", "dataset": "here", "splits": ["train"]}
    return child.rows(request, "error", self.tmp_path).parent


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW))
        for kind in manifests.FIELDS
    ],
)
def test_every_kind_has_its_provenance(kind, workdirs, tmp_path, monkeypatch):
  path = _Makers(workdirs, tmp_path, monkeypatch).make(kind)
  manifest = artifacts.read_manifest(path, kind)
  (record,) = artifacts.read_provenance(path)
  assert artifacts.PROVENANCE not in manifest.get("files", {})
  assert record["date"] not in json.dumps(manifest)
  date = datetime.datetime.fromisoformat(record["date"])
  assert date.utcoffset() == datetime.timedelta(0)
  versions = record["versions"]
  assert versions["zsgen"] == zsgen.__version__
  names = ("python", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint")
  assert all(versions[name] for name in (*names, "numpy", "tokenizers"))
  assert ("commit" in record) == ("is_modified" in record)
  if kind in ("run", "population", "evaluation"):
    assert record["device"] == "cpu" and record["hosts"] == 1
    assert record["devices"] >= 1
    assert set(record["mesh"]) == {"data", "fsdp", "context", "tensor"}


def test_each_start_that_trains_is_recorded(small, workdirs, tmp_path):
  run = workdirs.run(small, tmp_path, STAGES).run
  assert len(artifacts.read_provenance(run)) == 1  # It was finished.
  (run / "result.json").unlink()
  zsgen.run(small, tmp_path, ["train"])
  first, second = artifacts.read_provenance(run)
  assert first["date"] <= second["date"]


def test_damage_is_reported_and_absence_is_not(small, workdirs, tmp_path):
  workdirs.run(small, tmp_path, STAGES)
  order = _only(tmp_path, "orders")
  file = order / artifacts.PROVENANCE
  content = file.read_text()
  file.write_text(content.replace("written_by", "written_to"))
  with pytest.raises(errors.InputError, match=r"provenance\.json: is damaged"):
    verify.verify(order)
  store = _only(tmp_path, "stores")
  file.write_bytes((store / artifacts.PROVENANCE).read_bytes())
  with pytest.raises(errors.InputError, match="was copied here"):
    artifacts.read_provenance(order)
  file.unlink()  # As the message advises, and as in an older artifact.
  assert artifacts.read_provenance(order) == []
  assert verify.verify(order)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["/usr/bin/python3", "-m", "zsgen.main", "--config=a b.py"],
            "python3 -m zsgen.main '--config=a b.py'",
        ),
        (["python", "-c", "print('x')", "--seed=1"], "python -c … --seed=1"),
        (
            ["p", "--hub_token=abc", "--tokenizer=bytes", "--tokens=8"],
            "p '--hub_token=…' --tokenizer=bytes --tokens=8",
        ),
        (["p", "--api-key", "abc", "rest"], "p --api-key … rest"),
        (["p", "x=hf_" + "a1" * 17], "p 'x=…'"),
        (
            ["p", "--path=s3://me:pw@host/a?sig=1&b"],
            "p '--path=s3://…@host/a?…'",
        ),
        (
            ["p", "--workdir=/home/ada/runs", "/data/Users/ada", "/home2/x"],
            "p '--workdir=~/runs' '~' /home2/x",
        ),
    ],
)
def test_commands_have_no_secrets_and_no_homes(arguments, expected):
  # A shell quotes what is not plain; "…" is not.
  actual = provenance.public_command(arguments)
  assert actual.replace("'", "") == expected.replace("'", "")


def test_the_own_home_is_hidden(monkeypatch, tmp_path):
  monkeypatch.setenv("HOME", str(tmp_path))
  command = provenance.public_command(["p", f"--workdir={tmp_path}/w"])
  assert str(tmp_path) not in command and "~/w" in command
  monkeypatch.setenv("HOME", "/")
  assert provenance.public_command(["p", "/data/x"]) == "p /data/x"


def _git(directory: pathlib.Path, *arguments: str) -> str:
  author = ("-c", "user.name=a", "-c", "user.email=a@b")
  return subprocess.run(
      ["git", *author, "-C", directory, *arguments],
      check=True,
      capture_output=True,
      text=True,
  ).stdout.strip()


def test_the_commit_is_that_of_a_checkout(tmp_path):
  package = tmp_path / "checkout" / "package"
  package.mkdir(parents=True)
  commit = software.commit.__wrapped__
  assert commit(package) == {}
  _git(package.parent, "init", "--quiet")
  assert commit(package) == {}  # There is none yet.
  (package / "code.py").write_text("a = 1\n")
  _git(package.parent, "add", ".")
  _git(package.parent, "commit", "--quiet", "--message=first")
  head = _git(package.parent, "rev-parse", "HEAD")
  assert commit(package) == {"commit": head, "is_modified": False}
  (package.parent / "notes.txt").write_text("not code\n")
  assert not commit(package)["is_modified"]
  (package / "code.py").write_text("a = 2\n")
  assert commit(package) == {"commit": head, "is_modified": True}
