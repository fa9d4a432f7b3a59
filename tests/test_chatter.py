"""What libraries say is shown, unless it tells a user nothing."""

import logging

from absl import logging as absl_logging
import pytest

from zsgen.core import artifacts, chatter
from zsgen.train import checkpoints


@pytest.fixture
def hidden(caplog):
  """Hides chatter, for one test; caplog has what is left."""
  loggers = absl_logging.get_absl_logger(), logging.getLogger("asyncio")
  before = [list(logger.filters) for logger in loggers]
  verbosity = absl_logging.get_verbosity()
  chatter.hide()
  chatter.hide()  # Twice is as good as once.
  yield caplog
  for logger, filters in zip(loggers, before, strict=True):
    logger.filters[:] = filters
  absl_logging.set_verbosity(verbosity)


def test_chatter_is_hidden_and_warnings_are_not(hidden):
  absl_logging.warning("Given directory is read only=%s", "/runs/a")
  absl_logging.warning(
      'Item "meta" was found in the checkpoint, but could not'
      " be restored. Please provide a registry."
  )
  absl_logging.info("Wrote a file.")
  absl_logging.warning("The disk is slow.")
  absl_logging.error("Given up: is read only=/runs/a")
  assert [record.getMessage() for record in hidden.records] == [
      "The disk is slow.",
      "Given up: is read only=/runs/a",
  ]
  assert logging.getLogger("absl").filters.count(chatter._is_useful) == 1


def test_one_failed_save_shows_one_error(hidden):
  logger = logging.getLogger("asyncio")
  logger.error(
      "Task exception was never retrieved\nfuture: <Task finished name='Task-7'"
      " coro=<async_serialize_from_host() done> exception=ValueError('full')>"
  )
  logger.error(
      "Task exception was never retrieved\nfuture: <Task coro=<other()>"
  )
  (record,) = hidden.records
  assert "other" in record.getMessage()


def test_opening_a_finished_run_logs_nothing(hidden, tmp_path):
  """Opens a run as `run:DIR` does; words are those of the installed orbax."""
  (tmp_path / "checkpoints").mkdir()
  fields = {
      "made_by": {},
      "store": "",
      "order": "",
      "batch_size": 1,
      "steps": 1,
  }
  artifacts.write_manifest(tmp_path, {"kind": "run", **fields})
  with checkpoints.Finished(tmp_path) as finished:
    assert not finished.steps()
  assert not [record.getMessage() for record in hidden.records]
