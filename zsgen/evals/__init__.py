"""Evaluations, in the loop and without one.

`api` has what an evaluator is; each evaluator is one file, registered by the
`type` that selects it in `config.evals`.
"""

import dataclasses
from typing import Any

from zsgen.core import config, errors, registry
from zsgen.evals import api

__all__ = ["check", "declaration", "make", "names"]

_KIND = "evaluator"


def names() -> tuple[str, ...]:
  """Returns the types of evaluations, in alphabetical order."""
  return registry.names(_KIND)


def declaration(spec: config.Eval) -> api.Declaration:
  """Returns what the evaluator of an evaluation declares.

  Raises:
    InputError: there is no such type.
  """
  return _component("", spec).build.declaration


def check(name: str, spec: config.Eval) -> None:
  """Raises InputError for an option that is wrong, or that nothing reads."""
  component = _component(name, spec)
  try:
    component.build.check(_options(name, spec, component))
  except errors.InputError as error:
    raise errors.InputError(f"config.evals.{name}.{error}") from error


def make(name: str, spec: config.Eval, context: api.Context) -> api.Evaluator:
  """Returns the evaluator that the config names; it computes nothing yet.

  Args:
    name: the first part of the paths of its metrics.
    spec: its options; `check` has seen them.
    context: what it reads, and where it computes.

  Raises:
    InputError: there is no such held-out set, or it lacks what is evaluated.
  """
  component = _component(name, spec)
  return component.build(name, _options(name, spec, component), context)


def _component(name: str, spec: config.Eval) -> registry.Component:
  where = f"config.evals.{name}.type" if name else "config.evals"
  return registry.component(_KIND, spec.type, where)


def _options(
    name: str, spec: config.Eval, component: registry.Component
) -> Any:
  """Returns the options of a component, from those of all of them."""
  own = {field.name for field in dataclasses.fields(component.options)}
  for field in dataclasses.fields(spec):
    value = getattr(spec, field.name)
    if field.name not in {"type", *own} and value != field.default:
      readers = [
          f"type={other.name!r}"
          for other in registry.components(_KIND)
          if hasattr(other.options, field.name)
      ]
      raise errors.InputError(
          f"{field.name} is {value!r}, but only {', '.join(readers)} reads it."
      )
  return component.options(**{each: getattr(spec, each) for each in own})
