"""How a process finds out whether there are others, and where."""

import dataclasses

import pytest

from zsgen.core import config, errors
from zsgen.core.hosts import addresses, joining

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
  """Returns an environment that says nothing of other processes."""
  for name in (*NAMES, *SLURM, "OMPI_MCA_orte_hnp_uri", "TPU_WORKER_HOSTNAMES"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
  return monkeypatch


def _set(bare, values) -> None:
  for name, value in values.items():
    bare.setenv(name, value)


def test_one_process_starts_nothing(bare):
  assert joining._find_membership(config.Hosts()) is None
  bare.setenv("JAX_NUM_PROCESSES", "1")
  assert joining._find_membership(config.Hosts()) is None


def test_options_take_precedence_over_variables(bare):
  _set(bare, dict(zip(NAMES, ("a:1", "3", "2"), strict=True)))
  actual = joining._find_membership(config.Hosts(coordinator="b:2"))
  assert actual == joining.Membership(
      ("b", 2), count=3, index=2, is_detected=False
  )


def test_values_that_jax_detects_need_no_options(bare):
  _set(bare, SLURM)
  expected = joining.Membership(None, count=4, index=3, is_detected=True)
  assert joining._find_membership(config.Hosts()) == expected
  # Given an address, the processes meet there before jax starts.
  with_address = dataclasses.replace(expected, address=("b", 2))
  assert (
      joining._find_membership(config.Hosts(coordinator="b:2")) == with_address
  )
  # What is said goes before what the cluster says.
  three = dataclasses.replace(with_address, count=3, index=1)
  options = config.Hosts(coordinator="b:2", count=3, index=1)
  assert joining._find_membership(options) == dataclasses.replace(
      three, is_detected=False
  )
  options = dataclasses.replace(options, coordinator="")
  assert joining._find_membership(options) == dataclasses.replace(
      three, address=None
  )
  assert joining._find_membership(config.Hosts(count=1)) is None
  bare.setenv("SLURM_NTASKS", "1")
  assert joining._find_membership(config.Hosts()) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("a:1", "3", ""), "missing: index"),
        (("", "3", "1"), "missing: coordinator"),
        (("a:1", "3", "3"), "not one of 0 to 2"),
        (("a:1", "1", "1"), "not one of 0 to 0"),
        (("a:1", "three", "0"), "JAX_NUM_PROCESSES is 'three'"),
        (("a:1", "0", "0"), "JAX_NUM_PROCESSES is '0'.* from 1 to 65536"),
        (("a:1", "9" * 30, "0"), "JAX_NUM_PROCESSES is '999.* from 1"),
        (("a:1", "3", "-1"), "JAX_PROCESS_ID is '-1'"),
        (("a", "3", "1"), "'a'; it must be HOST:PORT"),
        ((":1", "3", "1"), "':1'; it must be HOST:PORT"),
        (("a:", "3", "1"), "its port is '', which must be a number"),
        (("a:0", "3", "1"), "its port is '0', which must be a number from 1"),
        (("a:65536", "3", "1"), "its port is '65536'"),
        (("a:http", "3", "1"), "its port is 'http'"),
        (("http://a:1", "3", "1"), "'http://a:1'; it must be HOST:PORT"),
        (("::1:1234", "3", "1"), r"it must be HOST:PORT.*such as.*\[::1\]:12"),
        (("[a]:1", "3", "1"), "it must be HOST:PORT"),
        (("a b:1", "3", "1"), "it must be HOST:PORT"),
    ],
)
def test_incomplete_settings_are_reported(bare, values, message):
  _set(bare, dict(zip(NAMES, values, strict=True)))
  with pytest.raises(errors.InputError, match=message):
    joining._find_membership(config.Hosts())


@pytest.mark.parametrize(
    "text", ["node_1.lan.:22", "10.0.0.1:9", "[::1]:65535"]
)
def test_addresses_are_parsed_and_shown(text):
  address = addresses.parse(text, "option")
  assert str(address) == text
  assert not address.host.startswith("[")
