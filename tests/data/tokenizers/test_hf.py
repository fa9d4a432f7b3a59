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

import tokenized  # noqa: E402

EOS = {"gpt2": None, "llama": None, "bert": "[SEP]", "unigram": None}


@pytest.fixture(scope="module")
def directories(tmp_path_factory) -> dict[str, str]:
  """A directory of each kind; BERT's is given an end token."""
  root = tmp_path_factory.mktemp("hf")
  return {
      kind: build(
          root / kind, **({"eos_token": EOS[kind]} if EOS[kind] else {})
      )
      for kind, build in tokenized.HF.items()
  }


@pytest.fixture(params=sorted(tokenized.HF))
def directory(request, directories) -> str:
  return directories[request.param]


def _edit(directory: str, to: pathlib.Path, name: str, change) -> str:
  """A copy of a directory with one JSON file changed."""
  to.mkdir()
  for file in pathlib.Path(directory).iterdir():
    (to / file.name).write_bytes(file.read_bytes())
  file = to / name
  content = json.loads(file.read_text()) if file.exists() else {}
  change(content)
  file.write_text(json.dumps(content))
  return str(to)


def _special_ids(directory: str) -> set[int]:
  """Ids that no text may have; unknown text has its own."""
  spec = json.loads((pathlib.Path(directory) / "tokenizer.json").read_text())
  return {
      each["id"]
      for each in spec["added_tokens"]
      if each["special"] and "unk" not in each["content"].lower()
  }


def test_ids_are_those_of_transformers(directory):
  transformers = pytest.importorskip("transformers")
  theirs = transformers.AutoTokenizer.from_pretrained(directory)
  ours = hf.read(directory)
  for text in tokenized.SAID:
    expected = theirs(text, add_special_tokens=False)["input_ids"]
    assert ours.encode_special([text])[0].tolist() == expected
    if not {"<", "["} & set(text):
      assert ours.encode_batch([text])[0].tolist() == expected
  for name in ("eos_token", "bos_token", "pad_token"):
    assert ours.special_tokens.get(name) == getattr(theirs, name)
  assert ours.vocab_size == len(theirs)
  if "unigram" not in directory:  # There transformers lets "</s>" through.
    for text in tokenized.SAID:
      expected = theirs(
          text, add_special_tokens=False, split_special_tokens=True
      )
      assert ours.encode_batch([text])[0].tolist() == expected["input_ids"]


def test_text_never_becomes_a_special_token(directory):
  ours = hf.read(directory)
  special = _special_ids(directory)
  whole = lib.Tokenizer.from_file(f"{directory}/tokenizer.json")
  strings = [whole.id_to_token(i) for i in special]
  texts = [*tokenized.SAID, *strings, *(f"a{each}b" for each in strings)]
  for ids in ours.encode_batch(texts):
    assert ids.dtype == np.uint32
    assert not special & set(ids.tolist())
  for string, ids in zip(strings, ours.encode_special(strings), strict=True):
    assert special & set(ids.tolist()), string


def test_the_librarys_own_switch_is_not_enough(directories):
  """Why `_hidden` is there; when this fails, it may go."""
  whole = lib.Tokenizer.from_file(f"{directories['unigram']}/tokenizer.json")
  whole.encode_special_tokens = True
  assert 1 in whole.encode("a</s>b", add_special_tokens=False).ids


def test_what_each_kind_pads_begins_and_ends_with(directories):
  found = {kind: hf.read(each) for kind, each in directories.items()}
  ids = {
      kind: (each.pad_id, each.bos_id, each.eos_id)
      for kind, each in found.items()
  }
  last = found["gpt2"].vocab_size - 2
  assert ids == {
      "gpt2": (last, None, last),  # It names a BOS and never writes it.
      "llama": (2, 1, 2),
      "bert": (0, None, 3),
      "unigram": (0, None, 1),
  }
  assert found["gpt2"].encode_batch(["!"])[0].tolist() == [0]
  assert found["llama"].special_tokens["bos_token"] == "<s>"


def test_padding_truncation_and_special_tokens_are_off(directories):
  ours = hf.read(directories["bert"])
  short, long = ours.encode_batch(["cat", "the cat sat " * 50])
  assert 0 not in short and len(long) >= 150
  assert not {2, 3} & {*short.tolist(), *long.tolist()}


def test_decode_is_the_text(directories):
  for kind in ("gpt2", "llama"):
    ours = hf.read(directories[kind])
    for text in tokenized.SAID:
      ids = ours.encode_batch([text])[0].tolist()
      assert ours.decode([*ids, ours.eos_id, 10**6, -1]) == text


