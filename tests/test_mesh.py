"""The mesh, its rules, and that sharding changes no result."""

import dataclasses
import pathlib
import subprocess
import sys

import jax
import pytest

from tests.helpers import xla
from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import model as model_lib
from zsgen.train import population

pytestmark = pytest.mark.numerics

ROOT = pathlib.Path(__file__).resolve().parents[1]
LAYER = dict(norm="layer", positions="learned", gated=False, tied=False)
BIASES = dict(qkv_bias=True, out_bias=True, mlp_bias=True)
# One repeat of the pattern and a block left over.
GEMMA = dict(
    layers=3,
    pattern=("local", "global"),
    window=4,
    norm_plus_one=True,
    qk_norm=True,
    post_norms=True,
    vocab_multiple=16,
)


LORA = config.Lora(rank=2, targets=".*")


def _shapes(lora=config.NO_LORA, **fields):
  model = model_lib.Model.from_config(config.Model(**fields), lora)
  return jax.eval_shape(model.init, jax.random.key(0))


def _single_device():
  return mesh_lib.make(config.Mesh(), jax.devices()[:1])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        LAYER,
        {**LAYER, **BIASES},
        GEMMA,
        {**GEMMA, **BIASES},
        {**GEMMA, "tied": False, "lora": LORA},
    ],
    ids=["rms", "layer", "gpt2", "gemma", "biases", "lora"],
)
def test_every_parameter_has_its_rule(fields):
  shapes = _shapes(**fields)
  shardings = mesh_lib.shardings(shapes, _single_device())
  assert jax.tree.structure(shardings) == jax.tree.structure(shapes)


def test_every_rule_matches_a_parameter():
  shapes = [
      _shapes(**LAYER, **BIASES, lora=LORA),
      _shapes(**GEMMA, **BIASES, lora=LORA),
  ]
  patterns = [pattern for pattern, _ in mesh_lib.RULES]
  unused = [set(mesh_lib.unused_rules(tree, patterns)) for tree in shapes]
  assert not set.intersection(*unused)
  assert "rest_" in "".join(unused[0]) and "positions" in unused[1]


def test_a_parameter_without_a_rule_is_named():
  shapes = {"blocks": {"adapter": jax.ShapeDtypeStruct((2, 4), "float32")}}
  with pytest.raises(errors.InputError, match="blocks/adapter matches 0 rules"):
    mesh_lib.shardings(shapes, _single_device())


def test_a_parameter_with_two_rules_is_named(monkeypatch):
  twice = (*mesh_lib.RULES, (r"embed.*", (None, None)))
  monkeypatch.setattr(mesh_lib, "RULES", twice)
  with pytest.raises(errors.InputError, match="embedding matches 2 rules"):
    mesh_lib.shardings(_shapes(), _single_device())


def test_a_rule_with_a_wrong_number_of_axes_is_reported():
  shapes = {"embedding": jax.ShapeDtypeStruct((8,), "float32")}
  with pytest.raises(errors.InputError, match=r"has 1 axes.* is for 2"):
    mesh_lib.shardings(shapes, _single_device())


@pytest.mark.parametrize(
    "axes",
    [
        dict(data=3),
        dict(data=-1, fsdp=-1),
        dict(data=-1, tensor=2),
        dict(data=0),
        dict(data=1, fsdp=0, tensor=-1),
        dict(context=2),
        dict(data=1, context=0),
    ],
)
def test_axes_must_multiply_to_the_device_count(axes):
  shape = dataclasses.replace(config.Mesh(), **axes)
  with pytest.raises(errors.InputError, match="there are 1 devices"):
    mesh_lib.make(shape, jax.devices()[:1])


def test_a_mesh_of_one_device():
  mesh = _single_device()
  assert dict(mesh.shape) == dict.fromkeys(mesh_lib.AXES, 1)
  assert mesh_lib.row_shards(mesh) == 1
  assert mesh_lib.replicated(mesh).is_fully_replicated


def _split_positions():
  """An abstract mesh of eight devices, four for the positions of each row."""
  types = (jax.sharding.AxisType.Auto,) * 4
  return jax.sharding.AbstractMesh((1, 2, 4, 1), mesh_lib.AXES, types)


def test_context_splits_what_fsdp_splits():
  mesh = _split_positions()
  split = mesh_lib.shardings(_shapes(width=64, mlp_width=64), mesh)
  expected = jax.sharding.PartitionSpec("tensor", ("fsdp", "context"))
  assert split["embedding"].spec == expected
  message = r"mesh.fsdp x context is 8, which does not divide axis 1 .*: 12\."
  with pytest.raises(errors.InputError, match=message):
    mesh_lib.shardings(_shapes(width=12), mesh)
  assert mesh_lib.row_shards(mesh) == 2
  assert mesh_lib.position_shards(mesh) == 4


def test_populations_split_no_positions():
  with pytest.raises(errors.InputError, match="fsdp, tensor and context at 1"):
    population.sharding(_split_positions(), 8)


def test_a_mesh_of_whole_rows_has_the_same_devices():
  assert mesh_lib.with_whole_rows(_single_device()) == _single_device()


# Few: what every kind of parameter does on a mesh of three axes.
@pytest.mark.parametrize(
    "meshes", ["few", pytest.param("all", marks=pytest.mark.slow)]
)
def test_eight_devices_give_the_loss_and_gradient_of_one(meshes):
  completed = subprocess.run(
      [sys.executable, "-m", "tests.helpers.compare_meshes", meshes],
      cwd=ROOT,
      env=xla.environment(xla.devices(8)),
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr


def _rule(parameters, *axes):
  return config.Rule(parameters, axes)


def test_rules_of_the_config_replace_the_defaults():
  shapes = {"embedding": jax.ShapeDtypeStruct((8, 4), "float32")}
  rules = [_rule("emb.*", "fsdp", "")]
  mesh_lib.check_rules(shapes, rules)
  actual = mesh_lib.shardings(shapes, _single_device(), rules)["embedding"]
  assert actual.spec == jax.sharding.PartitionSpec("fsdp", None)
  with pytest.raises(errors.InputError, match="head matches 0 rules of config"):
    mesh_lib.shardings({"head": shapes["embedding"]}, _single_device(), rules)


def test_an_unused_rule_of_the_config_is_reported():
  shapes = {"embedding": jax.ShapeDtypeStruct((8, 4), "float32")}
  rules = [_rule("embedding", "fsdp", ""), _rule("embeding", "fsdp")]
  message = (
      r"rules\[1\].parameters is 'embeding'.*The parameters are: embedding\."
  )
  with pytest.raises(errors.InputError, match=message):
    mesh_lib.check_rules(shapes, rules)
