"""Mesh of devices, and where each parameter lies on it."""

from collections.abc import Sequence
import math
import re
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from zsgen.core import config, errors

AXES = ("data", "fsdp", "tensor")
_ROWS = ("data", "fsdp")
# Which mesh axis splits each axis of a parameter. A pattern is of the whole
# path; each parameter matches exactly one. Blocks stand under blocks/ with
# their repeats as first axis, which the scan needs whole; those left over
# stand under rest_0, rest_1, ….
_KERNELS = (
    (r"attention/(query|key|value)", ("fsdp",), ("tensor", None)),
    (r"attention/out", ("tensor", None), ("fsdp",)),
    (r"mlp/(up|gate)", ("fsdp",), ("tensor",)),
    (r"mlp/down", ("tensor",), ("fsdp",)),
)
_HEAD = (r"head", ("fsdp",), ("tensor",))


def _projection(
    name: str, inputs: tuple[str | None, ...], outputs: tuple[str | None, ...]
) -> tuple[tuple[str, tuple[str | None, ...]], ...]:
  """Rules of a kernel and its adapter, whose rank is never split."""
  return (
      (rf"{name}/kernel", (*inputs, *outputs)),
      (rf"{name}/lora_a", (*inputs, None)),
      (rf"{name}/lora_b", (None, *outputs)),
  )


_BLOCK = (
    (r"(attention|mlp)(_post)?_norm/(scale|bias)", (None,)),
    *(rule for each in _KERNELS for rule in _projection(*each)),
    (r"attention/(query|key|value)/bias", ("tensor", None)),
    (r"attention/(query|key)_norm/scale", (None,)),
    (r"attention/out/bias", (None,)),
    (r"mlp/(up|gate)/bias", ("tensor",)),
    (r"mlp/down/bias", (None,)),
)
RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (r"embedding", ("tensor", "fsdp")),
    (r"positions", (None, "fsdp")),
    *((rf"blocks/\d+/{name}", (None, *axes)) for name, axes in _BLOCK),
    *((rf"rest_\d+/{name}", axes) for name, axes in _BLOCK),
    (r"final_norm/(scale|bias)", (None,)),
    *_projection(*_HEAD),
)


def make(
    shape: config.Mesh, devices: "Sequence[jax.Device] | None" = None
) -> jax.sharding.Mesh:
  """A mesh with the axes data, fsdp and tensor, all of type Auto.

  Args:
    shape: devices on each axis; one may be -1, for those that are left.
    devices: all there are by default.

  Raises:
    InputError: the axes do not multiply to the number of devices.
  """
  devices = list(jax.devices() if devices is None else devices)
  sizes = [getattr(shape, axis) for axis in AXES]
  known = math.prod(size for size in sizes if size != -1)
  if sizes.count(-1) == 1 and known and len(devices) % known == 0:
    sizes[sizes.index(-1)] = len(devices) // known
  if min(sizes) < 1 or math.prod(sizes) != len(devices):
    asked = ", ".join(f"{axis}={getattr(shape, axis)}" for axis in AXES)
    raise errors.InputError(
        f"config.machine.mesh is {asked}, but there are {len(devices)}"
        " devices: the axes must multiply to that number; one of them may be"
        " -1, which takes what is left."
    )
  types = (AxisType.Auto,) * len(AXES)
  return jax.make_mesh(sizes, AXES, axis_types=types, devices=devices)


def shardings(
    shapes: Any, mesh: jax.sharding.Mesh, rules: Sequence[config.Rule] = ()
) -> Any:
  """The sharding of each parameter.

  Args:
    shapes: the parameters, or their shapes, as nested dictionaries.
    mesh: made by `make`.
    rules: of the config; () for `RULES`.

  Returns:
    The same tree of NamedShardings.

  Raises:
    InputError: names a parameter that no rule or several match, or that its
      axes do not divide.
  """

  def one(path: tuple, leaf: Any) -> NamedSharding:
    name = _name(path)
    axes = _axes(name, leaf.ndim, rules)
    _check_divides(name, leaf.shape, axes, mesh)
    return NamedSharding(mesh, PartitionSpec(*axes))

  return jax.tree_util.tree_map_with_path(one, shapes)


