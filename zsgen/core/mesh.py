"""The mesh of devices, and the sharding of parameters over it."""

from collections.abc import Sequence
import math
import re
from typing import Any, TypeAlias

import jax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from zsgen.core import config, errors, slices

# The type of `jax.devices()`, which JAX does not show to type checkers.
Device: TypeAlias = Any

AXES = ("data", "fsdp", "context", "tensor")
_ROWS, _POSITIONS = ("data", "fsdp"), "context"
# The mesh axis that splits each axis of a parameter. A pattern matches the
# whole path, and each parameter matches exactly one. Repeated blocks are under
# blocks/, stacked along the first axis, which the scan needs unsplit; the
# remaining blocks are under rest_0, rest_1, …. What fsdp splits is split over
# context too: the devices of a row compute with the same parameters.
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
  """Returns the rules of a kernel and of its adapter, whose rank is never
  split.
  """
  return (
      (rf"{name}/kernel", (*inputs, *outputs)),
      (rf"{name}/lora_a", (*inputs, None)),
      (rf"{name}/lora_b", (None, *outputs)),
  )


_BLOCK = (
    (r"(attention|mlp)(_post)?_norm/(scale|bias)", (None,)),
    *(rule for kernel in _KERNELS for rule in _projection(*kernel)),
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
    shape: config.Mesh, devices: Sequence[Device] | None = None
) -> jax.sharding.Mesh:
  """Makes a mesh with the axes of `AXES`, all of type Auto.

  Args:
    shape: number of devices on each axis; one of them may be -1, for all
      remaining devices. An axis that several slices split has so many in each
      of them.
    devices: the devices; all of them by default.

  Raises:
    InputError: the product of the axes is not the number of devices, or the
      number of slices is wrong (`slices.check`).
  """
  devices = list(jax.devices() if devices is None else devices)
  slices.check(shape, devices)
  sizes = _sizes(shape, len(devices))
  types = (AxisType.Auto,) * len(AXES)
  if slices.count(shape) == 1:
    return jax.make_mesh(sizes, AXES, axis_types=types, devices=devices)
  array = slices.arrange(sizes, slices.sizes(shape, AXES), devices)
  return jax.sharding.Mesh(array, AXES, axis_types=types)


def _sizes(shape: config.Mesh, devices: int) -> list[int]:
  """Returns the size of each axis within a slice.

  Raises:
    InputError: their product is not the number of devices of a slice.
  """
  count = devices // slices.count(shape)
  sizes = [getattr(shape, axis) for axis in AXES]
  product = math.prod(size for size in sizes if size != -1)
  if sizes.count(-1) == 1 and product and count % product == 0:
    sizes[sizes.index(-1)] = count // product
  if min(sizes) < 1 or math.prod(sizes) != count:
    description = ", ".join(f"{axis}={getattr(shape, axis)}" for axis in AXES)
    where = " in each slice" if slices.count(shape) > 1 else ""
    raise errors.InputError(
        f"config.machine.mesh is {description}, but there are {count}"
        f" devices{where}. The product of the axes must be that number; one of"
        " them may be -1, for all remaining devices."
    )
  return sizes


def shardings(
    shapes: Any, mesh: jax.sharding.Mesh, rules: Sequence[config.Rule] = ()
) -> Any:
  """Returns the sharding of each parameter.

  Args:
    shapes: the parameters, or their shapes, as nested dictionaries.
    mesh: a mesh from `make`.
    rules: the rules of the config; () for `RULES`.

  Returns:
    The same tree of NamedShardings.

  Raises:
    InputError: a parameter matches no rule or several, or the mesh does not
      divide its axes.
  """

  def shard(path: tuple, leaf: Any) -> NamedSharding:
    """Returns the sharding of the parameter at a path."""
    name = _name(path)
    axes = _over_context(_axes(name, leaf.ndim, rules), mesh)
    _check_divides(name, leaf.shape, axes, mesh)
    return NamedSharding(mesh, PartitionSpec(*axes))

  return jax.tree_util.tree_map_with_path(shard, shapes)


def check_rules(shapes: Any, rules: Sequence[config.Rule]) -> None:
  """Raises InputError for a rule of the config that no parameter matches.

  Args:
    shapes: shapes of all parameters.
    rules: the rules of the config. Unused `RULES` are not errors, because they
      are for all models.
  """
  unused = unused_rules(shapes, [rule.parameters for rule in rules])
  if unused:
    index = [rule.parameters for rule in rules].index(unused[0])
    raise errors.InputError(
        f"config.machine.mesh.rules[{index}].parameters is {unused[0]!r}, which"
        " fully matches no parameter. The parameters are:"
        f" {', '.join(_names(shapes))}."
    )


