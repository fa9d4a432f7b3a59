"""Plans: states by hand, what the compiler says, and what does not fit."""

import io
import json
import pathlib
import subprocess
import sys

import jax
from jax import numpy as jnp
import pytest
import rich.console

from tests.helpers import xla
from zsgen import pipeline
from zsgen.core import chips, errors
from zsgen.core import config as config_lib
from zsgen.models import presets
from zsgen.planning import plan as plan_lib
from zsgen.planning import products, roofline, topology
from zsgen.train import optimizer, starts

PLANNED = pathlib.Path(__file__).with_name("planned.py")
F32 = 4
# Nothing is compiled for a chip that is not here: plans are quick.
ABSENT = "H200 SXM"


def _plan(config, name=""):
  config = config_lib.check(config)
  start = starts.make(config.model, config.seed, config.lora)
  return plan_lib.make(config, start, topology.find_hardware(name))


@pytest.fixture
def known(small):
  """Returns a config whose step is 8 rows of 128 tokens."""
  small.plan.rows, small.plan.length = 8, 100
  return small


@pytest.fixture(scope="module")
def eight():
  """Returns what planned.py reports on 8 devices."""
  completed = subprocess.run(
      [sys.executable, PLANNED],
      env=xla.environment(xla.devices(8)),
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 0, completed.stderr
  return json.loads(completed.stdout)


def test_states_are_those_of_the_parameters(known):
  plan = _plan(known)
  assert (*plan.shape, plan.groups) == (8, 128, 8 * 128, 1)
  start = starts.make(config_lib.check(known).model, 0)
  size = F32 * sum(leaf.size for leaf in jax.tree.leaves(start.shapes))
  assert plan.states.weights == plan.states.gradients == size
  assert plan.states.moments == pytest.approx(2 * size, abs=8)
  assert sum(parameter.bytes for parameter in plan.parameters) == size
  # Held between steps: states, the batch and hyper-parameters.
  batch = 5 * 8 * 128 * 4 + 2 * 4 * 4
  hyper = F32 * len(optimizer.Hyper._fields)
  assert plan.compiled.arguments == size + plan.states.moments + batch + hyper
  # New states take the place of the old ones: only metrics are beside them.
  assert plan.compiled.copied < 1000
  assert plan.fits and not plan.bounds


def test_states_by_what_is_trained(known):
  known.train.first_moment = "bfloat16"
  states = _plan(known, ABSENT).states
  assert states.moments == pytest.approx(1.5 * states.weights, abs=8)
  known.machine.micro_batches = 2
  assert _plan(known, ABSENT).states.gradients == 2 * states.weights
  known.lora.rank = 2
  full = _plan(known, ABSENT).states
  known.lora.base = "bfloat16"
  half = _plan(known, ABSENT).states
  assert half.frozen * 2 == full.frozen > 0
  assert half.moments == full.moments < full.frozen


def test_logits_are_planned_for_a_share_of_the_tokens(known):
  everywhere = _plan(known, ABSENT)
  known.plan.loss_share, known.machine.micro_batches = 0.06, 2
  plan = _plan(known, ABSENT)
  # 6% of 4 x 128 positions, in steps of 16.
  assert (plan.groups, plan.shape.loss_slots) == (2, 32)
  assert plan.head_flops == everywhere.head_flops / 16
  saved = everywhere.head_flops - plan.head_flops
  assert everywhere.model_flops - plan.model_flops == saved
  assert plan.flops == everywhere.flops - saved


def test_remat_keeps_fewer_residuals(known):
  residuals = []
  for known.machine.remat in ("none", "cheap", "full"):
    residuals.append(_plan(known, ABSENT).residual_bytes)
  assert residuals[0] > residuals[1] > residuals[2] > 0
  known.machine.micro_batches = 2
  assert _plan(known, ABSENT).residual_bytes < 0.6 * residuals[2]


def test_flops_count_turns_and_repetitions():
  def run(x):
    def turn(x, _):
      return jax.checkpoint(lambda x: jnp.sin(x @ x))(x), None

    return jax.lax.scan(turn, x, length=3)[0].sum()

  x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  product = 2 * 8**3
  assert products.flops(jax.make_jaxpr(run)(x)) == 3 * product
  # Two gradients of each product, and the product again.
  assert products.flops(jax.make_jaxpr(jax.grad(run))(x)) == 3 * 4 * product


def test_loops_of_unknown_length_are_not_counted():
  def run(x, count):
    return jax.lax.fori_loop(0, count, lambda _, x: x @ x, x @ x)

  x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  traced = jax.make_jaxpr(run)(x, 3)
  assert products.flops(traced) == 2 * 8**3
  assert products.opaque(traced)
  assert not products.opaque(jax.make_jaxpr(lambda x: x @ x)(x))


def test_traced_flops_are_the_model_and_its_recomputation(known):
  # Attention on a CPU counts as the model's: its loops have unknown lengths.
  known.machine.remat = "none"
  known.plan.rows, known.plan.length = 4, 64
  plan = _plan(known, ABSENT)
  assert plan.flops == plan.model_flops
  known.machine.remat = "full"
  rematerialized = _plan(known, ABSENT)
  assert rematerialized.model_flops == plan.model_flops
  # Of what is repeated, attention is not counted.
  assert 1.1 < rematerialized.flops / plan.flops < 4 / 3


@pytest.mark.slow
def test_a_mesh_that_splits_positions_is_compared_with_one_that_does_not(eight):
  plan = eight["context"]
  assert plan["groups"] == 2 * 4 and "+" in plan["parameters"]
  split, unsplit = (roofline.Roofline(*line) for line in plan["rooflines"])
  assert split.mesh == {"data": 1, "fsdp": 2, "context": 4, "tensor": 1}
  assert unsplit.mesh == {"data": 1, "fsdp": 8, "context": 1, "tensor": 1}
  assert split.slots == 2 * 64 and unsplit.slots == 8 * 64
  # Logits of split positions are needed at as many places at the most.
  assert split.products == pytest.approx(unsplit.products / 4)
  assert split.memory == unsplit.memory
  assert "passes" in plan["formula"]


def test_collectives_of_a_known_program(eight):
  gathered = 64 * 64 * F32
  assert eight["known"]["all-gather"] == [5, 5 * gathered * 7 // 8, gathered]
  count, _, largest = eight["known"]["all-reduce"]
  assert (count, largest) == (1, F32)


def test_parameters_over_eight_devices(eight):
  plan = eight["plan"]
  kernels = 3 * (4 * 128 * 128 + 3 * 128 * 512) + 264 * 128
  norms = 7 * 128  # Every device has them whole.
  assert plan["states"]["weights"] == F32 * (kernels // 8 + norms)
  assert plan["copied"] < 1000
  # One kernel of one block at a time is gathered, never a stack of them, and
  # gradients of one block are summed; activations of all rows never are.
  kernel, block = F32 * 128 * 512, F32 * (4 * 128 * 128 + 3 * 128 * 512)
  assert plan["collectives"]["all-gather"][2] <= kernel
  assert plan["collectives"]["all-reduce"][2] <= block + 2 * F32 * 128


def test_an_absent_chip(known):
  known.model.update(presets.LLAMA2_7B)
  known.machine.remat = "full"
  known.model.dtype = "bfloat16"
  plan = _plan(known, ABSENT)
  assert plan.compiled is None and plan.fits
  assert sum(plan.states) == pytest.approx(16 * 6.738e9, rel=1e-3)
  # What enters each of 32 blocks, of type bfloat16, at the least.
  assert plan.residual_bytes >= 32 * 8 * 128 * 4096 * 2
  assert plan.bounds["products"] == plan.flops / 989.5e12
  less = _plan(known, "L4")
  assert not less.fits and "logits_chunk" in less.remedies[0]


def test_the_stage_prints_and_writes_nothing(known, tmp_path):
  known.plan.topology = "L4"
  known.model.update(presets.LLAMA2_7B)
  known.data.source = "niv2"  # There is none: a plan reads no data.
  console = rich.console.Console(file=io.StringIO(), width=150)
  pipeline.run(known, tmp_path, ["plan"], console)
  output = console.file.getvalue()
  assert "8 x 128 = 1,024" in output and "blocks/*/mlp/up/kernel" in output
  assert "does not fit: each device lacks" in output
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["v9:2x2", "v5e:", "v5e4x4:", ":4x4"])
def test_unknown_topologies(name):
  with pytest.raises(errors.InputError, match=r"such as v5e:4x4; .* v6e:2x2"):
    topology.find_hardware(name)


def test_unknown_chips():
  with pytest.raises(errors.InputError, match='Did you mean "H200 SXM"'):
    topology.find_hardware("H200 SXN")


def test_a_topology_without_libtpu(monkeypatch):
  def absent(**_):
    raise RuntimeError("JAX TPU support not installed")

  monkeypatch.setattr(topology.topologies, "get_topology_desc", absent)
  with pytest.raises(errors.InputError, match=r"pip install 'zsgen\[tpu\]'"):
    topology.find_hardware("v5e:2x2")


@pytest.mark.parametrize(
    "message",
    [
        "Ran out of memory in memory space hbm. Used 18.50G of 15.75G hbm.",
        "Ran out of memory on HBM, the total memory required for HLO"
        " temporaries (18.50G) exceeds available HBM (15.75G).",
    ],
)
def test_out_of_memory_errors_of_the_tpu_compiler_are_parsed(
    known, message, monkeypatch
):
  hardware = topology.find_hardware("")._replace(
      chip=chips.find_chip("TPU v5 lite")
  )

  def compile_(_):
    raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {message}")

  monkeypatch.setattr(jax.stages.Lowered, "compile", compile_)
  config = config_lib.check(known)
  start = starts.make(config.model, config.seed, config.lora)
  plan = plan_lib.make(config, start, hardware)
  assert not plan.fits and plan.compiled is None
  assert plan.used - plan.limit == 2.75 * 2**30


@pytest.mark.tpu
@pytest.mark.parametrize(
    "name, context", [("v5e:2x2", 1), ("v4:2x2x1", 1), ("v5e:2x2", 2)]
)
def test_a_topology_without_a_tpu(known, name, context):
  pytest.importorskip("libtpu")
  known.model.update(dtype="bfloat16", head_width=128, vocab_multiple=128)
  known.machine.mesh.update(data=1, fsdp=-1, context=context)
  plan = _plan(known, name)
  assert len(plan.rooflines) == 2 * (context > 1)
  assert plan.mesh.size == 4 and plan.fits
  assert plan.compiled.collectives
  assert set(plan.bounds) == {"products", "memory", "links"}


def test_shapes_of_an_existing_order(small, tmp_path):
  small.plan.topology, small.machine.layouts = ABSENT, 3

  def printed(*stages):
    console = rich.console.Console(file=io.StringIO(), width=200)
    pipeline.run(small, tmp_path, stages, console)
    return console.file.getvalue()

  before = printed("plan")
  assert "the order has not been made (--stage=order)" in before
  length = small.data.max_length
  assert f"4 x {length:,} = " in before and not list(tmp_path.iterdir())
  printed("prepare", "order")
  after = printed("plan")
  assert "% padding, logits at " in after and "largest step" not in after
  assert f"4 x {length:,} = " not in after
  small.plan.rows = 3
  assert "layouts  " not in printed("plan")
