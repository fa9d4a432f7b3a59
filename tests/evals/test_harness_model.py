"""Requests of lm-evaluation-harness, answered by the decoder."""

from typing import NamedTuple

import jax
import numpy as np
import pytest

from tests.helpers import tiny_models
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import prepare
from zsgen.data.tokenizers import hf
from zsgen.evals import api, harness_model
from zsgen.models import hugging_face
from zsgen.models import model as model_lib

pytest.importorskip("transformers", reason="the extra hf brings transformers")

POSITIONS = 24
TOLERANCE = 1e-4
TEXT = "What is the sum of 3 and 4?  Say it! The cat sat on the mat. "
PAIRS = [
    ("The cat sat on", " the mat."),
    ("The cat sat on ", "the dog."),
    ("", "Say it!"),
    (TEXT * 3, " and the dog"),
    ("Äpfel", " naïve café"),
    ("<s>The cat", " sat"),
]
TEXTS = ["The cat sat.", TEXT * 4, "a", TEXT]
STOPS = [
    ("The cat", {"until": ["."], "max_gen_toks": 9}),
    (TEXT * 3, {"until": [], "max_gen_toks": 9}),
    ("Say it!", {"until": "a", "max_gen_toks": 12}),
    ("What is", {"until": ["\n", "the"], "do_sample": False}),
]


class Instance(NamedTuple):
  """A request of the harness."""

  args: tuple


@pytest.fixture
def make_requests(small, tmp_path):
  """Returns a function that opens a directory of a model."""

  def make(directory, bos="tokenizer", chat_template=False):
    config = config_lib.check(small)
    store = prepare.prepare(tmp_path / "stores", config.data, config.seed)
    arch = hugging_face.arch_of(directory)
    model = model_lib.Model.from_config(arch)
    mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:1])
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = hugging_face.load(
        directory, arch, mesh_lib.shardings(shapes, mesh)
    )
    context = api.Context(store, model, mesh, batch_size=3)
    settings = harness_model.Settings(bos, chat_template)
    tokenizer = hf.read(str(directory))
    return harness_model.Requests(params, context, tokenizer, settings)

  return make


def _instances(arguments):
  return [Instance(tuple(args)) for args in arguments]


def _rolling(texts):
  return [Instance((text,)) for text in texts]


def test_log_likelihoods_are_those_of_the_logits(make_requests, tmp_path):
  directory = tiny_models.causal(tmp_path / "m", "llama2", POSITIONS)
  requests = make_requests(directory)
  context, params = requests._context, requests._params
  actual = requests.loglikelihood(_instances(PAIRS[:1]))
  before = requests.tok_encode("The cat sat on")
  whole = requests.tok_encode("The cat sat on the mat.")
  tokens = [*before, *whole[len(before) :]]
  assert tokens[0] == 1 and len(tokens) > len(before)
  row = np.array([tokens])
  logits = context.model.logits(
      params, row, np.arange(row.size)[None], np.ones_like(row)
  )
  scores = jax.nn.log_softmax(logits[0])
  positions = range(len(before), len(tokens))
  expected = sum(float(scores[p - 1, tokens[p]]) for p in positions)
  is_greedy = all(scores[p - 1].argmax() == tokens[p] for p in positions)
  assert actual == [(pytest.approx(expected, abs=1e-4), is_greedy)]


def test_windows_predict_each_token_once():
  windows = list(harness_model._windows([*range(10)], prefix=99, size=4))
  assert windows == [
      ([99], [0, 1, 2, 3]),
      ([3], [4, 5, 6, 7]),
      ([5, 6, 7], [8, 9]),
  ]
  assert list(harness_model._windows([], prefix=99, size=4)) == []


def test_bos_and_the_chat_template_are_as_set(make_requests, tmp_path):
  directory = tiny_models.causal(tmp_path / "m", "llama2", POSITIONS)
  assert make_requests(directory).tok_encode("<s>The")[:2].count(1) == 1
  assert 1 not in make_requests(directory, "never").tok_encode("The")
  chat = make_requests(directory, chat_template=True)
  turns = [{"role": "user", "content": "Say it!"}]
  assert chat.apply_chat_template(turns) == "<s>[user] Say it!\n"
  turns.append({"role": "assistant", "content": "The answer is"})
  text = chat.apply_chat_template(turns, add_generation_prompt=False)
  assert text == "<s>[user] Say it!\n[assistant] The answer is"
  assert chat.chat_template() == tiny_models.TEMPLATE
  gpt2 = tiny_models.causal(tmp_path / "g", "gpt2", POSITIONS)
  with pytest.raises(errors.InputError, match="chat_template is set, but"):
    make_requests(gpt2, chat_template=True)


def test_what_is_not_supported_is_refused(make_requests, tmp_path):
  directory = tiny_models.causal(tmp_path / "m", "llama2", POSITIONS)
  requests = make_requests(directory)
  for options, message in (
      ({"do_sample": True, "temperature": 0.8}, "draws tokens"),
      ({"num_beams": 4}, "has num_beams"),
      ({"max_gen_toks": POSITIONS}, "no room is left for a prompt"),
  ):
    with pytest.raises(errors.InputError, match=message):
      requests.generate_until([Instance(("Say", options))])


@pytest.mark.peer
@pytest.mark.parametrize(
    ("case", "bos"),
    [
        ("llama2", "tokenizer"),
        ("llama2", "never"),
        ("qwen3", "tokenizer"),
        ("gemma2", "tokenizer"),
        ("gpt2", "tokenizer"),
        ("gpt2", "always"),
    ],
)
def test_answers_are_those_of_the_backend_for_transformers(
    make_requests, tmp_path, case, bos
):
  pytest.importorskip("torch", reason="torch is not installed")
  huggingface = pytest.importorskip("lm_eval.models.huggingface")
  directory = tiny_models.causal(tmp_path / "m", case, POSITIONS)
  add_bos = {"always": True, "never": False}.get(bos)
  peer = huggingface.HFLM(
      pretrained=str(directory),
      tokenizer=str(directory),
      dtype="float32",
      device="cpu",
      batch_size=4,
      add_bos_token=add_bos,
  )
  requests = make_requests(directory, bos)
  assert requests.max_length == peer.max_length
  assert requests.prefix_token_id == peer.prefix_token_id
  pairs = _instances(PAIRS)
  actual, expected = (lm.loglikelihood(pairs) for lm in (requests, peer))
  worst = max(
      abs(ours[0] - theirs[0])
      for ours, theirs in zip(actual, expected, strict=True)
  )
  assert [right for _, right in actual] == [right for _, right in expected]
  texts = _rolling(TEXTS)
  sums = [lm.loglikelihood_rolling(texts) for lm in (requests, peer)]
  worst_sum = np.abs(np.subtract(*sums)).max()
  size = max(len(requests.tok_encode(text)) for text in TEXTS)
  print(
      f"{case}, BOS {bos}: largest difference {worst:.1e}, of whole texts"
      f" {worst_sum:.1e} over {size} tokens"
  )
  assert worst < TOLERANCE and worst_sum < TOLERANCE * size
  contexts = _instances(
      (context, options | {"max_gen_toks": options.get("max_gen_toks", 16)})
      for context, options in STOPS
  )
  assert requests.generate_until(contexts) == peer.generate_until(contexts)
