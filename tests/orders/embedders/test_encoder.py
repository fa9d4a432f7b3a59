"""The encoder embedder: its vectors, and that nothing else changes them."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.helpers import bert_models, xla
from zsgen.core import errors
from zsgen.orders.embedders import batches, chunks, encoder, parts

pytestmark = pytest.mark.numerics

pytest.importorskip("tokenizers", reason="the extra minilm brings tokenizers")

EMBED_TEXTS = pathlib.Path(bert_models.__file__).with_name("embed_texts.py")


@pytest.fixture
def directory(tmp_path):
  return bert_models.write(tmp_path / "model")


def _texts(size, seed=0, longest=90):
  """Empty, short and over-long texts."""
  rng = np.random.default_rng(seed)
  lengths = [0, 200, *rng.integers(1, longest, size - 2)]
  return [" ".join(rng.choice(bert_models.WORDS, length)) for length in lengths]


def _embed(directory, texts, partial, report=lambda line: None):
  return encoder.Encoder(str(directory)).embed(
      iter(texts), np.ones(len(texts), bool), partial, report
  )


def _process(directory, texts, partial, out, *membership, devices=1):
  """Starts embed_texts.py."""
  path = out.with_suffix(".json")
  path.write_text(json.dumps(texts))
  environment = xla.environment(xla.devices(devices))
  return subprocess.Popen(
      [sys.executable, EMBED_TEXTS, directory, path, partial, out, *membership],
      env={**environment, "PYTHONPATH": str(EMBED_TEXTS.parents[2])},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
  )


def _vectors(process, out):
  try:
    output, _ = process.communicate(timeout=120)
  finally:
    process.kill()
  assert process.returncode == 0, output
  return np.load(out)


def test_vectors_equal_those_of_bert_on_truncated_texts(directory, tmp_path):
  texts, lines = _texts(30), []
  actual = _embed(directory, texts, tmp_path / "partial", lines.append)
  expected = [bert_models.vector(text) for text in texts]
  np.testing.assert_allclose(actual.vectors, expected, atol=2e-6)
  assert actual.vectors.dtype == np.float32
  long = sum(len(text.split()) > 70 for text in texts)
  assert actual.cut == long > 1
  cut = f"{long} of 30 texts were cut to 72 tokens"
  assert lines[-1] == cut


def test_the_prefix_precedes_each_text(tmp_path):
  prompts = {"prompts": {"a": "sort , "}, "default_prompt_name": "a"}
  directory = bert_models.write(
      tmp_path / "model",
      config_sentence_transformers=prompts,
      sentence_bert_config={"max_seq_length": 40},
  )
  texts = _texts(5)
  actual = _embed(directory, texts, tmp_path / "partial").vectors
  expected = [
      bert_models.vector(f"sort , {text}", longest=40) for text in texts
  ]
  np.testing.assert_allclose(actual, expected, atol=2e-6)


@pytest.mark.peer
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [False, True])
def test_settings_match_sentence_transformers_live(
    tmp_path, pooling, normalize
):
  peer = pytest.importorskip("sentence_transformers")
  paths = {"Transformer": "", "Pooling": "1_Pooling"}
  paths |= {"Normalize": "2_Normalize"} if normalize else {}
  kinds = "sentence_transformers.models."
  directory = bert_models.write(
      tmp_path / "model",
      config={**bert_models.CONFIG, "architectures": ["BertModel"]},
      modules=[
          {"idx": i, "name": str(i), "path": path, "type": kinds + name}
          for i, (name, path) in enumerate(paths.items())
      ],
      **{
          "1_Pooling__config": {
              "embedding_dimension": 32,
              "pooling_mode": pooling,
          }
      },
      tokenizer_config={"tokenizer_class": "BertTokenizer"},
      sentence_bert_config={"max_seq_length": 48},
      config_sentence_transformers={
          "prompts": {"query": "give the "},
          "default_prompt_name": "query",
      },
  )
  texts = _texts(12)
  expected = peer.SentenceTransformer(str(directory), device="cpu").encode(
      texts
  )
  actual = _embed(directory, texts, tmp_path / "partial").vectors
  assert np.abs(actual - expected).max() < 1e-5


def test_texts_are_lowercased_if_the_tokenizer_does_not(directory, tmp_path):
  path = directory / "tokenizer.json"
  described = json.loads(path.read_text())
  described["normalizer"]["lowercase"] = False
  path.write_text(json.dumps(described))
  upper, lower = _embed(directory, ["EVEN", "even"], tmp_path / "a").vectors
  assert (upper != lower).any()
  lowercase = json.dumps({"do_lower_case": True})
  (directory / "sentence_bert_config.json").write_text(lowercase)
  upper, lower = _embed(directory, ["EVEN", "even"], tmp_path / "b").vectors
  np.testing.assert_array_equal(upper, lower)


def test_equal_texts_have_equal_bits_in_any_row(directory, tmp_path):
  texts = _texts(300)
  order = np.random.default_rng(1).permutation(300)
  actual = _embed(directory, texts, tmp_path / "a").vectors
  reordered = _embed(
      directory, [texts[i] for i in order], tmp_path / "b"
  ).vectors
  np.testing.assert_array_equal(reordered, actual[order])


@pytest.mark.slow
def test_devices_do_not_change_a_bit(directory, tmp_path):
  texts = _texts(60)
  expected = _embed(directory, texts, tmp_path / "partial").vectors
  out = tmp_path / "eight.npy"
  eight = _process(directory, texts, tmp_path / "other", out, devices=8)
  assert _vectors(eight, out).tobytes() == expected.tobytes()


@pytest.mark.slow
def test_processes_share_the_chunks(directory, tmp_path):
  texts = _texts(130)
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = str(free.getsockname()[1])
  outs = [tmp_path / "0.npy", tmp_path / "1.npy"]
  pair = [
      _process(directory, texts, tmp_path / "two", out, port, "2", str(process))
      for process, out in enumerate(outs)
  ]
  actual = [
      _vectors(process, out) for process, out in zip(pair, outs, strict=True)
  ]
  expected = _embed(directory, texts, tmp_path / "one").vectors
  assert [vectors.tobytes() for vectors in actual] == [expected.tobytes()] * 2
  assert len(list((tmp_path / "two").iterdir())) == 4


def test_only_missing_chunks_are_recomputed(directory, tmp_path, monkeypatch):
  monkeypatch.setattr(chunks, "SIZE", 10)
  texts, partial = _texts(35), tmp_path / "partial"
  first = _embed(directory, texts, partial)
  files = sorted(partial.iterdir())
  assert [path.name for path in files] == [
      f"chunk-0000{number}.vectors" for number in range(4)
  ]
  times = [path.stat().st_mtime_ns for path in files]
  files[2].unlink()
  # Were another chunk made again, it would be of these texts.
  changed = ["sort"] * 20 + texts[20:30] + ["sort"] * 5
  rebuilt = _embed(directory, changed, partial)
  assert rebuilt.vectors.tobytes() == first.vectors.tobytes()
  assert rebuilt.cut == first.cut
  new_times = [path.stat().st_mtime_ns for path in sorted(partial.iterdir())]
  assert [a == b for a, b in zip(times, new_times, strict=True)] == [
      *(True, True, False, True)
  ]


def test_progress_is_reported(directory, tmp_path, monkeypatch):
  monkeypatch.setattr(encoder, "_SECONDS", 0)
  lines = []
  _embed(directory, ["give"] * 9, tmp_path / "partial", lines.append)
  (line,) = lines
  assert line.startswith("embedded 9 of 9 texts, ")


class _Killed(BaseException):
  """Stands for the end of the process."""


@pytest.fixture
def kill(monkeypatch):
  """Kills an embedding when so many batches have come; a part is one batch."""
  monkeypatch.setattr(batches, "_TOKENS", 160)
  monkeypatch.setattr(parts, "_SECONDS", 0)
  add = parts.Chunk.add

  def after(number: int) -> None:
    left = [number]

    def killed(chunk, *args):
      if not left[0]:
        raise _Killed
      left[0] -= 1
      add(chunk, *args)

    monkeypatch.setattr(parts.Chunk, "add", killed)

  return after


def test_two_stops_lose_no_finished_work(
    directory, tmp_path, kill, monkeypatch
):
  # Of two lengths, and so two programs.
  texts, partial, lines = _texts(40, longest=28), tmp_path / "partial", []
  kill(1000)
  unbroken = _embed(directory, texts, tmp_path / "unbroken")
  for number in (2, 3):
    kill(number)
    with pytest.raises(_Killed):
      _embed(directory, texts, partial)
  files = sorted(partial.iterdir())
  assert [path.name for path in files] == [
      f"chunk-00000.part-0000{number}.vectors" for number in range(5)
  ]
  remaining = [row for path in files for row in parts.read_arrays(path)["rows"]]
  assert len(remaining) == len({*remaining}) == 25
  kill(1000)
  add, computed = parts.Chunk.add, []
  monkeypatch.setattr(
      parts.Chunk,
      "add",
      lambda chunk, rows, actual: (
          computed.extend(rows),
          add(chunk, rows, actual),
      ),
  )
  actual = _embed(directory, texts, partial, lines.append)
  assert sorted([*remaining, *computed]) == [*range(40)]  # Each once.
  assert "embedding resumes: 25 of 40 texts are done" in lines
  assert actual.vectors.tobytes() == unbroken.vectors.tobytes()
  assert actual.cut == unbroken.cut == 1
  assert [path.name for path in partial.iterdir()] == ["chunk-00000.vectors"]


# Embeds the texts of a JSON file; every batch of few texts is a part.
KILLED = """
import json, pathlib, sys
import numpy as np
from zsgen.orders.embedders import batches, encoder, parts

