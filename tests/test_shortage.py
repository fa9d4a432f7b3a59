"""Little memory and few files: one message, whatever raises it."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from zsgen.core import errors, shortage

CONFIG = "tests/campaigns/option_config.py"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "out of memory. Lower"),
        (
            ValueError("RESOURCE_EXHAUSTED: Out of memory allocating"),
            "of memory",
        ),
        (RuntimeError("std::bad_alloc"), "out of memory (std::bad_alloc)"),
        (OSError(errno.ENOMEM, "Cannot allocate"), "out of memory"),
        (
            OSError(errno.EMFILE, "Too many open files", "x"),
            "`ulimit -n` limits",
        ),
        (
            ValueError(
                "RESOURCE_EXHAUSTED: Failed to open x: Too many open files"
            ),
            "`ulimit -n` limits",
        ),
        (RuntimeError("can't start new thread"), "`ulimit -u`"),
    ],
)
def test_messages_explain_the_shortage(error, message):
  assert message in shortage.explain(error)
  try:
    try:
      raise error
    except type(error) as cause:
      raise ValueError("what came of it") from cause
  except ValueError as outer:
    assert message in shortage.explain(outer)


def test_other_errors_are_not_explained():
  assert not shortage.explain(ValueError("x"))
  assert not shortage.explain(FileNotFoundError(errno.ENOENT, "no file", "x"))


def test_an_address_space_in_which_jax_only_aborts(monkeypatch):
  shortage.check_limits()
  monkeypatch.setattr(resource, "getrlimit", lambda kind: (2**31, 2**31))
  with pytest.raises(errors.InputError, match=r"to 2 GiB .* needs 3 GiB"):
    shortage.check_limits()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        (resource.RLIMIT_NOFILE, 16, "`ulimit -n` limits this process to 16"),
        (resource.RLIMIT_AS, 2**30, "`ulimit -v` limits this process to 1 GiB"),
    ],
)
def test_processes_with_low_limits(root, tmp_path, limit, value, message):
  completed = subprocess.run(
      [
          *(sys.executable, "-m", "zsgen.main"),
          *(f"--config={CONFIG}", f"--workdir={tmp_path}"),
      ],
      cwd=root,
      env={**os.environ, "PYTHONPATH": str(root)},
      preexec_fn=lambda: resource.setrlimit(limit, (value, value)),
      capture_output=True,
      text=True,
      check=False,
  )
  assert completed.returncode == 2
  assert message in completed.stderr
  assert "Traceback" not in completed.stderr
