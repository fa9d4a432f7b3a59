"""Answers that the model writes, scored."""

import functools
from typing import Any

import jax
import numpy as np

from zsgen.core import config, errors, hosts
from zsgen.core import mesh as mesh_lib
from zsgen.data import prompts, tokenizers
from zsgen.data import store as store_lib
from zsgen.evals import judge, packed
from zsgen.models import generation
from zsgen.train import watch

# Widths of prompts are doubled from this, in tokens: few programs.
_NARROWEST = 64
# The released code's settings (2406.11721, spec 3.6).
_RELEASED = dict(temperature=0.9, top_p=0.9, penalty=1.2, ban_end=True)


class Generate:
  """Scores of generated answers, as `judge.Judge` has them.

  Prompts are read from the store, up to the last answer. They are sorted by
  length; a row's answer depends on neither batch nor mesh. Prompts stay on
  the devices.

  Args:
    name: path of its metrics.
    spec: the held-out set, how much of it, and how tokens are chosen.
    place: what is read, and where it is computed.
    seed: of the draws.

  Raises:
    InputError: prompt and answer are longer than the model's positions.
  """

  def __init__(
      self, name: str, spec: config.Eval, place: packed.Place, seed: int
  ):
    store = place.store
    self.name = name
    self.every_steps = spec.every_steps
    self._judge = judge.Judge(name, spec, store)
    self.ids = self.examples = self._judge.ids
    self.of = self._judge.of
    self._place = place
    self._seed = seed
    self._tokenizer = tokenizers.load(store.path / store_lib.TOKENIZER)
    self._prompts = [_prompt(store.row(i)) for i in self.ids]
    self._ends = prompts.ends(store.template, self._tokenizer)
    self._decoding = decoding(spec)
    self._check_positions()
    self._generate = jax.jit(
        functools.partial(
            generation.generate,
            model=place.model,
            decoding=self._decoding,
            ends=self._ends,
            pad=self._tokenizer.pad_id,
        ),
        out_shardings=mesh_lib.replicated(place.mesh),
    )

  def __call__(self, params: Any) -> watch.Evaluation:
    """Generates and scores an answer to each example."""
    found = [
        (slots, self._generate(params, *asked, self._seed))
        for slots, asked in hosts.moves(self._batches)
    ]
    answers = [""] * len(self.ids)
    for slots, rows in hosts.moves(found):
      for slot, row in zip(slots, np.asarray(rows), strict=False):
        answers[slot] = self._text(row)
    return self._judge(answers)

  def _text(self, row: np.ndarray) -> str:
    """The text of an answer, without its end and what is after it."""
    ended = np.isin(row, self._ends)
    length = ended.argmax() if ended.any() else len(row)
    return self._tokenizer.decode(row[:length].tolist()).strip()

  @functools.cached_property
  def _batches(self) -> list[tuple[np.ndarray, tuple]]:
    """Places of the prompts of each batch, and the batch on the devices."""
    lengths = np.array([len(each) for each in self._prompts])
    by_length = np.argsort(lengths, kind="stable")
    shards = mesh_lib.row_shards(self._place.mesh)
    size = -(-self._place.batch_size // shards) * shards
    return [
        (slots, self._batch(slots, size))
        for slots in (
            by_length[i : i + size] for i in range(0, len(by_length), size)
        )
    ]

  def _batch(self, slots: np.ndarray, size: int) -> tuple:
    """Prompts that end in the last slot, their lengths and ids."""
    width = _NARROWEST
    while width < max(len(self._prompts[slot]) for slot in slots):
      width *= 2
    tokens = np.zeros((size, width), np.int32)
    lengths, rows = np.zeros((2, size), np.int32)
    for row, slot in enumerate(slots):
      prompt = self._prompts[slot]
      tokens[row, width - len(prompt) :] = prompt
      lengths[row], rows[row] = len(prompt), self.ids[slot]
    sharding = mesh_lib.batch_sharding(self._place.mesh)
    return mesh_lib.put((tokens, lengths, rows), (sharding,) * 3)

  def _check_positions(self) -> None:
    new = self._decoding.max_new_tokens
    lengths = [len(each) for each in self._prompts]
    longest, most = max(lengths), self._place.model.arch.max_positions
    if longest + new > most:
      raise errors.InputError(
          f"config.evals.{self.name}: the prompt of example"
          f" {self.ids[np.argmax(lengths)]} has {longest} tokens, and"
          f" max_new_tokens is {new}: together more than the model's {most}"
          " positions. Lower max_new_tokens, or config.data.max_length."
      )


def decoding(spec: config.Eval) -> generation.Decoding:
  """How tokens are chosen.

  Raises:
    InputError: a field is set that the named decoding does not read; the
      message begins with the field.
  """
  drawn = dict(
      temperature=spec.temperature,
      top_k=spec.top_k,
      top_p=spec.top_p,
      penalty=spec.penalty,
  )
  if spec.decoding == "sample":
    _check_likeliest(spec)
    return generation.Decoding(spec.max_new_tokens, **drawn)
  default = config.Eval()
  for field, value in drawn.items():
    if value != getattr(default, field):
      raise errors.InputError(
          f"{field} is {value}, but decoding={spec.decoding!r} does not read"
          " it: set decoding='sample'."
      )
  named = _RELEASED if spec.decoding == "released" else {}
  return generation.Decoding(spec.max_new_tokens, **named)


def _check_likeliest(spec: config.Eval) -> None:
  """Raises InputError for a choice of tokens where the likeliest is taken."""
  default = config.Eval()
  for field in () if spec.temperature else ("top_k", "top_p"):
    if getattr(spec, field) != getattr(default, field):
      raise errors.InputError(
          f"{field} is {getattr(spec, field)}, but temperature is 0: the"
          f" likeliest token is taken. Raise temperature, or leave {field} out."
      )


def _prompt(row: store_lib.TokenRow) -> np.ndarray:
  """The tokens before the last answer, which the row has; int32."""
  begins = np.flatnonzero(np.diff(row.mask.astype(np.int8), prepend=0) == 1)
  return row.tokens[: begins[-1]].astype(np.int32)
