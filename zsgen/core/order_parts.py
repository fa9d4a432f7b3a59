"""Parts of an order look at what the order looks at."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from zsgen.core import errors, registry

# Parts inside of parts of an order.
_DEEPEST = 32
# What an order looks at; its parts do too, unless they set it themselves.
_LOOKING = ("target", "target_task", "text", "embedder")


def inherit(order: Any, embedder: str, depth: int = 0) -> Any:
  """Gives the parts of an order what they do not set: what is looked at.

  Args:
    order: the options of config.order, not checked yet.
    embedder: the embedder of an order that does not set one.
    depth: the number of orders that this one is a part of.

  Returns:
    The same options, those of the parts completed.

  Raises:
    InputError: parts are nested too deep, or an embedder is unknown.
  """
  if depth > _DEEPEST:
    raise errors.InputError(
        f"config.order.parts are nested more than {_DEEPEST} deep. Nest"
        " fewer parts."
    )
  if not isinstance(order, Mapping) or not order.get("parts"):
    return order
  if not isinstance(order["parts"], list | tuple):
    return order  # The schema names the type that it must have.
  parts = [
      inherit(
          {**_looked_at(order, part, embedder), **part}, embedder, depth + 1
      )
      if isinstance(part, Mapping)
      else part
      for part in order["parts"]
  ]
  return {**order, "parts": parts}


def _looked_at(
    order: Mapping[str, Any], part: Mapping[str, Any], default: str
) -> dict[str, Any]:
  """Returns the options that a part of an order has from the order.

  Those of the embedder are among them if the part has the same embedder.
  """
  names = set(_LOOKING)
  embedder = order.get("embedder", default)
  if not isinstance(embedder, str):
    return {}  # The schema names the type that it must have.
  if embedder and part.get("embedder", embedder) == embedder:
    component = registry.component(
        "embedder", embedder, "config.order.embedder"
    )
    names |= {field.name for field in dataclasses.fields(component.options)}
  return {name: order[name] for name in names if name in order}
