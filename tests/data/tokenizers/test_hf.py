"""Hugging Face's fast tokenizers: ids, special tokens, files."""

import json
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from zsgen.core import config, errors
from zsgen.data import tokenizers
from zsgen.data.tokenizers import hf

lib = pytest.importorskip("tokenizers")

from tests.helpers import tiny_tokenizers  # noqa: E402

EOS = {"gpt2": None, "llama": None, "bert": "[SEP]", "unigram": None}


@pytest.fixture(scope="module")
def directories(tmp_path_factory) -> dict[str, str]:
  """Returns a directory of each kind; BERT's is given an end token."""
  root = tmp_path_factory.mktemp("hf")
  return {
      kind: build(
          root / kind, **({"eos_token": EOS[kind]} if EOS[kind] else {})
      )
      for kind, build in tiny_tokenizers.HF.items()
  }


@pytest.fixture(params=sorted(tiny_tokenizers.HF))
def directory(request, directories) -> str:
  return directories[request.param]


def _edit(directory: str, target: pathlib.Path, name: str, change) -> str:
  """Copies a directory with one JSON file changed; returns the path."""
  target.mkdir()
  for file in pathlib.Path(directory).iterdir():
    (target / file.name).write_bytes(file.read_bytes())
  file = target / name
  content = json.loads(file.read_text()) if file.exists() else {}
  change(content)
  file.write_text(json.dumps(content))
  return str(target)


def _special_ids(directory: str) -> set[int]:
  """Returns ids that no text may have; unknown text has its own."""
  spec = json.loads((pathlib.Path(directory) / "tokenizer.json").read_text())
  return {
      token["id"]
      for token in spec["added_tokens"]
      if token["special"] and "unk" not in token["content"].lower()
  }


