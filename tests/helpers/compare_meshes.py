"""Run by test_mesh.py on 8 devices: meshes agree, and wrong ones are told.

python -m tests.helpers.compare_meshes few|all
"""

import dataclasses
import functools
import sys
import types

import jax
import numpy as np
import pytest

from tests.helpers import closeness
from zsgen.core import config, errors
from zsgen.core import mesh as mesh_lib
from zsgen.models import model as model_lib
from zsgen.train import layouts, loss_slots

ARCH = config.Model(
    vocab_size=24, layers=2, width=16, kv_heads=2, head_width=8, mlp_width=24
)
# All that a block can have, a repeat of the pattern and a block left over; the
# vocabulary is divided by padding only.
EVERY_OPTION = dataclasses.replace(
    ARCH,
    vocab_size=23,
    vocab_multiple=8,
    layers=3,
    pattern=("local", "global"),
    window=3,
    qkv_bias=True,
    out_bias=True,
    mlp_bias=True,
    qk_norm=True,
    post_norms=True,
)
NO_LORA = config.NO_LORA
LEARNED = dataclasses.replace(ARCH, positions="learned", norm="layer")
LORA = config.Lora(rank=3, targets=".*")
UNTIED = dataclasses.replace(ARCH, tied=False, vocab_multiple=2)
FEW_MESHES = {(EVERY_OPTION, LORA): [(1, 2, 2, 2)]}
MESHES = {
    "few": FEW_MESHES,
    "all": {
        (EVERY_OPTION, LORA): [(1, 2, 2, 2), (2, 2, 2, 1), (2, 1, 2, 2)],
        (ARCH, NO_LORA): [
            (8, 1, 1, 1),
            (1, 8, 1, 1),
            (2, -1, 2, 1),
            (1, 1, 1, 8),
        ],
        (EVERY_OPTION, NO_LORA): [(2, 2, 2, 1), (1, 2, 1, 4)],
        (LEARNED, NO_LORA): [(2, 2, 1, 2)],
        (UNTIED, LORA): [(2, 2, 2, 1), (1, 2, 2, 2)],
    },
}


def _loss(params, arrays, model):
  batch = types.SimpleNamespace(**arrays)
  weights = (batch.loss_positions > 0) / (batch.loss_positions > 0).sum()
  return model.loss(params, batch, weights)


def _batch(mesh: jax.sharding.Mesh) -> dict[str, np.ndarray]:
  """Rows of three segments and padding; some of the tokens carry loss."""
  rng = np.random.default_rng(0)
  sizes = (5, 6, 3, 2)
  mask = np.isin(np.arange(16), (2, 4, 7, 8, 13))
  positions = np.concatenate([np.arange(size) for size in sizes])
  rows = dict(
      tokens=rng.integers(0, EVERY_OPTION.vocab_size, (8, 16)),
      positions=np.tile(positions, (8, 1)),
      segments=np.tile(np.repeat([1, 2, 3, 0], sizes), (8, 1)),
  )
  split = layouts.split_on(mesh)
  # There are more slots than tokens with loss.
  slots = np.zeros((split.groups, 8 // split.shards * 5 + 1), np.int32)
  masks = np.tile(mask, (8, 1))
  loss_slots.fill(slots, masks, rows["positions"], split.shards, split.context)
  arrays = {name: array.astype(np.int32) for name, array in rows.items()}
  return {**arrays, "loss_positions": slots}


def _evaluate_on(mesh, params, model):
  """Loss and gradient on a mesh; gradients lie as their parameters do."""
  split_execution = model.execution._replace(mesh=mesh)
  model = dataclasses.replace(model, execution=split_execution)
  shardings = mesh_lib.shardings(params, mesh)
  rows, replicated = mesh_lib.position_sharding(mesh), mesh_lib.replicated(mesh)
  batch = dict.fromkeys(("tokens", "positions", "segments"), rows)
  batch["loss_positions"] = mesh_lib.group_sharding(mesh)
  step = jax.jit(
      jax.value_and_grad(functools.partial(_loss, model=model)),
      in_shardings=(shardings, batch),
      out_shardings=(replicated, shardings),
  )
  return step(params, _batch(mesh))


def _check_tensor_axis_must_divide() -> None:
  mesh = mesh_lib.make(config.Mesh(data=2, tensor=4))
  arch = dataclasses.replace(ARCH, vocab_size=32)
  init = model_lib.Model.from_config(arch).init
  shapes = jax.eval_shape(init, jax.random.key(0))
  message = r"mesh.tensor is 4.*axis 2 of parameter .*\(2, 16, 2, 8\): 2\."
  with pytest.raises(errors.InputError, match=message):
    mesh_lib.shardings(shapes, mesh)


def _check_meshes_agree(
    arch: config.Model, lora: config.Lora, meshes: list[tuple[int, ...]]
) -> None:
  model = model_lib.Model.from_config(arch, lora)
  params = jax.device_get(jax.jit(model.init)(jax.random.key(0)))
  rng = np.random.default_rng(0)
  if lora.rank:  # New adapters are 0, and so are gradients then.
    params = jax.tree.map(
        lambda leaf: leaf + rng.normal(0, 0.1, leaf.shape).astype(leaf.dtype),
        params,
    )
  single = mesh_lib.make(config.Mesh(), jax.devices()[:1])
  loss, grads = jax.device_get(_evaluate_on(single, params, model))
  for axes in meshes:
    mesh = mesh_lib.make(config.Mesh(*axes))
    actual, actual_grads = _evaluate_on(mesh, params, model)
    closeness.assert_close(actual, loss)
    closeness.assert_close(jax.device_get(actual_grads), grads)
    shards = mesh_lib.row_shards(mesh) * mesh_lib.position_shards(mesh)
    assert shards == 8 // mesh.shape["tensor"]


def main() -> None:
  """Raises if a mesh changes the loss or the gradient."""
  assert jax.device_count() == 8
  for (arch, lora), meshes in MESHES[sys.argv[1]].items():
    _check_meshes_agree(arch, lora, meshes)
  _check_tensor_axis_must_divide()


if __name__ == "__main__":
  main()
