"""Predictors without a model, which copy a part of the example.

Published beside models' scores (2204.07705, heuristics), they check prompts,
references and scorer from outside.
"""

from typing import Any

from zsgen.core import config, errors, registry
from zsgen.evals import api, judge


class Copy(judge.Judged):
  """Answers with a part of the example.

  Attributes:
    part: the attribute of `Store.answered` that is the answer.

  Raises:
    InputError: no example of the set has this part.
  """

  part: str

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    super().__init__(name, spec, context)
    parts = [getattr(example, self.part) for example in self.answered]
    if not any(parts):
      raise errors.InputError(
          f"config.evals.{name}: no example of {spec.split!r} has a solved"
          " one to copy from; only the source niv2 has."
      )
    self._answers = [part or "" for part in parts]

  def __call__(self, params: Any) -> api.Evaluation:
    """Returns the same evaluation, whatever the parameters."""
    del params
    return self.judge(self._answers)


@registry.evaluator("copy_input", options=judge.JudgedOptions)
class CopyInput(Copy):
  """Answers with the example's input."""

  part = "input"


@registry.evaluator("copy_first_example", options=judge.JudgedOptions)
class CopyFirstExample(Copy):
  """Answers with the answer of the example's first solved one."""

  part = "first_example"
