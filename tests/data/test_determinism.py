"""The same bytes in every process: whatever its hashes, threads and locale."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from zsgen.core import artifacts
from zsgen.data.tokenizers import bpe

pytest.importorskip("tokenizers")

_ROOT = pathlib.Path(__file__).parents[2]
_SCRIPT = """
import pathlib, sys
from zsgen.core import config
from zsgen.data import prepare
root, rows, listed, tokenizer = sys.argv[1:]
tokenizer = dict(tokenizer="hf", tokenizer_path=tokenizer)
sets = {
    "z": config.Heldout(share=0.2), "a": config.Heldout(tasks_file=listed)
}
table = config.build(config.Data, 
    source="table", path=rows, heldout=sets, deduplicate=True, draw="sample",
    train_instances=20, label="random", template="chat", **tokenizer
)
synth = config.build(config.Data, source="synth", train_instances=3, **tokenizer)
for data in (table, synth):
  prepare.prepare(pathlib.Path(root), data, 3)
"""
_ENVIRONMENT = {
    "PYTHONHASHSEED": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_OTHER_ENVIRONMENTS = [
    {"PYTHONHASHSEED": "77", "RAYON_NUM_THREADS": "4"},
    {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
        "TZ": "Asia/Tokyo",
    },
]


@pytest.fixture
def arguments(tmp_path):
  """Returns the paths of a table in many scripts, a task list, a tokenizer."""
  texts = [f"猫 {i} 😀 Grüße {i % 7}" for i in range(200)]
  rows = [
      {"task": f"tü/{i % 7}", "input": text, "target": [f"ß{i % 5}", "שלום"]}
      for i, text in enumerate(texts)
  ]
  (tmp_path / "rows.jsonl").write_text(
      "\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8"
  )
  (tmp_path / "listed.txt").write_text("tü/3\ntü/5\n", "utf-8")
  bpe.write(bpe.train([texts], 300), tmp_path / "bpe")
  return [str(tmp_path / name) for name in ("rows.jsonl", "listed.txt", "bpe")]


def _run(root, arguments, environment):
  subprocess.run(
      [sys.executable, "-c", _SCRIPT, str(root), *arguments],
      cwd=_ROOT,
      env={**os.environ, **environment},
      check=True,
      timeout=100,
  )
  return {
      str(path.relative_to(root)): path.read_bytes()
      for path in root.rglob("*")
      if path.is_file() and path.name != artifacts.PROVENANCE
  }


def test_same_bytes_in_every_process(tmp_path, arguments):
  first = _run(tmp_path / "first", arguments, _ENVIRONMENT)
  assert len(first) > 10
  for number, environment in enumerate(_OTHER_ENVIRONMENTS):
    assert _run(tmp_path / str(number), arguments, environment) == first
