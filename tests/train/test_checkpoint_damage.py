"""A checkpoint that is not what was saved is found before it is used."""

import collections
import json
import pathlib
import shutil

import jax
from jax import numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests.helpers import closeness
from zsgen.core import artifacts, errors
from zsgen.train import checkpoints, resuming
from zsgen.train import step as step_lib

RUN, OTHER_RUN = "0f" * 32, "1e" * 32
STEPS = (5, 10)
# Arrays, an element of each, and a bit of it.
FLIPS = [
    ("params/embedding", 0, 0),
    ("params/embedding", 77, 31),
    ("params/embedding", 29999, 22),
    ("params/half", 3, 15),
    ("params/half", 5, 0),
    ("moments/count", 0, 7),
    ("moments/mu", 11, 8),
    ("moments/mu", 0, 31),
    ("moments/nu", 29, 1),
    ("params/key", 1, 30),
]


def _state(step: int) -> step_lib.State:
  key = jax.random.key(step)
  return step_lib.State(
      {
          "embedding": jax.random.normal(key, (300, 100)),
          "half": jnp.arange(6, dtype=jnp.bfloat16) / 3 + step,
          "key": jax.random.key_data(key),
      },
      {
          "count": jnp.int32(step),
          "mu": jax.random.normal(key, (3, 4)),
          "nu": jnp.full((30,), 0.5 + step),
      },
  )


def _like():
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return checkpoints.like(
      _state(0), jax.tree.map(lambda _: sharding, _state(0))
  )


def _open(path: pathlib.Path, run: str = RUN) -> checkpoints.Checkpoints:
  return checkpoints.Checkpoints(path / checkpoints.NAME, 4, run)


def _read(path: pathlib.Path, step: int, run: str = RUN) -> step_lib.State:
  with _open(path, run) as saved:
    return saved.state(step, _like())


@pytest.fixture(scope="module")
def intact(tmp_path_factory) -> pathlib.Path:
  """Saves two steps. Returns the directory of the run."""
  path = tmp_path_factory.mktemp("run")
  with _open(path) as saved:
    for step in STEPS:
      saved.save(step, _state(step), {"metrics.jsonl": [step, ""]})
  return path


@pytest.fixture
def run(intact, tmp_path) -> pathlib.Path:
  """Copies it, with the manifest of a run, to damage the copy."""
  path = tmp_path / "run"
  shutil.copytree(intact, path)
  return path


def _step(run: pathlib.Path, step: int) -> pathlib.Path:
  return run / checkpoints.NAME / str(step)


def _change(state: step_lib.State, name: str, element: int, bit: int):
  """The state with one bit changed."""

  def flip(path, leaf):
    leaf = np.array(leaf)
    if jax.tree_util.keystr(path, simple=True, separator="/") == name:
      raw = leaf.reshape(-1).view(f"u{leaf.itemsize}")
      raw[element] ^= raw.dtype.type(1 << bit)
    return jnp.asarray(leaf)

  tree = jax.tree_util.tree_map_with_path(flip, state._asdict())
  return step_lib.State(**tree)


def _save_under_old_meta(run: pathlib.Path, state: step_lib.State) -> None:
  """Puts another state into the checkpoint of step 10."""
  directory = _step(run, 10) / "state"
  shutil.rmtree(directory)
  with ocp.StandardCheckpointer() as writer:
    writer.save(directory.absolute(), state)


@pytest.mark.parametrize(("name", "element", "bit"), FLIPS)
def test_one_flipped_bit_is_noticed(run, name, element, bit):
  _save_under_old_meta(run, _change(_state(10), name, element, bit))
  with pytest.raises(
      checkpoints.Damaged, match=rf"10: .*checksum mismatch in {name}\)"
  ):
    _read(run, 10)


def test_the_same_state_saved_again_is_no_damage(run):
  _save_under_old_meta(run, _state(10))
  closeness.assert_same(_read(run, 10), _state(10))


