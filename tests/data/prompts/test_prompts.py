"""Requests, labels, and which of them the config asks for."""

import collections
import random

import pytest

from zsgen.core import config, errors
from zsgen.data import prompts, suite, tokenizers

TURNS = (suite.Turn("user", "Hi"), suite.Turn("assistant", "Hello"))


def _example(
    definition="Add.", request="1, 2", targets=("3",), key="0", **kwargs
):
  return suite.Example(
      "sum", "maths", "train", definition, request, targets, key, **kwargs
  )


def _get(seed=0, **options):
  return prompts.get(
      config.build(config.Data, **options), tokenizers.Bytes(), seed
  )


@pytest.mark.parametrize(
    ("prompt", "definition", "request_text", "prompt_text"),
    [
        ("plain", "Add.", "1, 2", "Add.\nInput: 1, 2\nOutput: "),
        ("plain", "", "1, 2", "Input: 1, 2\nOutput: "),
        ("joined", "Add.", "1, 2", "Add.\n\n1, 2\n"),
        ("joined", "", "Add 1, 2:\n", "Add 1, 2:\n"),
        ("joined", "Say hello.", "", "Say hello.\n"),
    ],
)
def test_requests(prompt, definition, request_text, prompt_text):
  segments = _get(prompt=prompt)(_example(definition, request_text))
  assert segments == [
      prompts.Segment(prompt_text, loss=False),
      prompts.Segment("3", loss=True, end=True),
  ]


@pytest.mark.parametrize("prompt", ["plain", "joined", "niv2"])
@pytest.mark.parametrize("template", ["plain", "chat"])
def test_without_definition_and_input_it_is_plain_text(prompt, template):
  segments = _get(prompt=prompt, template=template)(
      _example("", "", ("A cat.",))
  )
  assert segments == [prompts.Segment("A cat.", loss=True, end=True)]


def test_without_an_answer_there_are_no_segments():
  assert _get()(_example(targets=())) == []


def test_turns_are_taken_as_they_are():
  example = _example("", "", (), turns=TURNS)
  for prompt in ("plain", "joined", "niv2"):
    assert _get(prompt=prompt, template="chat")(example) == [
        prompts.Segment("User: Hi", loss=False),
        prompts.Segment("\nAssistant: ", loss=False),
        prompts.Segment("Hello", loss=True, end=True),
    ]


def test_the_first_answer_is_the_label():
  assert _get()(_example(targets=("3", "three")))[1].text == "3"


def test_random_labels_depend_on_seed_task_and_key_only():
  examples = [
      _example(targets=("a", "b", "c"), key=str(key)) for key in range(300)
  ]
  labels = _labels(examples, 0)
  assert min(collections.Counter(labels).values()) > 70
  shuffled = random.Random(0).sample(range(300), 300)
  assert _labels([examples[i] for i in shuffled], 0) == [
      labels[i] for i in shuffled
  ]
  assert _labels(examples, 1) != labels
  # PCG64 and crc32 are the same everywhere.
  assert "".join(labels[:12]) == "cabbcacaabba"


def _labels(examples, seed):
  prompt = _get(label="random", seed=seed)
  return [prompt(example)[1].text for example in examples]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(prompt="niv3"), 'Did you mean "niv2"'),
        (dict(template="chatty"), 'Did you mean "chat"'),
        (dict(label="fist"), 'Did you mean "first"'),
        (dict(shots=3), "It is an option of prompt='niv2'"),
        (
            dict(prompt="joined", definition=False),
            "definition is not an option",
        ),
        (dict(template="tokenizer"), "no chat template"),
    ],
)
def test_invalid_options(options, message):
  with pytest.raises(errors.InputError, match=message):
    _get(**options)


def test_a_turn_that_cannot_be_shown_names_its_example():
  example = _example(turns=(suite.Turn("tool", "4"),), key="k7")
  with pytest.raises(
      errors.InputError, match=r"task sum, example k7: .*'tool'"
  ):
    _get(template="chat")(example)
