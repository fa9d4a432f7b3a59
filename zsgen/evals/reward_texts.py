"""Texts that a reward model reads: a prompt and an answer to it."""

from collections.abc import Callable, Sequence

import numpy as np

from zsgen.data import suite, tokenizers
from zsgen.data.prompts import chat_template, segments

# The model's own chat template; or that of UltraRM, as in 2406.11721.
FORMS = ("template", "ultra")


def encoder(
    form: str, tokenizer: tokenizers.Tokenizer
) -> Callable[[Sequence[str], Sequence[str]], list[np.ndarray]]:
  """Returns a function from prompts and answers to the tokens of the texts.

  Args:
    form: one of `FORMS`.
    tokenizer: the reward model's.

  Raises:
    InputError: the tokenizer lacks a chat template, or it is broken.
  """
  if form == "template":
    template = chat_template.ChatTemplate(tokenizer)

    def render(prompt: str, answer: str) -> list[segments.Segment]:
      """Returns the segments of a chat of one question and its answer."""
      turns = (suite.Turn("user", prompt), suite.Turn("assistant", answer))
      return template.without_loss(turns)

  else:

    def render(prompt: str, answer: str) -> list[segments.Segment]:
      """Returns the text of a prompt and its answer, as UltraRM reads it."""
      text = f"Human: {prompt}\n\nAssistant: {answer}"
      return [segments.Segment(text, loss=False)]

  def encode(
      prompts: Sequence[str], answers: Sequence[str]
  ) -> list[np.ndarray]:
    """Returns the tokens of the text of each prompt with its answer."""
    texts = [render(*pair) for pair in zip(prompts, answers, strict=True)]
    return [row.tokens for row in segments.encode(texts, tokenizer)]

  return encode