batches._TOKENS, parts._SECONDS = 320, 0
directory, texts, partial, out = sys.argv[1:]
listed = json.loads(pathlib.Path(texts).read_text("utf-8"))
found = encoder.Encoder(directory).embed(
    iter(listed), np.ones(len(listed), bool), pathlib.Path(partial), print
)
np.save(out, found.vectors)
"""


@pytest.mark.slow
def test_real_kills_lose_no_finished_work(directory, tmp_path):
  texts, out = _texts(6000), tmp_path / "out.npy"
  entries = tmp_path / "texts.json"
  entries.write_text(json.dumps(texts))

  def start(partial):
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, directory, entries, partial, out],
        env={**os.environ, "PYTHONPATH": str(EMBED_TEXTS.parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

  unbroken = _vectors(start(tmp_path / "unbroken"), out)
  partial, remaining = tmp_path / "partial", 0
  for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
    killed = start(partial)
    while len(list(partial.glob("*.part-*"))) < remaining + 20:
      assert killed.poll() is None
      time.sleep(0.01)
    killed.send_signal(number)
    output, _ = killed.communicate(timeout=60)
    assert ("embedding resumes" in output) == bool(remaining)
    remaining = len(list(partial.glob("*.part-*")))
  last = start(partial)
  assert _vectors(last, out).tobytes() == unbroken.tobytes()


def test_a_damaged_chunk_is_recomputed(directory, tmp_path):
  texts, partial, lines = ["give", "sort"] * 3, tmp_path / "partial", []
  first = _embed(directory, texts, partial)
  (path,) = partial.iterdir()
  data = path.read_bytes()
  path.write_bytes(data[:-40])
  actual = _embed(directory, texts, partial, lines.append)
  assert lines[0] == f"{path} was damaged; its texts are embedded again"
  assert actual.vectors.tobytes() == first.vectors.tobytes()
  assert path.read_bytes() == data
  # One of other texts.
  _embed(directory, texts[:4], partial, lines.append)
  assert lines[0] in lines[1:]


def test_a_chunk_that_another_process_wrote_elsewhere(
    directory, tmp_path, monkeypatch
):
  monkeypatch.setattr(parts, "write_arrays", lambda *args, **arrays: None)
  with pytest.raises(errors.InputError, match=r"chunk-00000.* by all of them"):
    _embed(directory, _texts(5), tmp_path / "partial")


def test_no_texts(directory, tmp_path):
  actual = _embed(directory, [], tmp_path / "partial")
  assert actual.vectors.shape == (0, 32)


def test_parameters_describe_the_model_and_not_its_path(directory, tmp_path):
  actual = encoder.Encoder(str(directory)).parameters()
  elsewhere = bert_models.write(tmp_path / "elsewhere")
  assert encoder.Encoder(str(elsewhere)).parameters() == actual
  assert json.loads(json.dumps(actual)) == {
      "model": actual["model"],
      "dtype": "float32",
      "max_length": 72,
      "pooling": "mean",
      "normalize": True,
      "prefix": "",
  }
  in_bfloat16 = encoder.Encoder(str(directory), "bfloat16").parameters()
  assert in_bfloat16 == {**actual, "dtype": "bfloat16"}


def test_vectors_that_are_not_finite(directory, tmp_path):
  tensors = bert_models.weights()
  tensors["embeddings.word_embeddings.weight"][5] = np.nan
  path = directory / "model.safetensors"
  bert_models.safetensors.numpy.save_file(tensors, path)
  texts = ["give", bert_models.WORDS[1]]
  with pytest.raises(errors.InputError, match="of 'the' is not finite"):
    _embed(directory, texts, tmp_path / "partial")
  assert not list((tmp_path / "partial").iterdir())


def test_bad_tokenizers(directory, tmp_path, monkeypatch):
  path = directory / "tokenizer.json"
  described = json.loads(path.read_text())
  described["model"]["vocab"]["more"] = 24
  path.write_text(json.dumps(described))
  with pytest.raises(errors.InputError, match="a token 24, but the model has"):
    _embed(directory, ["give"], tmp_path / "partial")
  table = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
  panics = json.dumps({**described, "normalizer": table})
  for text in ("{}", panics):
    path.write_text(text)
    with pytest.raises(errors.InputError, match="is not a tokenizer"):
      _embed(directory, ["give"], tmp_path / "partial")
  monkeypatch.setitem(sys.modules, "tokenizers", None)
  with pytest.raises(errors.InputError, match="pip install tokenizers"):
    _embed(directory, ["give"], tmp_path / "partial")


def test_bad_parameters(directory, tmp_path, monkeypatch):
  with pytest.raises(errors.InputError, match=r"'float16'.*float32, bfloat16"):
    encoder.Encoder(str(directory), "float16").parameters()
  monkeypatch.setenv("HF_HUB_OFFLINE", "1")
  monkeypatch.setenv("HF_HOME", str(tmp_path))
  nowhere = encoder.Encoder(str(tmp_path / "nowhere"))
  with pytest.raises(errors.InputError, match=r"nowhere.*beforehand"):
    nowhere.parameters()