def test_ids_are_those_of_transformers(directory):
  transformers = pytest.importorskip("transformers")
  reference = transformers.AutoTokenizer.from_pretrained(directory)
  tokenizer = hf.read(directory)
  for text in tiny_tokenizers.SAID:
    expected = reference(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.encode_special([text])[0].tolist() == expected
    if not {"<", "["} & set(text):
      assert tokenizer.encode_batch([text])[0].tolist() == expected
  for name in ("eos_token", "bos_token", "pad_token"):
    assert tokenizer.special_tokens.get(name) == getattr(reference, name)
  assert tokenizer.vocab_size == len(reference)
  if "unigram" not in directory:  # There transformers lets "</s>" through.
    for text in tiny_tokenizers.SAID:
      expected = reference(
          text, add_special_tokens=False, split_special_tokens=True
      )
      assert tokenizer.encode_batch([text])[0].tolist() == expected["input_ids"]


def test_text_never_becomes_a_special_token(directory):
  tokenizer = hf.read(directory)
  special = _special_ids(directory)
  raw_tokenizer = lib.Tokenizer.from_file(f"{directory}/tokenizer.json")
  strings = [raw_tokenizer.id_to_token(i) for i in special]
  texts = [
      *tiny_tokenizers.SAID,
      *strings,
      *(f"a{string}b" for string in strings),
  ]
  for ids in tokenizer.encode_batch(texts):
    assert ids.dtype == np.uint32
    assert not special & set(ids.tolist())
  for string, ids in zip(
      strings, tokenizer.encode_special(strings), strict=True
  ):
    assert special & set(ids.tolist()), string


def test_the_librarys_own_switch_is_not_enough(directories):
  """Shows why `_hidden` is needed; once this fails, it can be removed."""
  raw_tokenizer = lib.Tokenizer.from_file(
      f"{directories['unigram']}/tokenizer.json"
  )
  raw_tokenizer.encode_special_tokens = True
  assert 1 in raw_tokenizer.encode("a</s>b", add_special_tokens=False).ids


def test_special_ids_of_each_kind(directories):
  by_kind = {kind: hf.read(path) for kind, path in directories.items()}
  ids = {
      kind: (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id)
      for kind, tokenizer in by_kind.items()
  }
  last = by_kind["gpt2"].vocab_size - 2
  assert ids == {
      "gpt2": (last, None, last),  # It names a BOS and never writes it.
      "llama": (2, 1, 2),
      "bert": (0, None, 3),
      "unigram": (0, None, 1),
  }
  assert by_kind["gpt2"].encode_batch(["!"])[0].tolist() == [0]
  assert by_kind["llama"].special_tokens["bos_token"] == "<s>"


def test_padding_truncation_and_special_tokens_are_off(directories):
  tokenizer = hf.read(directories["bert"])
  short, long = tokenizer.encode_batch(["cat", "the cat sat " * 50])
  assert 0 not in short and len(long) >= 150
  assert not {2, 3} & {*short.tolist(), *long.tolist()}


def test_decode_is_the_text(directories):
  for kind in ("gpt2", "llama"):
    tokenizer = hf.read(directories[kind])
    for text in tiny_tokenizers.SAID:
      ids = tokenizer.encode_batch([text])[0].tolist()
      assert tokenizer.decode([*ids, tokenizer.eos_id, 10**6, -1]) == text


def test_save_and_load(directory, tmp_path):
  tokenizer = hf.read(directory)
  tokenizer.save(tmp_path / "tokenizer")
  restored = tokenizers.load(tmp_path / "tokenizer")
  assert restored.fingerprint == tokenizer.fingerprint
  for field in ("vocab_size", "pad_id", "bos_id", "eos_id", "special_tokens"):
    assert getattr(restored, field) == getattr(tokenizer, field)
  for encode, encode_restored in (
      (tokenizer.encode_batch, restored.encode_batch),
      (tokenizer.encode_special, restored.encode_special),
  ):
    for ids, copy_ids in zip(
        encode(tiny_tokenizers.SAID),
        encode_restored(tiny_tokenizers.SAID),
        strict=True,
    ):
      np.testing.assert_array_equal(ids, copy_ids)
  copy_ids = pickle.loads(pickle.dumps(tokenizer)).encode_batch(["a cat"])[0]
  np.testing.assert_array_equal(copy_ids, tokenizer.encode_batch(["a cat"])[0])


def test_fingerprint_is_of_content(directories, tmp_path):
  directory = directories["llama"]
  fingerprint = hf.read(directory).fingerprint
  copy = _edit(directory, tmp_path / "same", "README.json", dict)
  assert hf.read(copy).fingerprint == fingerprint

  def template(content):
    content["chat_template"] = "{{ messages }}"

  def eos(content):
    content["eos_token"] = "<s>"

  def token(content):
    content["model"]["vocab"]["new"] = 999

  for number, (name, change) in enumerate(
      [
          ("tokenizer_config.json", template),
          ("tokenizer_config.json", eos),
          ("tokenizer.json", token),
      ]
  ):
    changed = _edit(directory, tmp_path / str(number), name, change)
    assert hf.read(changed).fingerprint != fingerprint


def test_a_changed_copy_is_refused(directories, tmp_path):
  hf.read(directories["llama"]).save(tmp_path / "t")
  config_file = tmp_path / "t" / "tokenizer_config.json"
  config_file.write_text(config_file.read_text().replace("</s>", "<unk>"))
  with pytest.raises(errors.InputError, match="is not the tokenizer"):
    tokenizers.load(tmp_path / "t")


def test_specials_of_the_other_files(directories, tmp_path):
  """eos by config.json, a special token by tokenizer_config.json alone."""

  def without_names(content):
    content.clear()
    content["add_bos_token"] = False
    content["added_tokens_decoder"] = {
        "400": {"content": "<|im_end|>", "special": True}
    }
    content["additional_special_tokens"] = ["<|im_end|>", "<absent>"]

  first = _edit(
      directories["llama"],
      tmp_path / "a",
      "tokenizer_config.json",
      without_names,
  )
  with pytest.raises(errors.InputError, match="no end token"):
    hf.read(first)
  ids = {"eos_token_id": [2, 400], "bos_token_id": 1, "pad_token_id": -1}
  second = _edit(
      first, tmp_path / "b", "config.json", lambda content: content.update(ids)
  )
  tokenizer = hf.read(second)
  assert (tokenizer.eos_id, tokenizer.bos_id, tokenizer.pad_id) == (2, None, 2)
  assert 400 not in tokenizer.encode_batch(["a<|im_end|>"])[0]
  assert tokenizer.encode_special(["<|im_end|>"])[0].tolist()[-1] == 400
  assert tokenizer.vocab_size == 401
  wrong = _edit(
      second,
      tmp_path / "c",
      "tokenizer_config.json",
      lambda content: content.update(
          added_tokens_decoder={"999": {"content": "<|im_end|>"}}
      ),
  )
  with pytest.raises(errors.InputError, match="listed as 999"):
    hf.read(wrong)


@pytest.mark.parametrize(
    "template",
    [
        "text",
        [
            {"name": "tool", "template": "no"},
            {"name": "default", "template": "text"},
        ],
    ],
)
def test_chat_template(directories, tmp_path, template):
  path = _edit(
      directories["llama"],
      tmp_path / "a",
      "tokenizer_config.json",
      lambda content: content.update(chat_template=template),
  )
  assert hf.read(directories["llama"]).chat_template is None
  assert hf.read(path).chat_template == "text"
  (tmp_path / "a" / "chat_template.jinja").write_text("file")
  tokenizer = hf.read(path)
  assert tokenizer.chat_template == "file"
  tokenizer.save(tmp_path / "saved")
  assert tokenizers.load(tmp_path / "saved").chat_template == "file"


def test_bad_directories(directories, tmp_path, monkeypatch):
  with pytest.raises(errors.InputError, match="no end token"):
    hf.read(tiny_tokenizers.bert(tmp_path / "bert"))
  (tmp_path / "slow").mkdir()
  with pytest.raises(errors.InputError, match="save_pretrained"):
    hf.read(str(tmp_path / "slow"))
  (tmp_path / "slow" / "spiece.model").write_bytes(b"")
  with pytest.raises(errors.InputError, match=r"with spiece\.model"):
    hf.read(str(tmp_path / "slow"))
  file = tmp_path / "slow" / "tokenizer.json"
  for content, message in (
      (b"{", "is not JSON"),
      (b"\xff", "is not JSON"),
      (b"[]", "not a JSON object"),
      (b"{}", "not of Hugging Face's layout"),
      (b'{"model": {"vocab": {}}}', "cannot be read|no end token"),
  ):
    file.write_bytes(content)
    with pytest.raises(errors.InputError, match=message):
      hf.read(str(tmp_path / "slow"))
  monkeypatch.setitem(sys.modules, "huggingface_hub", None)
  with pytest.raises(errors.InputError, match="is not a directory"):
    hf.read("nobody/nothing")
  monkeypatch.setitem(sys.modules, "tokenizers", None)
  with pytest.raises(errors.InputError, match="pip install tokenizers"):
    hf.read(directories["gpt2"])


def test_a_template_of_broken_text(directories, tmp_path):
  copy = _edit(directories["gpt2"], tmp_path / "x", "config.json", dict.copy)
  (tmp_path / "x" / "chat_template.jinja").write_bytes(b"\xff")
  with pytest.raises(errors.InputError, match=r"jinja: is not UTF-8"):
    hf.read(copy)


def test_an_unreachable_hub_is_reported_in_one_line(monkeypatch):
  hub = pytest.importorskip("huggingface_hub")

  def download(*args, **kwargs):
    raise OSError("no way\n  to the hub")

  monkeypatch.setattr(hub, "snapshot_download", download)
  with pytest.raises(errors.InputError, match="no way to the hub"):
    hf.read("some/name")


def test_half_a_surrogate_pair(directory):
  with pytest.raises(UnicodeEncodeError):
    hf.read(directory).encode_batch(["a", "b\ud800"])


def test_get(directories):
  data = config.build(
      config.Data, tokenizer="hf", tokenizer_path=directories["llama"]
  )
  assert tokenizers.get(data).eos_id == 2


_FORKED = """
import os, sys
from zsgen.data.tokenizers import hf
ours = hf.read(sys.argv[1])
texts = ["the cat %d" % i for i in range(500)]
before = [each.tolist() for each in ours.encode_batch(texts)]
child = os.fork()
if not child:
  same = before == [each.tolist() for each in ours.encode_batch(texts)]
  os._exit(0 if same else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sum(map(sum, before)))
"""


def test_threads_and_forks_change_nothing(directories, root):
  """Checks that a fork after threads neither hangs nor gives other ids.

  With the variable set to "true" it hangs: the user asked the library for it.
  """
  outputs = set()
  env = {**os.environ, "PYTHONPATH": str(root)}
  env.pop("TOKENIZERS_PARALLELISM", None)
  for environment in (env, {**env, "TOKENIZERS_PARALLELISM": "false"}):
    process = subprocess.run(
        [sys.executable, "-c", _FORKED, directories["gpt2"]],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    outputs.add(process.stdout)
  assert len(outputs) == 1
  assert outputs.pop().startswith("0 ")
