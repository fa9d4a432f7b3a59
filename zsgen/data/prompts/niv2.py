"""The prompt of Super-NaturalInstructions, as 2406.11721 uses it.

    task001_name. Definition: What to do.

     Positive Example 1 -
    Input: A question.
     Output: An answer.
     Explanation: Why it is one.

     Negative Example 1 -
    …
    Now complete the following example -
    Input: The question.
    Output:

Parts are stripped, and get a final "." if they do not end in ASCII punctuation.
`Positive Example`, `Output` and `Explanation` begin with a space, and the
prompt ends with one. The paper uses the definition and two positive examples,
in 1,024 tokens (spec of section 3.2; layout of the public Tk-Instruct
encoding).

Positive examples are added while they fit, then negative ones; the first one
that does not fit ends its kind. The limit is for the whole prompt, including
the task's name (which Tk-Instruct does not count) and BOS. An example without
an explanation has no such line, and a suite without definitions has no such
block.
"""

import collections
import dataclasses
import string

from zsgen.core import config, registry
from zsgen.core.schema import option
from zsgen.data import suite, tokenizers


@dataclasses.dataclass(frozen=True)
class Options(config.Data):
  """The options of the prompt `niv2`."""

  # Maximum number of positive examples to show, as far as they fit.
  shots: int = option(2, low=0)
  # Maximum number of negative examples to show, as far as they fit.
  negative_shots: int = option(0, low=0)
  # Maximum number of tokens of the prompt.
  prompt_tokens: int = option(1024, low=1)
  # Whether to show the explanations of the examples.
  explanations: bool = option(False)
  # Whether to show the task's name.
  task_name: bool = option(False)
  # Whether to show the definition.
  definition: bool = option(True)


@registry.prompt("niv2", options=Options)
class Niv2:
  """Makes the request of an example from the options of `config.data`.

  Counts `shots_shown`, `shots_left_out` and `prompts_cut`: prompts that were
  too long even without shots and lost the end of their query.
  """

  def __init__(
      self,
      data: Options,
      tokenizer: tokenizers.Tokenizer,
      counts: collections.Counter,
  ):
    self._data = data
    self._tokenizer = tokenizer
    self._counts = counts
    # Number of tokens without BOS.
    self._room = data.prompt_tokens - (tokenizer.bos_id is not None)

  def __call__(self, example: suite.Example) -> str:
    """Returns the request of an example."""
    head = self._head(example)
    query = (
        "Now complete the following example -\n"
        f"{_ended('Input: ', example.input)}\nOutput: "
    )
    kinds = self._shots(example)
    shots = self._fitting(head, kinds, query)
    self._counts["shots_shown"] += len(shots)
    self._counts["shots_left_out"] += sum(map(len, kinds)) - len(shots)
    text = head + "".join(shots) + query
    # With a shot it fits, as `_fitting` checks.
    return text if shots else self._cut(text)

  def _head(self, example: suite.Example) -> str:
    """Returns the task's name and its definition."""
    name = f"{example.task}. " if self._data.task_name else ""
    if not self._data.definition or not example.definition:
      return name
    return name + _ended("Definition: ", example.definition) + "\n\n"

  def _shots(self, example: suite.Example) -> list[list[str]]:
    """Returns the blocks of the requested positive and negative shots."""
    counts = {True: self._data.shots, False: self._data.negative_shots}
    blocks = []
    for positive, count in counts.items():
      shots = [shot for shot in example.shots if shot.positive == positive]
      name = "Positive" if positive else "Negative"
      blocks.append(
          [
              self._block(f" {name} Example {number} -\n", shot)
              for number, shot in enumerate(shots[:count], 1)
          ]
      )
    return blocks

  def _block(self, title: str, shot: suite.Shot) -> str:
    """Returns the block of a solved example."""
    lines = [_ended("Input: ", shot.input), _ended(" Output: ", shot.output)]
    if self._data.explanations and shot.explanation.strip():
      lines.append(_ended(" Explanation: ", shot.explanation))
    return title + "".join(f"{line}\n" for line in lines) + "\n"

  def _fitting(
      self, head: str, kinds: list[list[str]], query: str
  ) -> list[str]:
    """Returns the blocks that fit."""
    # Nearly always all of them fit: try that first.
    all_blocks = sum(kinds, [])
    if all_blocks and self._fits(head + "".join(all_blocks) + query):
      return all_blocks
    fitting = []
    for blocks in kinds:
      for block in blocks:
        if not self._fits(head + "".join([*fitting, block]) + query):
          break
        fitting.append(block)
    return fitting

  def _fits(self, text: str) -> bool:
    return len(self._tokenizer.encode_batch([text])[0]) <= self._room

  def _cut(self, text: str) -> str:
    """Returns the first tokens of a text that is too long, as text."""
    ids = self._tokenizer.encode_batch([text])[0]
    if len(ids) <= self._room:
      return text
    self._counts["prompts_cut"] += 1
    return self._tokenizer.decode(ids[: self._room])


def _ended(label: str, text: str) -> str:
  """Returns the label and the stripped text, ending in punctuation."""
  line = label + text.strip()
  return line if line[-1] in string.punctuation else f"{line}."
