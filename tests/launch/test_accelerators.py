"""The table of accelerators: sizes that fit their topologies, and errors."""

import re

import pytest

from launch import accelerators
from zsgen.core import errors


@pytest.mark.parametrize(
    "tpu", accelerators.TPUS.values(), ids=lambda t: t.name
)
def test_sizes_are_counted_as_google_counts_them(tpu):
  slices = tpu.slices()
  assert len(slices) == len(tpu.topologies)
  sizes = [int(name.rpartition("-")[2]) for name in slices]
  assert sizes == sorted(sizes)
  for slice_ in slices.values():
    assert slice_.hosts * slice_.chips_per_host == slice_.chips
    assert slice_.chips_per_host in (1, 4, 8)
    assert re.fullmatch(r"(ct|tpu)\w+-\w+-[148]t", slice_.machine)


@pytest.mark.parametrize(
    ("name", "accelerator_type", "topology", "chips", "hosts"),
    [
        ("v4-8", "v4-8", "2x2x1", 4, 1),
        ("v4-32", "v4-32", "2x2x4", 16, 4),
        ("v5e-1", "v5litepod-1", "1x1", 1, 1),
        ("v5e-8", "v5litepod-8", "2x4", 8, 1),
        ("v5litepod-16", "v5litepod-16", "4x4", 16, 4),
        ("v5p-128", "v5p-128", "4x4x4", 64, 16),
        ("v6e-8", "v6e-8", "2x4", 8, 1),
        ("v6e-256", "v6e-256", "16x16", 256, 64),
        ("tpu7x-32", "tpu7x-32", "2x2x4", 16, 4),
    ],
)
def test_slices(name, accelerator_type, topology, chips, hosts):
  slice_ = accelerators.find_slice(name)
  assert slice_.accelerator_type == accelerator_type
  assert slice_.topology == topology
  assert (slice_.chips, slice_.hosts) == (chips, hosts)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5e", "give a kind and a size, such as v5e-16"),
        ("16", "give a kind and a size"),
        (
            "v9-8",
            "'v9' is unknown. Choose one of: v4, v5litepod, v5p, v6e, tpu7x",
        ),
        ("v5-lite-8", "'v5-lite' is unknown. Did you mean"),
        ("v5e-24", "no v5e of that size. Choose one of: v5e-1, v5e-4, v5e-8,"),
        ("v4-4", "no v4 of that size. Choose one of: v4-8,"),
        ("h100-4", "no h100 of that size. Choose one of: h100-8."),
    ],
)
def test_names_that_do_not_exist(name, message):
  with pytest.raises(errors.InputError, match=re.escape(message)):
    accelerators.find(name)


def test_gpus_are_not_slices():
  assert accelerators.find("a100-4") == accelerators.Node(
      accelerators.GPUS["a100"], 4
  )
  with pytest.raises(errors.InputError, match=r"not a TPU.*For GPUs, use"):
    accelerators.find_slice("h100-8")


def test_a_runtime_belongs_to_a_kind():
  tpu = accelerators.TPUS["v5e"]
  assert accelerators.choose_runtime(tpu, "") == "v2-alpha-tpuv5-lite"
  with pytest.raises(
      errors.InputError, match=r"is for v6e\. v5e has: v2-alpha"
  ):
    accelerators.choose_runtime(tpu, "v2-alpha-tpuv6e")
  with pytest.raises(errors.InputError, match=r"launch\.render mig makes"):
    accelerators.choose_runtime(accelerators.TPUS["tpu7x"], "")
  with pytest.raises(
      errors.InputError, match=r"is unknown\. v5e has: v2-alpha"
  ):
    accelerators.choose_runtime(tpu, "v2-alpha")
