"""Answers that the model writes: in the loop, scored, kept."""

import json

import jax
import numpy as np
import pytest

from tests.helpers import tiny_tokenizers
import zsgen
from zsgen import evals
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.core import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.evals import api, generate
from zsgen.models import model as model_lib
from zsgen.train import starts

pytest.importorskip("rouge_score")

NEW = 12


def _lines(path):
  return [json.loads(line) for line in path.open()]


def _with_written(small, **fields):
  small.evals.written = dict(
      type="generate",
      max_examples=6,
      max_new_tokens=NEW,
      every_steps=5,
      **fields,
  )
  return small


@pytest.fixture
def run(small, tmp_path):
  return zsgen.run(_with_written(small), tmp_path).run


def test_scores_in_the_metrics_and_answers_in_files(run):
  metrics = [
      record
      for record in _lines(run / "metrics.jsonl")
      if any(key.startswith("written/") for key in record)
  ]
  assert [record["step"] for record in metrics] == [0, 5, 10]
  for record in metrics:
    path = run / f"evals/written/predictions-{record['step']}.jsonl"
    answers = _lines(path)
    assert len(answers) == 6
    for kind in ("rouge1", "rougeL", "exact_match", "normalized_match"):
      mean = np.mean([answer[kind] for answer in answers])
      assert record[f"written/{kind}"] == pytest.approx(mean)
  losses = np.load(run / "evals/written/loss.npy")
  expected = [answer["rougeL"] for answer in answers]
  np.testing.assert_allclose(losses[-1], expected, rtol=1e-6)
  result = json.loads((run / "result.json").read_text())
  assert "task_mean_rougeL" in result["evals"]["written"]
  assert "exact match" in (run / "report.html").read_text()
  perf = _lines(run / "perf.jsonl")
  shares = [record for record in perf if "perf/written_share" in record]
  assert all(0 < record["perf/written_share"] < 1 for record in shares)


def _context(store, arch, devices=1, batch_size=4):
  mesh = mesh_lib.make(config_lib.Mesh(), jax.devices()[:devices])
  model = model_lib.Model.from_config(arch)
  return api.Context(store, model, mesh, batch_size, seed=3)


