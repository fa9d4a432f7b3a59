"""The first batch as text, loss tokens visible (`--show_batch`)."""

import itertools

import rich.text

from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.train import batches


def view(
    examples: batches.Examples,
    store: store_lib.Store,
    tokenizer: tokenizers.Tokenizer,
) -> rich.text.Text:
  """Formats a batch: `⟦…⟧` marks tokens with loss, ⏹ is an end token.

  Args:
    examples: what a step consumes.
    store: gives the tasks' names.
    tokenizer: turns ids into text.

  Returns:
    Text to print; colours only repeat what the signs say.
  """
  text = rich.text.Text()
  for example, row in zip(examples.ids, examples.rows, strict=True):
    if example == batches.NO_EXAMPLE:
      text.append("(padding)\n", "dim")
      continue
    task = store.tasks[store.task_index[example]]
    loss = int(row.mask.sum())
    text.append(
        f"id {example}  {task}  {len(row.tokens)} tokens, {loss} with loss\n",
        "bold cyan",
    )
    text.append_text(marked(row, tokenizer))
    text.append("\n\n")
  return text


def marked(
    row: store_lib.TokenRow, tokenizer: tokenizers.Tokenizer
) -> rich.text.Text:
  """Marks the loss tokens of an example, and names special tokens."""
  text, signs = rich.text.Text(), _signs(tokenizer)
  before = []
  pairs = zip(row.tokens.tolist(), row.mask.tolist(), strict=True)
  for loss, run in itertools.groupby(pairs, lambda pair: pair[1]):
    decoded = ""
    tokens = [token for token, _ in run]
    for special, stretch in itertools.groupby(tokens, signs.__contains__):
      ids = list(stretch)
      if special:
        decoded += "".join(signs[token] for token in ids)
      else:
        decoded += _added(before, ids, tokenizer)
      before = before + ids
    text.append(
        f"⟦{decoded}⟧" if loss else decoded, "bold green" if loss else ""
    )
  return text


def _added(
    before: list[int], ids: list[int], tokenizer: tokenizers.Tokenizer
) -> str:
  """The text that ids add to those before them.

  Decoded alone, they may lose a leading space (SentencePiece).
  """
  start, full = tokenizer.decode(before), tokenizer.decode(before + ids)
  if before and full.startswith(start):
    return full[len(start) :]
  return tokenizer.decode(ids)


def _signs(tokenizer: tokenizers.Tokenizer) -> dict[int, str]:
  """What special tokens are shown as."""
  signs = {tokenizer.pad_id: "<pad>"}
  if tokenizer.bos_id is not None:
    signs[tokenizer.bos_id] = "<bos>"
  names = tokenizer.special_ids
  return {
      **signs,
      **{token: name for name, token in names.items()},
      tokenizer.eos_id: "⏹",
  }
