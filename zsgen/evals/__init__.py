"""Evaluations, in the loop and without one, by type."""

from zsgen.core import config, errors
from zsgen.evals import packed
from zsgen.evals.choice import Choice
from zsgen.evals.exact import Exact
from zsgen.evals.generate import Generate, decoding
from zsgen.evals.judge import Copy
from zsgen.evals.loss import Loss
from zsgen.train import watch

__all__ = ["check", "make"]

# Fields of config.Eval that only generation reads.
_DECODING = (
    "decoding",
    "max_new_tokens",
    "temperature",
    "top_k",
    "top_p",
    "penalty",
)


def check(name: str, spec: config.Eval) -> None:
  """Raises InputError for an option that is set and that nothing reads."""
  if spec.type == "generate":
    try:
      decoding(spec)
    except errors.InputError as error:
      raise errors.InputError(f"config.evals.{name}.{error}") from error
    return
  default = config.Eval()
  for field in _DECODING:
    if getattr(spec, field) != getattr(default, field):
      raise errors.InputError(
          f"config.evals.{name}.{field} is {getattr(spec, field)!r}, but only"
          " type='generate' reads it."
      )


def make(
    name: str, spec: config.Eval, place: packed.Place, seed: int
) -> watch.Evaluator:
  """The evaluation that the config names; it computes nothing yet.

  Args:
    name: path of its metrics.
    spec: what it is; `check` has seen it.
    place: what is read, and where it is computed.
    seed: of draws.

  Raises:
    InputError: there is no such held-out set, or it lacks what is evaluated.
  """
  if spec.type == "generate":
    return Generate(name, spec, place, seed)
  if spec.type == "choice":
    return Choice(name, spec, place)
  if spec.type == "exact":
    return Exact(name, spec, place)
  if spec.type == "loss":
    return Loss(name, spec, place)
  return Copy(name, spec, place.store)