def test_save_and_load(directory, tmp_path):
  ours = hf.read(directory)
  ours.save(tmp_path / "tokenizer")
  again = tokenizers.load(tmp_path / "tokenizer")
  assert again.fingerprint == ours.fingerprint
  for field in ("vocab_size", "pad_id", "bos_id", "eos_id", "special_tokens"):
    assert getattr(again, field) == getattr(ours, field)
  for one, other in (
      (ours.encode_batch, again.encode_batch),
      (ours.encode_special, again.encode_special),
  ):
    for ids, same in zip(
        one(tokenized.SAID), other(tokenized.SAID), strict=True
    ):
      np.testing.assert_array_equal(ids, same)
  same = pickle.loads(pickle.dumps(ours)).encode_batch(["a cat"])[0]
  np.testing.assert_array_equal(same, ours.encode_batch(["a cat"])[0])


def test_fingerprint_is_of_content(directories, tmp_path):
  directory = directories["llama"]
  found = hf.read(directory).fingerprint
  same = _edit(directory, tmp_path / "same", "README.json", dict)
  assert hf.read(same).fingerprint == found

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
    other = _edit(directory, tmp_path / str(number), name, change)
    assert hf.read(other).fingerprint != found


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
      first, tmp_path / "b", "config.json", lambda each: each.update(ids)
  )
  ours = hf.read(second)
  assert (ours.eos_id, ours.bos_id, ours.pad_id) == (2, None, 2)
  assert 400 not in ours.encode_batch(["a<|im_end|>"])[0]
  assert ours.encode_special(["<|im_end|>"])[0].tolist()[-1] == 400
  assert ours.vocab_size == 401
  wrong = _edit(
      second,
      tmp_path / "c",
      "tokenizer_config.json",
      lambda each: each.update(
          added_tokens_decoder={"999": {"content": "<|im_end|>"}}
      ),
  )
  with pytest.raises(errors.InputError, match="listed as 999"):
    hf.read(wrong)


@pytest.mark.parametrize(
    "given",
    [
        "text",
        [
            {"name": "tool", "template": "no"},
            {"name": "default", "template": "text"},
        ],
    ],
)
def test_chat_template(directories, tmp_path, given):
  one = _edit(
      directories["llama"],
      tmp_path / "a",
      "tokenizer_config.json",
      lambda each: each.update(chat_template=given),
  )
  assert hf.read(directories["llama"]).chat_template is None
  assert hf.read(one).chat_template == "text"
  (tmp_path / "a" / "chat_template.jinja").write_text("file")
  ours = hf.read(one)
  assert ours.chat_template == "file"
  ours.save(tmp_path / "saved")
  assert tokenizers.load(tmp_path / "saved").chat_template == "file"


def test_bad_directories(directories, tmp_path, monkeypatch):
  with pytest.raises(errors.InputError, match="no end token"):
    hf.read(tokenized.bert(tmp_path / "bert"))
  (tmp_path / "slow").mkdir()
  with pytest.raises(errors.InputError, match="save_pretrained"):
    hf.read(str(tmp_path / "slow"))
  (tmp_path / "slow" / "spiece.model").write_bytes(b"")
  with pytest.raises(errors.InputError, match=r"with spiece\.model"):
    hf.read(str(tmp_path / "slow"))
  file = tmp_path / "slow" / "tokenizer.json"
  for content, said in (
      (b"{", "is not JSON"),
      (b"\xff", "is not JSON"),
      (b"[]", "not a JSON object"),
      (b"{}", "not of Hugging Face's layout"),
      (b'{"model": {"vocab": {}}}', "cannot be read|no end token"),
  ):
    file.write_bytes(content)
    with pytest.raises(errors.InputError, match=said):
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


def test_a_hub_that_is_not_there_is_told_in_one_line(monkeypatch):
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
  data = config.Data(tokenizer="hf", tokenizer_path=directories["llama"])
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
  """A fork after threads were used neither hangs nor gives other ids.

  With the variable set to "true" it hangs: the user asked the library for it.
  """
  said = set()
  env = {**os.environ, "PYTHONPATH": str(root)}
  env.pop("TOKENIZERS_PARALLELISM", None)
  for each in (env, {**env, "TOKENIZERS_PARALLELISM": "false"}):
    done = subprocess.run(
        [sys.executable, "-c", _FORKED, directories["gpt2"]],
        env=each,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said.add(done.stdout)
  assert len(said) == 1
  assert said.pop().startswith("0 ")