def test_exchanged_or_copied_directories(run, intact):
  _step(run, 10).rename(_step(run, 20))
  with pytest.raises(
      checkpoints.Damaged, match=r"20: .*of step 10 and was ren"
  ):
    _read(run, 20)
  with pytest.raises(checkpoints.Damaged, match="copied here from another run"):
    _read(run, 5, OTHER_RUN)
  # Items alone.
  for directory in ("state", "meta"):
    shutil.rmtree(_step(run, 20))
    shutil.copytree(_step(intact, 10), _step(run, 20))
    _step(run, 20).rename(_step(run, 10))
    shutil.rmtree(_step(run, 10) / directory)
    shutil.copytree(_step(run, 5) / directory, _step(run, 10) / directory)
    with pytest.raises(checkpoints.Damaged, match="/10: "):
      _read(run, 10)
    _step(run, 10).rename(_step(run, 20))


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta["records"].update({"metrics.jsonl": [11, ""]}),
        lambda meta: meta["arrays"].popitem(),
        lambda meta: meta.pop("digest"),
        lambda meta: meta.update(digesu=meta.pop("digest")),
        lambda meta: meta.pop("run"),
        lambda meta: meta.update(step="10"),
        lambda meta: [meta.clear(), meta.update(step=10)],
    ],
)
def test_changed_metadata(run, change):
  file = _step(run, 10) / "meta" / "metadata"
  meta = json.loads(file.read_text())
  change(meta)
  file.write_text(json.dumps(meta))
  with pytest.raises(checkpoints.Damaged, match=r"10: .*damaged"):
    _read(run, 10)
  with pytest.raises(checkpoints.Damaged), _open(run) as saved:
    saved.records(10)


def test_checkpoints_of_an_older_version_are_read(run):
  file = _step(run, 10) / "meta" / "metadata"
  file.write_text(json.dumps({"step": 10, "lengths": {"metrics.jsonl": 7}}))
  with _open(run) as saved:
    assert saved.has_checksums(5) and not saved.has_checksums(10)
    assert saved.records(10) == {"metrics.jsonl": (7, "")}
    state = saved.state(10, _like())
  jax.tree.map(np.testing.assert_array_equal, state, _state(10))
  file.write_text(json.dumps({"step": 10, "lengths": [{"a": 7}, {"a": 8}]}))
  with _open(run) as saved:
    assert saved.records(10) == [{"a": (7, "")}, {"a": (8, "")}]
  _step(run, 10).rename(_step(run, 20))
  with pytest.raises(checkpoints.Damaged, match="of step 10"):
    _read(run, 20)


