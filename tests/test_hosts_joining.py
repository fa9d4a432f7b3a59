"""How a process finds out whether there are others, and where."""

import pytest

from zsgen import config, errors
from zsgen.hosts import joining

NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[001-004]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "0",
}


@pytest.fixture
def bare(monkeypatch):
  """An environment that says nothing of other processes."""
  for name in (*NAMES, *SLURM, "OMPI_MCA_orte_hnp_uri", "TPU_WORKER_HOSTNAMES"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
  return monkeypatch


def _set(bare, values) -> None:
  for name, value in values.items():
    bare.setenv(name, value)


def test_one_process_starts_nothing(bare):
  assert joining._where(config.Hosts()) is None
  bare.setenv("JAX_NUM_PROCESSES", "1")
  assert joining._where(config.Hosts()) is None


def test_options_go_before_variables(bare):
  _set(bare, dict(zip(NAMES, ("a:1", "3", "2"), strict=True)))
  found = joining._where(config.Hosts(coordinator="b:2"))
  assert found == {
      "coordinator_address": "b:2",
      "num_processes": 3,
      "process_id": 2,
      "cluster_detection_method": "deactivate",
  }


def test_what_jax_finds_need_not_be_said(bare):
  _set(bare, SLURM)
  found = joining._where(config.Hosts())
  assert set(found.values()) == {None}
  assert joining._where(config.Hosts(coordinator="b:2")) == {
      **found,
      "coordinator_address": "b:2",
  }
  assert joining._where(config.Hosts(count=1)) is None
  bare.setenv("SLURM_NTASKS", "1")
  assert joining._where(config.Hosts()) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("a:1", "3", ""), "missing: index"),
        (("", "3", "1"), "missing: coordinator"),
        (("a:1", "3", "3"), "none of 0 to 2"),
        (("a:1", "three", "0"), "JAX_NUM_PROCESSES is 'three'"),
    ],
)
def test_what_is_not_enough_is_told(bare, values, said):
  _set(bare, dict(zip(NAMES, values, strict=True)))
  with pytest.raises(errors.InputError, match=said):
    joining._where(config.Hosts())
