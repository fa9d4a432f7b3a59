"""Generation: with a cache as without; draws; what ends an answer."""

import functools

import jax
from jax import numpy as jnp
import numpy as np
import pytest
import small

from zsgen.models import generation
from zsgen.models import model as model_lib

ARCHS = {"rms": small.RMS, "gpt2": small.GPT2, "gemma": small.GEMMA}
LENGTHS = [3, 7, 5, 1]
END, PAD = 1, 0
GREEDY = generation.Decoding(max_new_tokens=6)


def _prompts(arch, lengths=LENGTHS, width=8):
  examples = small.examples(arch.vocab_size, lengths)
  tokens = np.full((len(lengths), width), 2, np.int32)
  for row, example in zip(tokens, examples, strict=True):
    row[width - len(example) :] = example
  return examples, tokens


def _generate(
    arch, decoding, tokens, lengths=LENGTHS, rows=None, seed=0, end=END
):
  rows = np.arange(len(lengths)) if rows is None else rows
  run = jax.jit(
      functools.partial(
          generation.generate,
          model=model_lib.Model.from_config(arch),
          decoding=decoding,
          ends=(end,),
          pad=PAD,
      )
  )
  lengths, rows = np.array(lengths, np.int32), np.array(rows, np.int32)
  return np.asarray(run(small.loud(arch), tokens, lengths, rows, seed))


@functools.cache
def _forward(arch):
  return jax.jit(
      lambda tokens: model_lib.Model(arch).logits(
          small.loud(arch),
          tokens,
          jnp.arange(tokens.shape[1])[None],
          jnp.ones_like(tokens),
      )
  )


def _last_logits(arch, tokens):
  """Logits after the last token; padding behind it changes nothing."""
  row = np.zeros((1, arch.max_positions), np.int32)
  row[0, : len(tokens)] = tokens
  return np.array(_forward(arch)(row))[0, len(tokens) - 1]


@pytest.mark.parametrize(
    "name",
    [
        # It has what the others have: windows, caps, grouped heads.
        "gemma",
        pytest.param("rms", marks=pytest.mark.slow),
        pytest.param("gpt2", marks=pytest.mark.slow),
    ],
)
def test_greedy_is_the_argmax_of_full_passes(name):
  arch = ARCHS[name]
  examples, tokens = _prompts(arch)
  actual = _generate(arch, GREEDY, tokens)
  for example, answer in zip(examples, actual, strict=True):
    sequence = list(example)
    for token in answer:
      assert token == _last_logits(arch, sequence).argmax()
      sequence.append(token)
      if token == END:
        break
    assert (answer[len(sequence) - len(example) :] == PAD).all()


def test_an_answer_ends_with_the_end_token_unless_it_is_banned():
  arch = small.RMS
  _, tokens = _prompts(arch)
  first = _generate(arch, GREEDY, tokens)[:, 0]
  end = int(first[0])
  actual = _generate(arch, GREEDY, tokens, end=end)
  assert actual[0].tolist() == [end] + [PAD] * 5
  banned = generation.Decoding(max_new_tokens=6, ban_end=True)
  actual = _generate(arch, banned, tokens, end=end)
  assert (actual[:, 0] != end).all()


def test_an_empty_row_gets_no_answer():
  _, tokens = _prompts(small.RMS)
  actual = _generate(small.RMS, GREEDY, tokens, lengths=[3, 0, 5, 1])
  assert (actual[1] == PAD).all()
  full = _generate(small.RMS, GREEDY, tokens)
  np.testing.assert_array_equal(actual[[0, 2, 3]], full[[0, 2, 3]])


def test_a_row_is_the_same_in_any_batch():
  sample = generation.Decoding(max_new_tokens=6, temperature=1.0)
  _, tokens = _prompts(small.RMS)
  full = _generate(small.RMS, sample, tokens)
  part = _generate(small.RMS, sample, tokens[2:], LENGTHS[2:], rows=[2, 3])
  np.testing.assert_array_equal(part, full[2:])
  wider = np.pad(tokens, ((0, 0), (8, 0)), constant_values=3)
  np.testing.assert_array_equal(_generate(small.RMS, sample, wider), full)
  reseeded = _generate(small.RMS, sample, tokens, seed=1)
  assert (reseeded != full).any()


def test_one_likeliest_token_is_greedy():
  _, tokens = _prompts(small.RMS)
  greedy = _generate(small.RMS, GREEDY, tokens)
  for narrow in (dict(top_k=1), dict(top_p=1e-6)):
    sample = generation.Decoding(max_new_tokens=6, temperature=0.7, **narrow)
    actual = _generate(small.RMS, sample, tokens)
    np.testing.assert_array_equal(actual, greedy)


def _frequencies(decoding, count=4000):
  """How often each token is the first, of one prompt."""
  arch = small.RMS
  _, tokens = _prompts(arch, lengths=[5])
  actual = _generate(
      arch,
      decoding,
      np.repeat(tokens, count, 0),
      [5] * count,
      rows=np.arange(count),
  )
  logits = _last_logits(arch, tokens[0, 3:])
  return np.bincount(actual[:, 0], minlength=arch.vocab_size) / count, logits


def test_draws_follow_the_probabilities():
  sample = generation.Decoding(max_new_tokens=1, temperature=1.5)
  actual, logits = _frequencies(sample)
  expected = np.exp(logits / 1.5) / np.exp(logits / 1.5).sum()
  np.testing.assert_allclose(actual, expected, atol=4 * (0.25 / 4000) ** 0.5)


def test_top_k_and_top_p_draw_from_the_likeliest_only():
  sample = dict(max_new_tokens=1, temperature=3.0)
  actual, logits = _frequencies(generation.Decoding(**sample, top_k=3))
  likeliest = np.argsort(-logits)
  assert set(actual.nonzero()[0]) == set(likeliest[:3])
  actual, _ = _frequencies(generation.Decoding(**sample, top_p=0.6))
  chances = np.exp(logits / 3) / np.exp(logits / 3).sum()
  size = int((np.cumsum(chances[likeliest]) < 0.6).sum()) + 1
  assert set(actual.nonzero()[0]) == set(likeliest[:size])


def test_the_penalty_is_for_tokens_of_the_answer():
  arch = small.RMS
  examples, tokens = _prompts(arch)
  decoding = generation.Decoding(max_new_tokens=6, penalty=1.7)
  actual = _generate(arch, decoding, tokens, end=arch.vocab_size + 1)
  for example, answer in zip(examples, actual, strict=True):
    generated = []
    for token in answer:
      logits = _last_logits(arch, [*example, *generated])
      for generated_token in set(generated):
        logits[generated_token] *= (
            1.7 if logits[generated_token] < 0 else 1 / 1.7
        )
      assert token == logits.argmax()
      generated.append(int(token))
