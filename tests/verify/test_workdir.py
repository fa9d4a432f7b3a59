"""`python -m zsgen.verify`: one artifact, or all that a workdir holds."""

import pathlib
import shutil

import numpy as np
import pytest
import rich.console

from tests.helpers import shared
from zsgen import pipeline, verify
from zsgen.core import artifacts, config, errors
from zsgen.data import store as store_lib
from zsgen.orders import __main__ as tools
from zsgen.orders import order as order_lib
from zsgen.orders import trace
from zsgen.verify import command


def _config() -> config.Config:
  return config.check(
      {
          "name": "small",
          "data": {"train_instances": 4, "heldout_instances": 1},
          "order": {"budget": 8},
          "model": {
              "init": "new",
              "layers": 1,
              "width": 16,
              "heads": 2,
              "kv_heads": 1,
              "head_width": 8,
              "mlp_width": 16,
          },
          "train": {"batch_size": 4},
          "evals": {"heldout": {"split": "heldout", "every_steps": 4}},
          "machine": {"layouts": 1, "tensorboard": False},
      }
  )


def _run(workdir: pathlib.Path, *stages: str) -> pipeline.Result:
  return pipeline.run(
      _config(), workdir, stages, rich.console.Console(quiet=True)
  )


@pytest.fixture(scope="module")
def finished_workdir(shared_root) -> pathlib.Path:
  """Makes a workdir with one artifact of each kind; tests copy it."""

  def make(workdir: pathlib.Path) -> None:
    outputs = _run(workdir, "prepare", "order", "train", "evaluate")
    order = order_lib.Order.load(outputs.order)
    trace.make(order, store_lib.open_store(outputs.store))

  return shared.make_once(shared_root / "verified", make)


@pytest.fixture
def workdir(finished_workdir, tmp_path) -> pathlib.Path:
  path = tmp_path / "workdir"
  return shutil.copytree(finished_workdir, path, ignore=lambda *_: {"cache"})


def _artifact(workdir: pathlib.Path, section: str) -> pathlib.Path:
  """The artifact of a kind."""
  (path,) = (child for child in (workdir / section).iterdir() if child.is_dir())
  return path


def _flip(file: pathlib.Path) -> None:
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)


def _call(capsys, *paths: pathlib.Path) -> tuple[int, str, str]:
  code = command.main([str(path) for path in paths])
  out, err = capsys.readouterr()
  return code, out, err


def test_everything_under_a_workdir_is_checked(workdir, capsys):
  code, out, err = _call(capsys, workdir)
  assert (code, err) == (0, "")
  kinds = list(dict.fromkeys(line.split()[0] for line in out.splitlines()))
  assert kinds == [
      "store",
      "embeddings",
      "order",
      "trace",
      "evaluation",
      "run",
  ]
  assert "2 steps verified of 2" in out
  assert tools.main(["verify", str(workdir)]) == 0
  assert capsys.readouterr().out == out


@pytest.mark.parametrize(
    "section", ["stores", "embeddings", "orders", "evaluations", "runs"]
)
def test_one_artifact_or_all_of_a_kind(workdir, capsys, section):
  path = _artifact(workdir, section)
  code, out, _ = _call(capsys, path)
  assert (code, f" {path}: " in out) == (0, True)
  assert _call(capsys, workdir / section)[0] == 0


def test_all_damage_is_listed_once(workdir, capsys):
  store, order = _artifact(workdir, "stores"), _artifact(workdir, "orders")
  _flip(store / "mask.bin")
  _flip(store / "examples.parquet")
  (vectors,) = _artifact(workdir, "embeddings").glob("vectors*")
  _flip(vectors)
  (_artifact(workdir, "evaluations") / "metrics.json").unlink()
  (traced,) = (workdir / "orders").glob("*.parquet")
  traced.write_bytes(traced.read_bytes()[:-9])
  code, out, err = _call(capsys, workdir)
  problems = err.splitlines()
  assert (code, out) == (2, "")
  for damaged in ("mask.bin", "examples.parquet", "metrics.json"):
    assert sum(f"/{damaged}: is" in problem for problem in problems) == 1
  assert sum(problem.startswith(f"{vectors}: is") for problem in problems) == 1
  assert sum(problem.startswith(f"{traced}: ") for problem in problems) == 1
  for path in (order, _artifact(workdir, "runs")):
    assert f"{path}: was not verified, because its inputs were not" in err
  assert problems[-1] == "6 of 6 could not be verified."
  with pytest.raises(verify.Damaged, match=r"mask\.bin") as caught:
    verify.verify(order)
  assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("section", "name", "stage"),
    [
        ("stores", "blocks.npy", "prepare"),
        ("embeddings", "manifest.json", "order"),
        ("orders", "order.parquet", "order"),
        ("evaluations", "evals/heldout/loss.npy", "evaluate"),
    ],
)
def test_damage_stops_the_stage_and_the_advice_works(
    workdir, section, name, stage
):
  before = verify.verify(workdir)
  path = _artifact(workdir, section)
  _flip(path / name)
  if section == "embeddings":
    shutil.rmtree(_artifact(workdir, "orders"))  # Only a new order reads them.
  with pytest.raises(errors.InputError, match=f"elete {path} to "):
    _run(workdir, stage)
  shutil.rmtree(path)
  _run(workdir, stage)
  assert verify.verify(workdir) == before


