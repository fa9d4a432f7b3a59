"""The table of chips: every name once, and figures of the right size."""

import jax
import pytest

from zsgen.core import chips


def test_every_kind_belongs_to_one_chip():
  kinds = [kind for chip in chips.CHIPS for kind in chip.kinds]
  assert len(kinds) == len(set(kinds))
  names = [chip.name for chip in chips.CHIPS]
  assert len(names) == len(set(names))


@pytest.mark.parametrize("chip", chips.CHIPS, ids=lambda chip: chip.name)
def test_figures_are_in_their_units(chip):
  assert 1e14 < chip.flops < 5e15
  assert 2**34 <= chip.memory < 2**38
  assert 2e11 < chip.bandwidth < 1e13
  # Memory is faster than any link to another chip.
  assert 1e10 < chip.links < chip.bandwidth


def test_a_chip_is_found_by_its_kind():
  assert chips.find_chip("NVIDIA H200").name == "H200 SXM"
  assert chips.find_chip("TPU v5 lite") == chips.find_chip("TPU v5e")
  assert chips.find_chip(jax.devices("cpu")[0].device_kind) is None
