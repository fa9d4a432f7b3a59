"""Answers that the model writes, scored."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from zsgen.core import config, errors, hosts, registry, schema
from zsgen.core import mesh as mesh_lib
from zsgen.core.schema import option
from zsgen.data import prompts, tokenizers
from zsgen.data import store as store_lib
from zsgen.evals import api, judge, shared_prompts
from zsgen.models import generation

# The released code's settings (2406.11721, spec 3.6).
_RELEASED: dict[str, Any] = dict(
    temperature=0.9, top_p=0.9, penalty=1.2, ban_end=True
)


@dataclasses.dataclass(frozen=True)
class GenerateOptions(judge.JudgedOptions):
  """The options of `generate`: how tokens are chosen."""

  # How tokens are selected. greedy: the likeliest one; sample: drawn as the
  # options below define; released: drawn as the released code does (top_p 0.9,
  # temperature 0.9, penalty 1.2, no empty answer, and BOS twice if the
  # tokenizer has it).
  decoding: str = option("greedy", choices=("greedy", "sample", "released"))
  # Maximum number of tokens of an answer, including its end token.
  max_new_tokens: int = option(
      128, low=1, high=2**31 - 1, why="positions are int32"
  )
  # For sample: divides the logits; 0: the likeliest token is taken.
  temperature: float = option(1.0, low=0.0)
  # For sample: number of the likeliest tokens to draw from; 0: all.
  top_k: int = option(0, low=0)
  # For sample: draws from the likeliest tokens whose probabilities add up to
  # this.
  top_p: float = option(1.0, low=1e-6, high=1.0)
  # For sample: divides the logits of tokens that the answer already has
  # (multiplies negative ones); 1: no penalty.
  penalty: float = option(1.0, low=1.0)

  def check(self, location: str) -> None:
    """Raises InputError for an option that the decoding does not read."""
    if self.decoding != "sample":
      unread = ("temperature", "top_k", "top_p", "penalty")
      reason = f"decoding={self.decoding!r} does not read it: set"
      advice = "decoding='sample'."
    elif not self.temperature:
      unread = ("top_k", "top_p")
      reason = "temperature is 0: the likeliest token is taken. Raise"
      advice = "temperature, or leave it out."
    else:
      return
    default = GenerateOptions()
    for name in unread:
      value = getattr(self, name)
      if value != getattr(default, name):
        raise errors.InputError(
            f"{location}.{name} is {value}, but {reason} {advice}"
        )


@registry.evaluator("generate", options=GenerateOptions)
class Generate(judge.Judged):
  """Scores of generated answers, see `judge.Judged`.

  Prompts are read from the store, up to the last answer. They are sorted by
  length; a row's answer depends on neither batch nor mesh. Prompts stay on
  the devices. If rows are not split over devices, tokens that prompts begin
  with in common are read once.

  Args:
    share: whether prompts may share prefixes.

  Raises:
    InputError: prompt and answer are longer than the model's positions.
  """

  def __init__(
      self,
      name: str,
      spec: config.Eval,
      context: api.Context,
      share: bool = True,
  ):
    super().__init__(name, spec, context)
    self._context = context
    self._share = share
    self._tokenizer = tokenizers.load(self.store.path / store_lib.TOKENIZER)
    self._prompts = [prompt_of(self.store.row(i)) for i in self.ids]
    options = schema.options_of(spec, GenerateOptions)
    if options.decoding == "released" and self._tokenizer.bos_id is not None:
      # Its tokenizer writes a BOS before the one that the prompt has as text.
      begin = np.array([self._tokenizer.bos_id], np.int32)
      self._prompts = [np.concatenate([begin, row]) for row in self._prompts]
    self._ends = prompts.ends(self.store.template, self._tokenizer)
    self._decoding = decoding(options)
    self._check_positions()
    self._generate = jax.jit(
        functools.partial(
            generation.generate,
            model=context.model,
            decoding=self._decoding,
            ends=self._ends,
            pad=self._tokenizer.pad_id,
        ),
        out_shardings=mesh_lib.replicated(context.mesh),
    )

  def __call__(self, params: Any) -> api.Evaluation:
    """Generates and scores an answer to each example."""
    return self.judge(self.write(params))

  def write(self, params: Any) -> list[str]:
    """Generates an answer to each example."""
    generated = [
        (slots, self._generate(params, *prompts, self._context.seed))
        for slots, prompts in hosts.moves(self._batches)
    ]
    answers = [""] * len(self.ids)
    for slots, rows in hosts.moves(generated):
      for slot, row in zip(slots, np.asarray(rows), strict=False):
        answers[slot] = self._text(row)
    return answers

  def _text(self, row: np.ndarray) -> str:
    """Returns the text of an answer, up to its end token."""
    ended = np.isin(row, self._ends)
    length = ended.argmax() if ended.any() else len(row)
    return self._tokenizer.decode(row[:length].tolist()).strip()

  @functools.cached_property
  def _batches(self) -> list[tuple[np.ndarray, tuple]]:
    """Returns each batch's indices of prompts, and it on the devices."""
    if (shared := self._shared_batches) is not None:
      return [self._shared_batch(batch) for batch in shared]
    lengths = np.array([len(prompt) for prompt in self._prompts])
    by_length = np.argsort(lengths, kind="stable")
    shards = mesh_lib.row_shards(self._context.mesh)
    size = -(-self._context.batch_size // shards) * shards
    return [
        (slots, self._batch(slots, size))
        for slots in (
            by_length[i : i + size] for i in range(0, len(by_length), size)
        )
    ]

  @functools.cached_property
  def _shared_batches(self) -> list[shared_prompts.Batch] | None:
    """Returns batches of prompts that share prefixes; None if they do not."""
    if not self._share or self._context.mesh.size > 1:
      return None
    return shared_prompts.make_batches(self._prompts, self._context.batch_size)

  def _shared_batch(
      self, batch: shared_prompts.Batch
  ) -> tuple[np.ndarray, tuple]:
    """Returns the indices of a batch's prompts, and it on the devices."""
    size = self._context.batch_size
    slots = shared_prompts.members(batch)
    prompts = shared_prompts.lay_out(self._prompts, batch, size)
    lengths, rows = np.zeros((2, size), np.int32)
    lengths[: len(slots)] = [len(self._prompts[slot]) for slot in slots]
    rows[: len(slots)] = self.ids[slots]
    sharding = mesh_lib.replicated(self._context.mesh)
    arrays = (prompts, lengths, rows)
    return slots, mesh_lib.put(arrays, jax.tree.map(lambda _: sharding, arrays))

  def _batch(self, slots: np.ndarray, size: int) -> tuple:
    """Prompts that end in the last slot, their lengths and ids."""
    longest = max(len(self._prompts[slot]) for slot in slots)
    width = shared_prompts.cache_width(longest)
    tokens = np.zeros((size, width), np.int32)
    lengths, rows = np.zeros((2, size), np.int32)
    for row, slot in enumerate(slots):
      prompt = self._prompts[slot]
      tokens[row, width - len(prompt) :] = prompt
      lengths[row], rows[row] = len(prompt), self.ids[slot]
    sharding = mesh_lib.batch_sharding(self._context.mesh)
    return mesh_lib.put((tokens, lengths, rows), (sharding,) * 3)

  def _check_positions(self) -> None:
    """Raises InputError if prompt and answer exceed positions."""
    new = self._decoding.max_new_tokens
    lengths = [len(prompt) for prompt in self._prompts]
    longest, limit = max(lengths), self._context.model.arch.max_positions
    if longest + new > limit:
      raise errors.InputError(
          f"config.evals.{self.name}: the prompt of example"
          f" {self.ids[np.argmax(lengths)]} has {longest} tokens, and"
          f" max_new_tokens is {new}: together more than the model's {limit}"
          " positions. Lower max_new_tokens, or config.data.max_length."
      )


def decoding(options: GenerateOptions) -> generation.Decoding:
  """Returns how tokens are picked, given options that were checked."""
  if options.decoding != "sample":
    options_released = _RELEASED if options.decoding == "released" else {}
    return generation.Decoding(options.max_new_tokens, **options_released)
  return generation.Decoding(
      options.max_new_tokens,
      temperature=options.temperature,
      top_k=options.top_k,
      top_p=options.top_p,
      penalty=options.penalty,
  )


def prompt_of(row: store_lib.TokenRow) -> np.ndarray:
  """Returns the tokens before the last answer, which the row has; int32."""
  begins = np.flatnonzero(np.diff(row.mask.astype(np.int8), prepend=0) == 1)
  return row.tokens[: begins[-1]].astype(np.int32)