def test_a_damaged_manifest_of_a_run_never_costs_the_run(workdir):
  run = _artifact(workdir, "runs")
  manifest = (run / "manifest.json").read_bytes()
  consumed = (run / "consumed.npy").stat().st_mtime_ns
  for damage in (b"", manifest.replace(b'"steps": 2', b'"steps": 3'), None):
    if damage is None:
      (run / "manifest.json").unlink()
    else:
      (run / "manifest.json").write_bytes(damage)
    with pytest.raises(errors.InputError) as caught:
      verify.verify(run)
    message = str(caught.value)
    assert f"delete {run / 'manifest.json'} if it exists" in message
    assert f"elete {run} " not in message and "elete the dir" not in message
    (run / "manifest.json").unlink(missing_ok=True)
    _run(workdir, "train")
    assert (run / "manifest.json").read_bytes() == manifest
  assert (run / "consumed.npy").stat().st_mtime_ns == consumed
  assert verify.verify(run)


@pytest.mark.parametrize("section", ["stores", "orders", "evaluations", "runs"])
def test_a_renamed_artifact_is_noticed(workdir, section):
  path = _artifact(workdir, section)
  moved = path.rename(path.with_name(f"{path.name[:-10]}0123456789"))
  with pytest.raises(
      errors.InputError, match=f" is {path.name}. If it was renamed"
  ):
    verify.verify(moved)
  moved.rename(path)  # The advice.
  verify.verify(workdir)
  renamed = shutil.copytree(path, path.with_name("mine"))
  assert verify.verify(renamed)[-1].startswith(f"{section[:-1]} {renamed}: ")


def test_wrong_paths_are_never_to_be_removed(workdir, tmp_path, capsys):
  (tmp_path / "empty").mkdir()
  for path, message in (
      (workdir.parent, "neither an artifact nor a workdir"),
      (tmp_path / "empty", "neither an artifact nor a workdir"),
      (_artifact(workdir, "runs") / "checkpoints", "neither an artifact"),
      (_artifact(workdir, "stores") / "tokenizer", "neither an artifact"),
      (_artifact(workdir, "orders") / "ids.npy", "is a file"),
      (tmp_path / "none", "there is no such directory"),
  ):
    code, out, err = _call(capsys, path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err and "elete" not in err


def test_directories_of_other_programs_are_never_to_be_removed(
    tmp_path, capsys
):
  (tmp_path / "app").mkdir()
  (tmp_path / "app" / "manifest.json").write_text('{"name": "an app"}')
  code, _, err = _call(capsys, tmp_path / "app")
  assert code == 2 and "Check the path" in err and "elete" not in err


def test_leftovers_of_stopped_commands_are_reported(workdir, capsys):
  store = _artifact(workdir, "stores")
  (store.parent / f".{store.name}.0123456789ab").mkdir()
  (store.parent / f".{store.name}.0123456789.partial").mkdir()
  (workdir / "orders" / "notes").mkdir()
  (workdir / "sweeps").mkdir()
  manifest = artifacts.read_manifest(_artifact(workdir, "runs"))
  del manifest["digest"]
  started = workdir / "runs" / "small-0123456789"
  started.mkdir()
  (started / ".lock").touch()
  waiting = workdir / "runs" / "waiting"
  waiting.mkdir()
  artifacts.write_manifest(waiting, manifest)
  code, out, err = _call(capsys, workdir)
  assert (code, err) == (0, "")
  assert f"{store.name}.0123456789ab: left over from a stopped command" in out
  assert f"{store.name}.0123456789.partial: unfinished: the progress of" in out
  assert "notes: not an artifact of zsgen; not checked" in out
  assert f"{workdir}: not checked: sweeps" in out
  assert f"run {started}: unfinished: it has only just begun" in out
  assert f"run {waiting}: unfinished: training has not begun" in out


def test_an_unfinished_run_is_reported(workdir, capsys):
  finished = _artifact(workdir, "runs")
  run = workdir / "runs" / "part"
  run.mkdir()
  manifest = artifacts.read_manifest(finished, "run")
  del manifest["digest"]
  artifacts.write_manifest(run, manifest)
  consumed = np.load(finished / "consumed.npy")
  consumed[1] = -1
  np.save(run / "consumed.npy", consumed)
  code, out, _ = _call(capsys, run)
  assert code == 0
  assert "1 steps verified of 2; 1 not recorded yet" in out
  assert f"run {run}: unfinished" in out


def test_manifests_of_an_older_zsgen_are_read(workdir, capsys):
  for section in ("orders", "embeddings"):
    path = _artifact(workdir, section)
    manifest = artifacts.read_manifest(path)
    digests = {n: f["sha256"] for n, f in manifest.pop("files").items()}
    del manifest["digest"], manifest["format"]
    if section == "embeddings":
      (manifest["sha256"],) = digests.values()
      del manifest["kind"]
    else:
      manifest["files"] = digests
    artifacts.write_json(path / artifacts.MANIFEST, manifest)
  assert _run(workdir, "order").order
  code, out, _ = _call(capsys, workdir)
  assert (code, out.count("an older zsgen wrote no digest")) == (0, 2)


def test_an_order_without_its_store_says_how_to_continue(workdir):
  store, order = _artifact(workdir, "stores"), _artifact(workdir, "orders")
  store.rename(workdir / "away")
  with pytest.raises(errors.InputError, match=f"{store}, does not exist"):
    verify.verify(order)
  shutil.rmtree(order)
  _run(workdir, "order")
  assert verify.verify(order)
