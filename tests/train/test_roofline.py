"""Rooflines: bytes and FLOPs of a step, counted by hand."""

import numpy as np
import pytest

from zsgen.core import chips
from zsgen.core import config as config_lib
from zsgen.planning import roofline
from zsgen.train import flops, layouts

CHIP = chips.Chip("none", ("none",), 1e12, 2**30, 1e9, 1e8)
ARCH = config_lib.Model(
    layers=3, width=8, heads=4, kv_heads=2, head_width=4, dtype="bfloat16"
)
SHAPES = (layouts.Shape(4, 32, 16), layouts.Shape(8, 64, 16))
MESH = dict(data=2, fsdp=2, context=4, tensor=2)


def _work(remat="full", trained=5000, frozen=0):
  counted = flops.Flops(1000, 0, 60, 16, {0: 3})
  return roofline.Work(counted, ARCH, remat, trained, frozen, 12 * trained)


def _estimate(work, mesh, padding=0.25):
  split = layouts.Split(mesh["data"] * mesh["fsdp"], 1, mesh["context"])
  rows, steps = np.zeros((1, 3, 4), np.int32), np.array([0, 1, 0])
  planned = layouts.Layouts(SHAPES, steps, rows, split, padding)
  return roofline.estimate(work, mesh, CHIP, planned)


def test_each_bound_is_what_the_formula_says():
  estimate = _estimate(_work(), MESH)
  slots = (128 + 512 + 128) / 3
  assert (estimate.slots, estimate.tokens) == (slots, 0.75 * slots)
  body = sum(
      6 * 1000 * rows * length + 12 * 16 * 3 * rows * length * (length + 1) // 2
      for rows, length in ((4, 32), (8, 64), (4, 32))
  )
  products = (body * 4 / 3 + 3 * 60 * 16 * 16) / 3
  assert estimate.products == pytest.approx(products / 32 / 1e12)
  memory = 2 * 60_000 / 16 + 3 * 2 * 5000 / 2
  assert estimate.memory == pytest.approx(memory / 1e9)
  weights, rows = 2 * 5000 / 2, slots / 4
  received = (
      (3 * weights + weights) * 7 / 8
      + (4 * 3 * (2 * 2 * 2 * 4 * rows / 2) + 2 * (2 * 8 * rows)) * 3 / 4
      + 4 * 3 * 3 * (2 * 8 * rows / 4) * 1 / 2
      + 2 * (4 * 5000 / 16) * 1 / 2
  )
  assert estimate.links == pytest.approx(received / 1e8)
  assert estimate.seconds == max(
      estimate.products, estimate.memory, estimate.links
  )


def test_a_single_device_receives_nothing_and_less_remat_computes_less():
  single = dict.fromkeys(MESH, 1)
  full, cheap = (_estimate(_work(remat), single) for remat in ("full", "cheap"))
  assert full.links == cheap.links == 0
  assert cheap.products < full.products and cheap.memory < full.memory


def test_frozen_weights_have_no_gradients():
  trained, frozen = (
      _estimate(_work(trained=n, frozen=6000 - n), MESH) for n in (6000, 100)
  )
  assert frozen.links < trained.links and frozen.memory < trained.memory
