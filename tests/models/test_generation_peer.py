"""Greedy answers are transformers', token for token, of every family."""

import functools

import imported
import jax
import numpy as np
import pytest

from zsgen.models import generation
from zsgen.models import model as model_lib

pytest.importorskip("transformers", reason="the extra hf brings transformers")

LENGTHS = [9, 14, 4]
NEW = 24


def _prompts(vocab_size):
  """Prompts that end in the last slot, and which slots are theirs."""
  rng = np.random.default_rng(5)
  tokens = rng.integers(3, vocab_size, (len(LENGTHS), max(LENGTHS)))
  slots = np.arange(max(LENGTHS))
  return tokens, slots >= max(LENGTHS) - np.array(LENGTHS)[:, None]


@pytest.mark.peer
@pytest.mark.parametrize("case", imported.CASES)
def test_greedy_equals_transformers_token_for_token(case):
  torch = pytest.importorskip("torch", reason="torch is not installed")
  import transformers

  arch, params = imported.model(case)
  tokens, real = _prompts(arch.vocab_size)
  new = min(NEW, arch.max_positions - max(LENGTHS))
  run = jax.jit(
      functools.partial(
          generation.generate,
          model=model_lib.Model.from_config(arch),
          decoding=generation.Decoding(max_new_tokens=new),
          ends=(arch.vocab_size,),  # Never said.
          pad=0,
      )
  )
  rows = np.arange(len(LENGTHS), dtype=np.int32)
  actual = run(
      params, tokens.astype(np.int32), np.array(LENGTHS, np.int32), rows, 0
  )
  model = transformers.AutoModelForCausalLM.from_pretrained(
      imported.FAMILIES / case, attn_implementation="eager", dtype=torch.float32
  )
  expected = model.eval().generate(
      torch.tensor(np.where(real, tokens, 0)),
      attention_mask=torch.tensor(real.astype(np.int64)),
      do_sample=False,
      max_new_tokens=new,
      min_new_tokens=new,
      eos_token_id=None,
      pad_token_id=0,
  )
  np.testing.assert_array_equal(actual, expected[:, max(LENGTHS) :].numpy())
