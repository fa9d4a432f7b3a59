"""Commands that embed and arrange, in real processes; one is killed."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import artifact_files, bert_models

_ROOT = pathlib.Path(__file__).parents[2]
_CONFIG = """
import zsgen
from zsgen.orders.embedders import batches, chunks, parts

# Small, and slow enough to be killed in between.
batches._TOKENS, chunks.SIZE, parts._SECONDS = 160, 64, 0


def get_config():
  config = zsgen.default_config()
  config.data.train_instances = 12
  config.order.arrangement = "tmt"
  config.order.embedder = "encoder"
  config.order.encoder = {encoder!r}
  return config
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path) -> pathlib.Path:
  pytest.importorskip("tokenizers")
  encoder = str(bert_models.write(tmp_path / "encoder"))
  path = tmp_path / "embed_config.py"
  path.write_text(_CONFIG.format(encoder=encoder))
  return path


def _start(tool: str, config, workdir: str, *flags: str) -> subprocess.Popen:
  command = [sys.executable, "-m", *tool.split(), f"--config={config}"]
  command += [f"--workdir={config.parent / workdir}", *flags]
  return subprocess.Popen(
      command,
      cwd=_ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      env={**os.environ, "PYTHONPATH": str(_ROOT)},
  )


def _run(*command, code: int = 0) -> str:
  process = _start(*command)
  output = process.communicate(timeout=200)[0]
  assert process.returncode == code, output
  return output


@pytest.mark.numerics
def test_embeddings_by_shards(tmp_path, config):
  embed = "zsgen.orders embed", config
  missing = _run(*embed, "whole", "--shard=0/2", code=2)
  assert "the store of this config does not exist" in missing
  for workdir in ("whole", "shards"):
    _run("zsgen.data prepare", config, workdir)
  whole = _run(*embed, "whole")
  killed = _start(*embed, "shards", "--shard=0/2")
  root = tmp_path / "shards" / "embeddings"
  while len(list(root.glob(".*.shards/chunk-*.part-*"))) < 3:
    assert killed.poll() is None
    time.sleep(0.005)
  killed.send_signal(signal.SIGKILL)
  killed.communicate()
  resumed = _run(*embed, "shards", "--shard=0/2")
  assert "embedding resumes" in resumed and "Other shards have to" in resumed
  refused = _run(*embed, "shards", "--merge", code=2)
  assert "chunks are not embedded: 1, 3" in refused
  assert "run --merge" in _run(*embed, "shards", "--shard=1/2")
  merged = _run(*embed, "shards", "--merge")
  assert merged.split("vectors")[1] == whole.split("vectors")[1]
  artifact_files.assert_same(
      tmp_path / "shards" / "embeddings", tmp_path / "whole" / "embeddings"
  )
  both = _run(*embed, "shards", "--merge", "--shard=0/2", code=2)
  assert "two commands" in both
  no_embedder = "--config.order.arrangement=random", "--config.order.embedder="
  assert "needs no embeddings" in _run(*embed, "whole", *no_embedder, code=2)


def test_orders_by_shards(tmp_path, config):
  options = "--config.order.embedder=ngram", "--config.order.budget=40"
  arrange = "zsgen.orders arrange", config
  _run("zsgen.data prepare", config, "whole", *options)
  missing = _run(*arrange, "whole", *options, "--shard=0/2", code=2)
  assert "embeddings of this config do not exist" in missing
  _run("zsgen.orders embed", config, "whole", *options)
  shutil.copytree(tmp_path / "whole", tmp_path / "shards")
  whole = _run(*arrange, "whole", *options)
  refused = _run(*arrange, "shards", *options, "--merge", code=2)
  assert "no shard of this config is listed" in refused
  for index in (0, 1):
    shard = _run(*arrange, "shards", *options, f"--shard={index}/2")
  assert "run --merge" in shard
  merged = _run(*arrange, "shards", *options, "--merge")
  assert merged.split("examples")[1] == whole.split("examples")[1]
  again = _run(*arrange, "shards", *options, "--shard=0/2")
  assert "the order exists already" in again
