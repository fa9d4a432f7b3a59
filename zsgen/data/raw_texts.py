"""The texts of examples without template: columns of `examples.parquet`.

People read them, and embedders compare them, so they do not depend on
`config.data.template`.
"""

from collections.abc import Sequence

import pyarrow as pa

from zsgen.data import suite

SCHEMA = pa.schema(
    {
        "prompt": pa.string(),
        "answer": pa.string(),
        "turns": pa.list_(pa.string()),
    }
)
# Turns of an example without a conversation: its request and its answer.
_EXCHANGE = 2


def columns(
    conversations: Sequence[Sequence[suite.Turn]],
) -> dict[str, pa.Array]:
  """Returns the columns of examples.

  Args:
    conversations: the turns of each example; () for no answer.

  Returns:
    prompt: texts without loss, answer: those with loss, joined by line breaks;
    turns: the texts of all turns in order, if there are more than two,
    otherwise null.
  """
  return {
      "prompt": pa.array([_text(turns, False) for turns in conversations]),
      "answer": pa.array([_text(turns, True) for turns in conversations]),
      "turns": pa.array(
          [
              [turn.text for turn in turns] if len(turns) > _EXCHANGE else None
              for turns in conversations
          ],
          SCHEMA.field("turns").type,
      ),
  }


def compared(prompt: str, answer: str, turns: Sequence[str] | None) -> str:
  """Returns the text of an example that is compared (2406.11721, spec 2.5).

  It is the stripped texts of all turns with a space between them: request and
  answer, for an example without a conversation.
  """
  texts = (prompt, answer) if turns is None else turns
  return " ".join([stripped for text in texts if (stripped := text.strip())])


def _text(turns: Sequence[suite.Turn], has_loss: bool) -> str:
  """Returns the texts of the turns with, or without, loss."""
  return "\n".join(
      [
          turn.text
          for turn in turns
          if (turn.role == "assistant" and turn.is_trained) == has_loss
      ]
  )
