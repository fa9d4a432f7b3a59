"""Configs that are refused before any work."""

import pathlib

import ml_collections
import pytest

import zsgen
from zsgen.core import errors


def assert_refused(
    config: ml_collections.ConfigDict,
    workdir: pathlib.Path,
    stage: str,
    message: str,
) -> None:
  """Asserts that a stage raises InputError and has not made a store.

  Args:
    config: the config.
    workdir: a workdir without stores.
    stage: the stage that is run.
    message: a regular expression for a part of the message.
  """
  with pytest.raises(errors.InputError, match=message):
    zsgen.run(config, workdir, [stage])
  assert not (workdir / "stores").exists()