def unused_rules(shapes: Any, patterns: Sequence[str]) -> list[str]:
  """Returns the patterns that no parameter of the tree matches."""
  names = _names(shapes)
  return [
      pattern
      for pattern in patterns
      if not any(re.fullmatch(pattern, name) for name in names)
  ]


def batch_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Returns the sharding of arrays [B, ...], rows over the axes data and fsdp."""
  return NamedSharding(mesh, PartitionSpec(_ROWS))


def position_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Returns the sharding of arrays [B, T, ...], positions over context."""
  return NamedSharding(mesh, PartitionSpec(_ROWS, _POSITIONS))


def group_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Returns the sharding of arrays [G, ...], shares of row groups over devices."""
  return NamedSharding(mesh, PartitionSpec((*_ROWS, _POSITIONS)))


def with_whole_rows(mesh: jax.sharding.Mesh) -> jax.sharding.Mesh:
  """Returns a mesh of the same devices whose fsdp takes those of context.

  Evaluations have rows enough for all devices, so they split none.
  """
  if position_shards(mesh) == 1:
    return mesh
  data, fsdp, context, tensor = (mesh.shape[axis] for axis in AXES)
  devices = mesh.devices.reshape(data, fsdp * context, 1, tensor)
  return jax.sharding.Mesh(
      devices, AXES, axis_types=(AxisType.Auto,) * len(AXES)
  )


def position_shards(mesh: jax.sharding.Mesh) -> int:
  """Returns the number of parts into which the positions of a row are split."""
  return mesh.shape[_POSITIONS]


def row_shards(mesh: jax.sharding.Mesh) -> int:
  """Returns the number of parts into which the rows of a batch are split."""
  return math.prod(mesh.shape[axis] for axis in _ROWS)


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
  """Returns the sharding of arrays that every device holds in full."""
  return NamedSharding(mesh, PartitionSpec())


def put(tree: Any, shardings: Any) -> Any:
  """Puts arrays on a mesh, to which each process contributes its part.

  Args:
    tree: NumPy arrays, the same in every process.
    shardings: the sharding of each array.
  """
  leaves = jax.tree.leaves(shardings)
  if all(sharding.is_fully_addressable for sharding in leaves):
    return jax.device_put(tree, shardings)
  return jax.tree.map(
      lambda array, sharding: jax.make_array_from_callback(
          array.shape, sharding, array.__getitem__
      ),
      tree,
      shardings,
  )


def fetch(tree: Any) -> Any:
  """Returns arrays that every process can read in full.

  On one host they are returned as they are. On several, they become NumPy
  arrays one by one, so that devices hold only one of them in full. All
  processes must call this.
  """
  return jax.tree.map(
      lambda array: (
          array
          if array.is_fully_addressable
          else multihost_utils.process_allgather(array, tiled=True)
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
  """Returns the mesh axes of a parameter, by the only rule that matches it."""
  source, candidates = "zsgen.core.mesh.RULES", RULES
  if rules:
    source = "config.machine.mesh.rules"
    candidates = [
        (rule.parameters, tuple(axis or None for axis in rule.axes))
        for rule in rules
    ]
  matches = [rule for rule in candidates if re.fullmatch(rule[0], name)]
  if len(matches) != 1:
    raise errors.InputError(
        f"parameter {name} matches {len(matches)} rules of {source}"
        f" {[pattern for pattern, _ in matches]}; it must match exactly one."
    )
  pattern, axes = matches[0]
  if len(axes) != ndim:
    raise errors.InputError(
        f"parameter {name} has {ndim} axes, but the rule {pattern!r} of"
        f" {source} is for {len(axes)}."
    )
  return axes


def _over_context(
    axes: tuple[str | None, ...], mesh: jax.sharding.Mesh
) -> tuple[str | tuple[str, ...] | None, ...]:
  """Splits over context too what fsdp splits, if rows are split."""
  if position_shards(mesh) == 1:
    return axes
  return tuple(
      ("fsdp", _POSITIONS) if axis == "fsdp" else axis for axis in axes
  )


def _check_divides(
    name: str,
    shape: tuple[int, ...],
    axes: tuple[str | tuple[str, ...] | None, ...],
    mesh: jax.sharding.Mesh,
) -> None:
  """Raises InputError if a mesh axis does not divide the axis that it splits."""
  for number, (size, axis) in enumerate(zip(shape, axes, strict=True)):
    names = (axis,) if isinstance(axis, str) else axis or ()
    parts = math.prod(mesh.shape[part] for part in names)
    if size % parts:
      raise errors.InputError(
          f"config.machine.mesh.{' x '.join(names)} is {parts}, which does not"
          f" divide axis {number} of parameter {name} {tuple(shape)}: {size}."
          " Use fewer devices on that axis."
      )