def check_rules(shapes: Any, rules: Sequence[config.Rule]) -> None:
  """Raises InputError for a rule of the config that no parameter matches.

  Args:
    shapes: of all parameters.
    rules: of the config. `RULES` are for all models: there it is no error.
  """
  unused = unused_rules(shapes, [rule.parameters for rule in rules])
  if unused:
    place = [rule.parameters for rule in rules].index(unused[0])
    raise errors.InputError(
        f"config.machine.mesh.rules[{place}].parameters is {unused[0]!r}, which"
        " matches no parameter as a whole. There are:"
        f" {', '.join(_names(shapes))}."
    )


def unused_rules(shapes: Any, patterns: Sequence[str]) -> list[str]:
  """The patterns that no parameter of the tree matches."""
  names = _names(shapes)
  return [
      pattern
      for pattern in patterns
      if not any(re.fullmatch(pattern, name) for name in names)
  ]


def batch_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Of arrays [B, ...] whose rows lie over the axes data and fsdp."""
  return NamedSharding(mesh, PartitionSpec(_ROWS))


def row_shards(mesh: jax.sharding.Mesh) -> int:
  """Parts that the rows of a batch are split into."""
  return math.prod(mesh.shape[axis] for axis in _ROWS)


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Of arrays that every device holds whole."""
  return NamedSharding(mesh, PartitionSpec())


def put(tree: Any, shardings: Any) -> Any:
  """Arrays on a mesh, of which each process has given its part.

  Args:
    tree: NumPy arrays, the same in every process.
    shardings: of each.
  """
  places = jax.tree.leaves(shardings)
  if all(place.is_fully_addressable for place in places):
    return jax.device_put(tree, shardings)
  return jax.tree.map(
      lambda each, place: jax.make_array_from_callback(
          each.shape, place, each.__getitem__
      ),
      tree,
      shardings,
  )


def fetch(tree: Any) -> Any:
  """Arrays whose whole every process can read; on one host as they are.

  On several they become NumPy arrays one by one: devices hold one of them
  whole at a time. All processes must call this.
  """
  return jax.tree.map(
      lambda each: (
          each
          if each.is_fully_addressable
          else multihost_utils.process_allgather(each, tiled=True)
      ),
      tree,
  )


def _name(path: tuple) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")


def _names(shapes: Any) -> list[str]:
  paths, _ = jax.tree_util.tree_flatten_with_path(shapes)
  return [_name(path) for path, _ in paths]


def _axes(
    name: str, ndim: int, rules: Sequence[config.Rule]
) -> tuple[str | None, ...]:
  """Mesh axes of a parameter, by the one rule that matches it."""
  where, known = "zsgen.core.mesh.RULES", RULES
  if rules:
    where = "config.machine.mesh.rules"
    known = [
        (rule.parameters, tuple(axis or None for axis in rule.axes))
        for rule in rules
    ]
  found = [rule for rule in known if re.fullmatch(rule[0], name)]
  if len(found) != 1:
    raise errors.InputError(
        f"parameter {name} matches {len(found)} rules of {where}"
        f" {[pattern for pattern, _ in found]}; it must match exactly one."
    )
  pattern, axes = found[0]
  if len(axes) != ndim:
    raise errors.InputError(
        f"parameter {name} has {ndim} axes, but the rule {pattern!r} of"
        f" {where} is for {len(axes)}."
    )
  return axes


def _check_divides(
    name: str,
    shape: tuple[int, ...],
    axes: tuple[str | None, ...],
    mesh: jax.sharding.Mesh,
) -> None:
  """Raises if a mesh axis does not divide the axis that it splits."""
  for place, (size, axis) in enumerate(zip(shape, axes, strict=True)):
    if axis and size % mesh.shape[axis]:
      raise errors.InputError(
          f"config.machine.mesh.{axis} is {mesh.shape[axis]}, which does not"
          f" divide axis {place} of parameter {name} {tuple(shape)}: {size}."
          " Use fewer devices on that axis."
      )
