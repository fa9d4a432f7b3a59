"""The prompt of Super-NaturalInstructions, to the character."""

import pytest

from tests.helpers import chat_tokenizers
from zsgen.core import config
from zsgen.data import prompts, suite, tokenizers

SHOTS = (
    suite.Shot(" 1, 2 ", "3", "1 plus 2 is 3", positive=True),
    suite.Shot("What is 9, 9?", "18.", "", positive=True),
    suite.Shot("2, 2", "5", "It is 4!", positive=False),
    suite.Shot("5, 5", "10", "", positive=True),
)
DEFINITION = "Definition: Add the numbers.\n\n"
FIRST = " Positive Example 1 -\nInput: 1, 2.\n Output: 3.\n\n"
SECOND = " Positive Example 2 -\nInput: What is 9, 9?\n Output: 18.\n\n"
THIRD = " Positive Example 3 -\nInput: 5, 5.\n Output: 10.\n\n"
WRONG = " Negative Example 1 -\nInput: 2, 2.\n Output: 5.\n\n"
QUERY = "Now complete the following example -\nInput: 4, 4.\nOutput: "


def _example(definition="Add the numbers ", request="4, 4"):
  return suite.Example(
      "task1_add", "", "train", definition, request, ("8",), "0", shots=SHOTS
  )


def _build_request(example=None, tokenizer=None, **options):
  """Returns the request of an example, and the prompt's counts."""
  prompt = prompts.get(
      config.build(config.Data, prompt="niv2", **options),
      tokenizer or tokenizers.Bytes(),
      0,
  )
  return prompt(example or _example())[0].text, dict(prompt.counts)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, DEFINITION + FIRST + SECOND + QUERY),
        (dict(shots=0), DEFINITION + QUERY),
        (dict(shots=9), DEFINITION + FIRST + SECOND + THIRD + QUERY),
        (dict(shots=1, definition=False), FIRST + QUERY),
        (
            dict(shots=1, task_name=True),
            f"task1_add. {DEFINITION}{FIRST}{QUERY}",
        ),
        (
            dict(shots=0, negative_shots=2, explanations=True),
            DEFINITION
            + WRONG.replace("5.\n\n", "5.\n Explanation: It is 4!\n\n")
            + QUERY,
        ),
        (
            dict(explanations=True),
            DEFINITION
            + FIRST.replace("3.\n\n", "3.\n Explanation: 1 plus 2 is 3.\n\n")
            + SECOND
            + QUERY,
        ),
    ],
)
def test_requests_show_the_selected_parts(options, expected):
  shots = expected.count("Example ")
  assert _build_request(**options) == (
      expected,
      {"shots_shown": shots, "shots_left_out": 0},
  )


def test_punctuation_is_added_where_there_is_none():
  query = _build_request(_example("Add them:", "猫。"), shots=0)[0]
  assert query.startswith("Definition: Add them:\n\nNow")
  # Only ASCII punctuation counts, as in the released code.
  assert "Input: 猫。.\n" in query
  assert "Definition" not in _build_request(_example(""), shots=0)[0]


def test_shots_are_added_while_they_fit():
  for shots in ([], [FIRST], [FIRST, SECOND]):
    full_text = DEFINITION + "".join(shots) + QUERY
    left = 2 - len(shots)
    counts = {"shots_shown": len(shots), "shots_left_out": left}
    assert _build_request(prompt_tokens=len(full_text)) == (full_text, counts)
  full_text = DEFINITION + FIRST + SECOND + QUERY
  assert _build_request(prompt_tokens=len(full_text) - 1)[1]["shots_shown"] == 1


def test_a_negative_shot_may_fit_where_a_positive_does_not():
  full_text = DEFINITION + FIRST + WRONG + QUERY
  assert len(WRONG) < len(SECOND)
  assert _build_request(prompt_tokens=len(full_text), negative_shots=1) == (
      full_text,
      {"shots_shown": 2, "shots_left_out": 1},
  )


def test_the_tail_of_a_query_that_is_too_long_is_cut():
  text, counts = _build_request(prompt_tokens=60)
  assert text == (DEFINITION + QUERY)[:60] + "\n"  # The template's.
  assert counts == dict(shots_shown=0, shots_left_out=2, prompts_cut=1)


def test_bos_counts_towards_the_limit():
  tokenizer = chat_tokenizers.metaspace(
      texts=[*chat_tokenizers.TEXT, DEFINITION, FIRST, QUERY]
  )
  full_text = DEFINITION + FIRST + QUERY
  size = len(tokenizer.encode_batch([full_text])[0])
  options = dict(tokenizer=tokenizer, shots=1)
  assert (
      _build_request(prompt_tokens=size + 1, **options)[1]["shots_shown"] == 1
  )
  assert _build_request(prompt_tokens=size, **options)[1]["shots_shown"] == 0
