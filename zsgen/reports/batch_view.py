"""The first batch as text, loss tokens visible (`--show_batch`)."""

import itertools

import rich.text

from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.training import batches


def view(
    examples: batches.Examples,
    store: store_lib.Store,
    tokenizer: tokenizers.Tokenizer,
) -> rich.text.Text:
  """Text of a batch: `⟦…⟧` holds what the loss falls on, ⏹ is an end token.

  Args:
    examples: what a step consumes.
    store: gives the tasks' names.
    tokenizer: turns ids into text.

  Returns:
    Text to print; colours only repeat what the signs say.
  """
  shown = rich.text.Text()
  for example, row in zip(examples.ids, examples.rows, strict=True):
    if example == batches.NO_EXAMPLE:
      shown.append("(padding)\n", "dim")
      continue
    task = store.tasks[store.task_index[example]]
    loss = int(row.mask.sum())
    shown.append(
        f"id {example}  {task}  {len(row.tokens)} tokens, {loss} with loss\n",
        "bold cyan",
    )
    shown.append_text(_marked(row, tokenizer))
    shown.append("\n\n")
  return shown


def _marked(
    row: store_lib.Row, tokenizer: tokenizers.Tokenizer
) -> rich.text.Text:
  """An example with its loss tokens between marks."""
  text = rich.text.Text()
  pairs = zip(row.tokens.tolist(), row.mask.tolist(), strict=True)
  for loss, run in itertools.groupby(pairs, lambda pair: pair[1]):
    ids = [token for token, _ in run]
    said = tokenizer.decode(ids) + "⏹" * ids.count(tokenizer.eos_id)
    text.append(f"⟦{said}⟧" if loss else said, "bold green" if loss else "")
  return text
