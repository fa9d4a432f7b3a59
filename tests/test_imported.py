"""A Hugging Face model in, fine-tuned on real rows, out, the same elsewhere."""

import json
import pathlib

import jax
import numpy as np
import pytest

from tests.helpers import tiny_tokenizers
import zsgen
from zsgen import pipeline, verify
from zsgen.core import config as config_lib
from zsgen.data import store as store_lib
from zsgen.models import hugging_face
from zsgen.models import model as model_lib

ARCH = config_lib.Model(
    init="new",
    vocab_size=400,
    layers=2,
    width=48,
    heads=4,
    kv_heads=2,
    head_width=12,
    mlp_width=96,
    norm_eps=1e-5,
    max_positions=2048,
    tied=False,
)
STEPS = 8


@pytest.fixture
def llama(tmp_path) -> pathlib.Path:
  """Writes a small Llama of random weights, with a tokenizer of its own."""
  path = tmp_path / "llama"
  init = jax.jit(model_lib.Model.from_config(ARCH).init)
  hugging_face.save(path, init(jax.random.key(7)), ARCH)
  tiny_tokenizers.llama(path)
  return path


def _fine_tuned(small, llama, niv2, workdir) -> pipeline.Result:
  small.data.source = "niv2"
  small.data.path = str(niv2)
  small.data.prompt = "niv2"
  small.data.train_instances = 30
  small.data.heldout_instances = 4
  small.data.tokenizer = "hf"
  small.data.tokenizer_path = str(llama)
  small.data.max_length = 1024
  small.model = config_lib.to_dict(config_lib.Model(init=f"hf:{llama}"))
  small.order.budget = STEPS * small.train.batch_size
  small.evals.heldout.every_steps = STEPS
  return zsgen.run(small, workdir, ["train", "export", "prepare"])


def _final_losses(run: pathlib.Path) -> np.ndarray:
  return np.load(run / "evals/heldout/loss.npy")[-1]


def _curve(run: pathlib.Path) -> list[float]:
  lines = map(json.loads, (run / "metrics.jsonl").open())
  return [
      record["heldout/loss"] for record in lines if "heldout/loss" in record
  ]


@pytest.mark.slow
def test_fine_tuned_and_exported(small, llama, niv2, tmp_path):
  result = _fine_tuned(small, llama, niv2, tmp_path / "w")
  before, after = _curve(result.run)
  assert after < before
  assert f"{STEPS} steps verified" in " ".join(verify.verify(result.run))
  export = result.run / "export-float32"
  assert hugging_face.arch_of(export) == hugging_face.arch_of(llama)
  small.model.init = f"hf:{export}"
  small.data.tokenizer_path = str(export)
  continued = zsgen.run(small, tmp_path / "w", ["train", "prepare"])
  assert continued.store == result.store  # The same tokenizer: the same store.
  assert _curve(continued.run)[0] == after


@pytest.mark.peer
def test_transformers_computes_the_same_loss(small, llama, niv2, tmp_path):
  torch = pytest.importorskip("torch")
  import transformers

  result = _fine_tuned(small, llama, niv2, tmp_path / "w")
  export = result.run / "export-float32"
  model = transformers.AutoModelForCausalLM.from_pretrained(export)
  tokenizer = transformers.AutoTokenizer.from_pretrained(export)
  store = store_lib.open_store(result.store)
  losses = []
  for i in np.load(result.run / "evals/heldout/ids.npy"):
    row = store.row(int(i))
    tokens = torch.tensor(row.tokens.astype(np.int64))[None]
    with torch.no_grad():
      log_probs = torch.log_softmax(model(tokens).logits.float(), -1)
    nll = -log_probs[0, :-1].gather(-1, tokens[0, 1:, None])[:, 0].numpy()
    mask = row.mask[1:].astype(bool)
    losses.append(nll[mask].mean())
    text = tokenizer.decode(row.tokens[row.mask.astype(bool)])
    assert text.endswith("</s>")
  np.testing.assert_allclose(losses, _final_losses(result.run), rtol=1e-4)
  print(f"held-out loss: {np.mean(losses):.6f} by transformers,", end=" ")
  print(f"{_final_losses(result.run).mean():.6f} here")