def test_every_file_truncated_or_zeroed(run, intact):
  """Checks that damage is noticed, or that what is read is what was saved."""
  files = [f for f in _step(intact, 10).rglob("*") if f.is_file()]
  assert len(files) > 8
  noticed = set()
  for file in files:
    damaged_file, data = run / file.relative_to(intact), file.read_bytes()
    for damaged in (data[: len(data) // 2], b"\0" * len(data), None):
      if damaged is None:
        damaged_file.unlink()
      else:
        damaged_file.write_bytes(damaged)
      try:
        state = _read(run, 10)
        jax.tree.map(np.testing.assert_array_equal, state, _state(10))
      except checkpoints.Damaged as error:
        noticed.add(file.name)
        assert str(error).count("\n") == 0 and len(str(error)) < 700
      damaged_file.write_bytes(data)
  assert {"metadata", "_METADATA", "manifest.ocdbt"} < noticed
  jax.tree.map(np.testing.assert_array_equal, _read(run, 10), _state(10))


@pytest.mark.slow
def test_random_flips_of_bits_in_files(run, intact, capsys):
  """Checks nightly that no flip gives wrong values or a trace."""
  files = [f for f in _step(intact, 10).rglob("*") if f.is_file()]
  sizes = np.array([file.stat().st_size for file in files], float)
  arrays = np.array(["state" in f.parts and "d" in f.parts for f in files])
  # Most of them in the files of arrays, the others anywhere.
  shares = 0.8 * sizes * arrays / (sizes * arrays).sum()
  shares += 0.2 / len(files)
  rng, counts = np.random.default_rng(0), collections.Counter()
  for _ in range(200):
    index = rng.choice(len(files), p=shares)
    data = bytearray(files[index].read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    damaged = run / files[index].relative_to(intact)
    damaged.write_bytes(data)
    kind = "arrays" if arrays[index] else "other files"
    try:
      state = jax.device_get(_read(run, 10))
    except checkpoints.Damaged as error:
      checked = "checksum" in str(error)
      counts[kind, "checksum" if checked else "cannot be read"] += 1
    else:
      equalities = jax.tree.map(
          np.array_equal, state, jax.device_get(_state(10))
      )
      is_equal = all(jax.tree.leaves(equalities))
      counts[kind, "no effect" if is_equal else "WRONG"] += 1
    damaged.write_bytes(files[index].read_bytes())
  with capsys.disabled():
    print(f"\n200 flips: {dict(counts)}")
  assert not [outcome for _, outcome in counts if outcome == "WRONG"]
  assert counts["arrays", "checksum"] > 0


def _newest(run: pathlib.Path, problem: str = "", below: int = 0):
  """Resumes; records are damaged for steps from `below` on."""

  def first_problem(records) -> str:
    return problem if problem and records["metrics.jsonl"][0] >= below else ""

  with _open(run) as saved:
    return resuming.newest(saved, _like(), first_problem, run)


def test_advice_to_resume_works(run):
  assert int(_newest(run)[0].moments["count"]) == 10
  _save_under_old_meta(run, _change(_state(10), *FLIPS[0]))
  directory = _step(run, 10)
  advice = (
      f"newest whole checkpoint is that of step 5: delete {directory} to resu"
  )
  with pytest.raises(errors.InputError, match=advice):
    _newest(run)
  shutil.rmtree(directory)
  state, records = _newest(run)
  assert int(state.moments["count"]) == 5
  assert records == {"metrics.jsonl": [5, ""]}


def test_advice_where_records_are_damaged(run):
  with pytest.raises(errors.InputError) as caught:
    _newest(run, "metrics.jsonl: was changed", below=7)
  assert "metrics.jsonl: was changed, and the checkpoint" in str(caught.value)
  assert f"of step 5: delete {_step(run, 10)} to" in str(caught.value)
  with pytest.raises(errors.InputError, match=f"delete {run} to start fro"):
    _newest(run, "metrics.jsonl: was changed")


def _last(run: pathlib.Path):
  with checkpoints.Finished(run, RUN) as saved:
    return resuming.last(saved, 10, _like().params, run)


def test_advice_where_the_last_checkpoint_of_a_finished_run_is_bad(run):
  (run / "result.json").write_text("{}")
  jax.tree.map(np.testing.assert_array_equal, _last(run), _state(10).params)
  _save_under_old_meta(run, _change(_state(10), *FLIPS[-1]))
  advice = f"Delete {_step(run, 10)}, then delete {run}/result.json and run"
  with pytest.raises(
      errors.InputError, match=advice + ".* resumes from step 5"
  ):
    _last(run)
  shutil.rmtree(_step(run, 10))
  gone_advice = f"gone. .*, delete {run}/result.json and .* resumes from step 5"
  with pytest.raises(errors.InputError, match=gone_advice):
    _last(run)
  shutil.rmtree(_step(run, 5))
  with pytest.raises(
      errors.InputError, match=r"result.json .* trains the run from"
  ):
    _last(run)


def _manifest(run: pathlib.Path, recipe: dict) -> None:
  fields = dict(kind="run", made_by=recipe, store="", order="", batch_size=1)
  artifacts.write_json(run / "manifest.json", {**fields, "steps": 10})


def test_arrays_are_checked_one_by_one(run):
  recipe = {"seed": 3}
  _manifest(run, recipe)
  with pytest.raises(checkpoints.Damaged, match="another run"):
    with checkpoints.Finished(run) as saved:
      saved.check(5)
  for step in STEPS:  # As if this run had saved them.
    file = _step(run, step) / "meta" / "metadata"
    meta = artifacts.unseal(json.loads(file.read_text()), RUN)
    meta["run"] = artifacts.digest(recipe)
    file.write_text(json.dumps(artifacts.seal(meta, meta["run"])))
  _save_under_old_meta(run, _change(_state(10), "moments/nu", 3, 4))
  with checkpoints.Finished(run) as saved:
    assert saved.check(5)
    with pytest.raises(
        checkpoints.Damaged, match="checksum mismatch in moments/nu"
    ):
      saved.check(10)
    # Parameters alone are whole.
    params = saved.params(10, _like().params)
  jax.tree.map(np.testing.assert_array_equal, params, _state(10).params)
  _save_under_old_meta(run, _change(_state(10), "params/half", 3, 4))
  with checkpoints.Finished(run) as saved:
    with pytest.raises(
        checkpoints.Damaged, match="checksum mismatch in params/half"
    ):
      saved.params(10, _like().params)