@pytest.mark.slow
def test_an_answer_is_right_where_every_forced_token_is_the_likeliest(
    small, tmp_path
):
  """Trains until some answers are right and others are not."""
  small.order = dict(
      arrangement="repeat",
      epochs=80,
      parts=(dict(arrangement="random", budget=24),),
  )
  small.evals.heldout.every_steps = small.machine.save_every = 1000
  result = zsgen.run(small, tmp_path, ["prepare", "train"])
  store = store_lib.open_store(result.store)
  start = starts.make(config_lib.Model(init=f"run:{result.run}"), seed=0)
  context = _context(store, start.arch)
  params = start.load(mesh_lib.shardings(start.shapes, context.mesh))
  spec = config_lib.build(
      config_lib.Eval, type="generate", split="train", max_new_tokens=64
  )
  evaluation = evals.make("train", spec, context)(params)
  tokenizer = tokenizers.load(result.store / store_lib.TOKENIZER)
  exact = evals.make(
      "train",
      config_lib.Eval(type="exact", split="train"),
      context,
  )(params)
  forced = jax.jit(context.model.logits)
  equal = []
  for i, prediction in zip(
      store.split_ids("train"), evaluation.predictions, strict=True
  ):
    row = store.row(i)
    width = 64 * -(-len(row.tokens) // 64)
    tokens, real = np.zeros((2, 1, width), np.int32)
    tokens[0, : len(row.tokens)], real[0, : len(row.tokens)] = row.tokens, 1
    logits = forced(params, tokens, np.arange(width)[None], real)
    likeliest = np.asarray(logits).argmax(-1)[0, :-1]
    answer = np.flatnonzero(row.mask)
    right = (likeliest[answer - 1] == row.tokens[answer]).all()
    expected = tokenizer.decode(row.tokens[answer[:-1]].tolist()).strip()
    assert right == (prediction["prediction"] == expected), (
        prediction,
        expected,
    )
    equal.append(right)
  assert 0 < sum(equal) < len(equal)
  assert exact.metrics["train/exact_match"] == np.mean(equal)
  np.testing.assert_array_equal(exact.losses == 0, equal)


def test_released_prompts_begin_with_two_bos_tokens(small, tmp_path):
  pytest.importorskip("tokenizers")
  small.data.tokenizer = "hf"
  small.data.tokenizer_path = tiny_tokenizers.llama(tmp_path / "tokenizer")
  small.model.vocab_size = 512
  result = zsgen.run(small, tmp_path / "work", ["prepare"])
  store = store_lib.open_store(result.store)
  context = _context(store, config_lib.check(small).model)
  prompts = [
      evals.make(
          "written",
          config_lib.build(
              config_lib.Eval,
              type="generate",
              max_new_tokens=NEW,
              decoding=decoding,
          ),
          context,
      )._prompts
      for decoding in ("greedy", "released")
  ]
  for greedy, released in zip(*prompts, strict=True):
    assert released.tolist() == [greedy[0], *greedy.tolist()]


@pytest.mark.slow
def test_answers_depend_on_neither_batch_nor_mesh(small, tmp_path):
  result = zsgen.run(small, tmp_path, ["prepare", "order"])
  store = store_lib.open_store(result.store)
  arch = config_lib.check(small).model
  spec = config_lib.build(
      config_lib.Eval, type="generate", max_new_tokens=NEW, decoding="released"
  )
  start = starts.make(arch, seed=0)
  predictions = []
  for devices, size in ((1, 4), (1, 5)):
    context = _context(store, arch, devices, size)
    params = start.load(mesh_lib.shardings(start.shapes, context.mesh))
    evaluation = evals.make("written", spec, context)(params)
    predictions.append(
        [prediction["prediction"] for prediction in evaluation.predictions]
    )
  assert predictions[0] == predictions[1]
  assert all(len(set(texts)) > 1 for texts in predictions)


def test_the_released_decoding():
  decoding = generate.decoding(generate.GenerateOptions(decoding="released"))
  assert (decoding.temperature, decoding.top_p, decoding.penalty) == (
      0.9,
      0.9,
      1.2,
  )
  assert decoding.ban_end
  assert decoding.top_k == 0


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(type="generate", top_k=3), "top_k is 3, but decoding='greedy'"),
        (dict(type="loss", top_k=3), "an option of type='generate'"),
        (dict(type="generate", max_new_tokens=0), "must be at least 1"),
        (
            dict(type="generate", max_new_tokens=5000),
            r"the prompt of example \d+ has \d+ tokens.*2048 positions",
        ),
        (dict(type="copy_first_example"), "has a solved one to copy from"),
    ],
)
def test_bad_options(small, tmp_path, fields, message):
  with pytest.raises(errors.InputError, match=message):
    small.evals.written = fields
    zsgen.run(small, tmp_path, ["evaluate"])


def test_copies_of_natural_instructions(small, niv2, tmp_path):
  small.data.source = "niv2"
  small.data.path = str(niv2)
  small.data.prompt = "niv2"
  small.evals = dict(
      input=dict(type="copy_input"), example=dict(type="copy_first_example")
  )
  result = zsgen.run(small, tmp_path, ["evaluate", "prepare"])
  store = store_lib.open_store(result.store)
  task = json.loads((niv2 / "tasks/task004_large.json").read_text())
  expected = task["Positive Examples"][0]["output"]
  (example,) = store.answered(store.split_ids("heldout"))
  lines = {
      name: _lines(result.evaluation / f"evals/{name}/predictions.jsonl")
      for name in ("input", "example")
  }
  assert [line["prediction"] for line in lines["example"]] == [expected]
  assert [line["prediction"] for line in lines["input"]] == [example.input]
  metrics = json.loads((result.evaluation / "metrics.json").read_text())
  assert metrics["example/rougeL"] == lines["example"][0]["rougeL"]
