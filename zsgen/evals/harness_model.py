"""What lm-evaluation-harness asks of a model, answered by zsgen's decoder.

Texts become tokens as in the harness's backend for transformers, so that scores
can be compared: the context and what follows it are tokenized together, a space
at the end of the context is a part of what follows, special tokens in texts are
recognized, and BOS comes before a text that does not begin with it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
from typing import Any, NamedTuple

import jax
from jax import numpy as jnp
import numpy as np

from zsgen.core import errors, hosts
from zsgen.core import mesh as mesh_lib
from zsgen.data import prompts, suite, tokenizers
from zsgen.data.prompts import jinja
from zsgen.evals import api, packed, shared_prompts, token_rows
from zsgen.models import generation
from zsgen.models import model as model_lib
from zsgen.train import batches
from zsgen.train import step as step_lib

# The harness's default for the most tokens of an answer, and its other names.
_MOST_NEW = 256
_MOST_NEW_NAMES = (
    "max_gen_toks",
    "max_new_tokens",
    "max_tokens",
    "max_completion_tokens",
)
# Options of greedy decoding that change nothing.
_IGNORED = ("do_sample", "temperature", "top_p", "top_k", "until")
BOS = ("tokenizer", "always", "never")


class Settings(NamedTuple):
  """How texts are read.

  Attributes:
    bos: when BOS comes before a text: if the tokenizer puts it there, always
      or never.
    chat_template: whether requests are turns of the tokenizer's chat template.
  """

  bos: str
  chat_template: bool


class Requests:
  """Answers the requests of the harness; the interface is that of its `LM`.

  Args:
    params: the parameters of the model.
    context: the model, and where it is computed.
    tokenizer: of the model.
    settings: how texts are read.

  Raises:
    InputError: the tokenizer lacks BOS or a chat template that is asked for.
  """

  def __init__(
      self,
      params: Any,
      context: api.Context,
      tokenizer: tokenizers.Tokenizer,
      settings: Settings,
  ):
    self._params = params
    self._context = context
    self._tokenizer = tokenizer
    self._settings = settings
    self.max_length: int = context.model.arch.max_positions
    self._bos_text = tokenizer.special_tokens.get("bos_token", "")
    self._bos = tokenizer.special_ids.get(self._bos_text, tokenizer.bos_id)
    if settings.bos == "always" and self._bos is None:
      raise errors.InputError(
          "bos='always', but the tokenizer has no BOS. Set bos='tokenizer'."
      )
    self._render = None
    if settings.chat_template:
      self._render = _renderer(tokenizer)
    template = "tokenizer" if settings.chat_template else "plain"
    self._ends = prompts.ends(template, tokenizer)
    self._program = functools.cache(self._make_program)

  @property
  def adds_bos(self) -> bool:
    """Whether BOS comes before a text that does not begin with it."""
    if self._settings.bos == "tokenizer":
      return self._tokenizer.bos_id is not None
    return self._settings.bos == "always"

  @property
  def prefix_token_id(self) -> int:
    """The token before a text without context: BOS or, if none, the end."""
    return self._tokenizer.eos_id if self._bos is None else self._bos

  @property
  def tokenizer_name(self) -> str:
    """A name of the tokenizer for caches of requests."""
    return self._tokenizer.fingerprint

  def chat_template(self, chat_template: bool | str = False) -> str:
    """Returns the source of the chat template that is applied, or ""."""
    del chat_template  # The settings say it.
    return (self._tokenizer.chat_template or "") if self._render else ""

  def apply_chat_template(
      self,
      chat_history: Sequence[Mapping[str, str]],
      add_generation_prompt: bool = True,
  ) -> str:
    """Returns a conversation as text."""
    turns = [suite.Turn(turn["role"], turn["content"]) for turn in chat_history]
    assert self._render is not None, "the harness asks for what was set"
    if add_generation_prompt:
      return self._render(turns, True)
    # The last turn is continued: nothing follows its text.
    text, last = self._render(turns), turns[-1].text
    end = text.rfind(last.strip())
    if end < 0:
      raise errors.InputError(f"{jinja.SOURCE} changes the text of the turns.")
    return text[: end + len(last.strip())]

  def loglikelihood(
      self, requests: Sequence[Any], disable_tqdm: bool = False
  ) -> list[tuple[float, bool]]:
    """Returns the log-likelihood of each continuation of a context, and whether
    greedy decoding would give it.

    Args:
      requests: `args` are a context and a continuation.
      disable_tqdm: has no effect.
    """
    del disable_tqdm
    pairs = [self._encode_pair(*request.args) for request in requests]
    sums, right = self._score(pairs)
    counts = np.array([len(continuation) for _, continuation in pairs])
    return list(zip((-sums).tolist(), (right == counts).tolist(), strict=True))

  def loglikelihood_rolling(
      self, requests: Sequence[Any], disable_tqdm: bool = False
  ) -> list[float]:
    """Returns the log-likelihood of each text, in windows of the model's size.

    Args:
      requests: `args` are a text.
      disable_tqdm: has no effect.
    """
    del disable_tqdm
    windows: list[tuple[list[int], list[int]]] = []
    owners: list[int] = []
    for number, request in enumerate(requests):
      (text,) = request.args
      tokens = self.tok_encode(text)
      parts = list(_windows(tokens, self.prefix_token_id, self.max_length))
      windows += parts
      owners += [number] * len(parts)
    sums, _ = self._score(windows)
    totals = np.zeros(len(requests))
    np.add.at(totals, owners, -sums.astype(np.float64))
    return totals.tolist()

  def generate_until(
      self, requests: Sequence[Any], disable_tqdm: bool = False
  ) -> list[str]:
    """Returns the greedy answer to each context, up to the first stop text.

    Args:
      requests: `args` are a context and options of decoding.
      disable_tqdm: has no effect.

    Raises:
      InputError: an option of decoding is not supported.
    """
    del disable_tqdm
    limits = [_most_new(request.args[1]) for request in requests]
    answers = [""] * len(requests)
    for limit in sorted(set(limits)):
      room = self.max_length - limit
      if room < 1:
        raise errors.InputError(
            f"a task asks for {limit:,} new tokens, and the model has"
            f" {self.max_length:,} positions: no room is left for a prompt. Set"
            " max_gen_toks in the task."
        )
      slots = [i for i, size in enumerate(limits) if size == limit]
      contexts = [
          self.tok_encode(requests[slot].args[0])[-room:] for slot in slots
      ]
      for slot, row in zip(slots, self._generate(contexts, limit), strict=True):
        answers[slot] = self._text(row, requests[slot].args[1])
    return answers

  def tok_encode(self, text: str) -> list[int]:
    """Returns the tokens of a text, with BOS as set."""
    (ids,) = self._tokenizer.encode_special([text])
    tokens = ids.tolist()
    if not self.adds_bos or self._bos is None:
      return tokens
    has_bos = bool(self._bos_text) and text.startswith(self._bos_text)
    return tokens if has_bos else [self._bos, *tokens]

  def _encode_pair(
      self, context: str, continuation: str
  ) -> tuple[list[int], list[int]]:
    """Returns the tokens of a context, one at least, and of what follows."""
    if not context:
      (ids,) = self._tokenizer.encode_special([continuation])
      tokens = ids.tolist()
      if tokens[:1] == [self.prefix_token_id]:
        return tokens[:1], tokens[1:]
      return [self.prefix_token_id], tokens
    stripped = context.rstrip()
    continuation = context[len(stripped) :] + continuation
    before = self.tok_encode(stripped)
    return before, self.tok_encode(stripped + continuation)[len(before) :]

  def _score(
      self, pairs: Sequence[tuple[list[int], list[int]]]
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sum of losses of each continuation, and its right tokens."""
    if not pairs:
      return np.zeros(0, np.float32), np.zeros(0, np.float32)
    contexts, continuations = [], []
    for context, continuation in pairs:
      # The last token is predicted, but not read: there is room for one more.
      room = self.max_length + 1 - len(continuation)
      if room < 1:
        raise errors.InputError(
            f"a continuation of {len(continuation):,} tokens does not fit the"
            f" model's {self.max_length:,} positions. Leave its task out."
        )
      contexts.append(context[-room:])
      continuations.append(continuation)
    rows = token_rows.TokenRows(self._context.store, contexts, continuations)
    compute = packed.Packed(
        np.arange(len(contexts)), _sums, self._context._replace(store=rows)
    )
    return tuple(compute(self._params).T)

  def _generate(
      self, contexts: Sequence[list[int]], limit: int
  ) -> list[np.ndarray]:
    """Returns the new tokens of each context, int32 [limit]."""
    run = self._program(limit)
    shards = mesh_lib.row_shards(self._context.mesh)
    size = -(-self._context.batch_size // shards) * shards
    order = np.argsort([len(row) for row in contexts], kind="stable")
    slots = [order[i : i + size] for i in range(0, len(order), size)]
    generated = [
        run(self._params, *self._batch(contexts, members, size), 0)
        for members in hosts.moves(slots)
    ]
    answers: list[Any] = [None] * len(contexts)
    for members, rows in zip(slots, hosts.moves(generated), strict=True):
      for slot, row in zip(members, np.asarray(rows), strict=False):
        answers[slot] = row
    return answers

  def _make_program(self, limit: int) -> Callable[..., Any]:
    """Returns the program that generates at most `limit` tokens."""
    return jax.jit(
        functools.partial(
            generation.generate,
            model=self._context.model,
            decoding=generation.Decoding(limit),
            ends=self._ends,
            pad=self._tokenizer.pad_id,
        ),
        out_shardings=mesh_lib.replicated(self._context.mesh),
    )

  def _batch(
      self, contexts: Sequence[list[int]], members: np.ndarray, size: int
  ) -> tuple:
    """Returns contexts that end in the last slot, lengths and row numbers."""
    longest = max(len(contexts[slot]) for slot in members)
    width = shared_prompts.cache_width(longest)
    tokens = np.zeros((size, width), np.int32)
    lengths, rows = np.zeros((2, size), np.int32)
    for row, slot in enumerate(members):
      context = contexts[slot] or [self.prefix_token_id]
      tokens[row, width - len(context) :] = context
      lengths[row], rows[row] = len(context), slot
    sharding = mesh_lib.batch_sharding(self._context.mesh)
    return mesh_lib.put((tokens, lengths, rows), (sharding,) * 3)

  def _text(self, row: np.ndarray, options: Mapping[str, Any]) -> str:
    """Returns the text of new tokens, up to an end token or a stop text."""
    is_end = np.isin(row, self._ends)
    length = is_end.argmax() if is_end.any() else len(row)
    text = self._tokenizer.decode(row[:length].tolist())
    until = options.get("until") or []
    for stop in [until] if isinstance(until, str) else until:
      if stop:
        text = text.split(stop)[0]
    return text


def _sums(
    params: Any, batch: batches.Batch[jax.Array], *, model: model_lib.Model
) -> jax.Array:
  """Returns the sum of losses and the right tokens of each row, [B, 2]."""
  # A last token may be one beyond the positions; nothing reads it.
  last = model.arch.max_positions - 1
  batch = batch._replace(positions=jnp.minimum(batch.positions, last))
  scores = model.token_scores(params, batch)
  return jnp.stack([step_lib.sum_losses(part, batch) for part in scores], 1)


def _windows(
    tokens: Sequence[int], prefix: int, size: int
) -> Iterable[tuple[list[int], list[int]]]:
  """Yields windows of a text: tokens before, and those that are predicted.

  Each token is predicted once; the last window has as many tokens before as
  fit.

  Args:
    tokens: the text.
    prefix: the token before the first one.
    size: positions of the model.
  """
  for begin in range(0, len(tokens), size):
    end = min(begin + size, len(tokens))
    # The window reads `size` tokens that end before the last predicted one.
    before = [prefix, *tokens][max(end - size, 0) : begin + 1]
    yield before, list(tokens[begin:end])


def _most_new(options: Mapping[str, Any]) -> int:
  """Returns the most new tokens that options of decoding allow.

  Raises:
    InputError: they ask for something else than greedy decoding.
  """
  unknown = sorted({*options} - {*_IGNORED, *_MOST_NEW_NAMES})
  draws = options.get("do_sample") and options.get("temperature", 1.0) != 0
  if draws or unknown:
    reason = "draws tokens" if draws else f"has {', '.join(unknown)}"
    raise errors.InputError(
        f"a task {reason} in its generation_kwargs, but only greedy decoding is"
        " supported. Change the task, or leave it out."
    )
  limits = [int(options[name]) for name in _MOST_NEW_NAMES if name in options]
  return limits[0] if limits else _MOST_NEW


def _renderer(tokenizer: tokenizers.Tokenizer) -> Callable[..., str]:
  """Returns what renders the tokenizer's chat template.

  Raises:
    InputError: it has none.
  """
  if not tokenizer.chat_template:
    raise errors.InputError(
        "chat_template is set, but the tokenizer has none. Leave it out."
    )
  return jinja.renderer(tokenizer.chat_template, tokenizer.special_tokens)
