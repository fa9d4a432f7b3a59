"""Rotary positions as config.json describes them."""

from collections.abc import Mapping
from typing import Any

from zsgen.core import config, errors

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
# Fields of config.Model, as rope_parameters calls them.
_LLAMA3 = {
    "rope_factor": "factor",
    "rope_low": "low_freq_factor",
    "rope_high": "high_freq_factor",
    "rope_original": "original_max_position_embeddings",
}
_FIELDS: dict[str, dict[str, str]] = {
    "none": {},
    "linear": {"rope_factor": "factor"},
    "llama3": _LLAMA3,
    "yarn": {**_LLAMA3, "rope_low": "beta_slow", "rope_high": "beta_fast"},
}
_TYPES = {"default": "none", **{name: name for name in list(_FIELDS)[1:]}}
# What a type may leave out, and what is meant then.
_ABSENT = {"beta_slow": 1.0, "beta_fast": 32.0}
# What may be there only if it says what is done anyway.
_MUST = {"partial_rotary_factor": 1.0, "truncate": True}


def fields(said: Mapping[str, Any], where: str) -> dict[str, Any]:
  """Fields of `config.Model` that say how positions turn.

  Args:
    said: `rope_parameters`, or those of each kind of layer.
    where: for messages.

  Raises:
    InputError: a type, or a field of it, that is not computed here.
  """
  if _GLOBAL not in said:
    return _one(said, where)
  found = _one(said[_GLOBAL], where)
  if _LOCAL not in said:
    return found
  local = _one(said[_LOCAL], where)
  if local["rope_scaling"] != "none":
    raise errors.InputError(
        f"{where}: the rotary positions of local layers are"
        f" {local['rope_scaling']!r}; only unscaled ones are computed here."
        " Use another model."
    )
  return {**found, "rope_local_theta": local["rope_theta"]}


def described(arch: config.Model) -> dict[str, Any]:
  """The `rope_parameters` of an architecture."""
  names = {mine: theirs for theirs, mine in _TYPES.items()}
  found = {
      "rope_type": names[arch.rope_scaling],
      "rope_theta": arch.rope_theta,
      **{
          theirs: getattr(arch, mine)
          for mine, theirs in _FIELDS[arch.rope_scaling].items()
      },
  }
  if not arch.rope_local_theta:
    return found
  local = {"rope_type": "default", "rope_theta": arch.rope_local_theta}
  return {_GLOBAL: found, _LOCAL: local}


def _one(said: Mapping[str, Any], where: str) -> dict[str, Any]:
  kind = said.get("rope_type") or said.get("type") or "default"
  scaling = errors.choose(_TYPES, kind, f"{where}: rope_type")
  names = _FIELDS[scaling]
  for field, value in said.items():
    known = field in ("rope_type", "type", "rope_theta", *names.values())
    if not known and value is not None and _MUST.get(field) != value:
      raise errors.InputError(
          f"{where}: rope_parameters.{field} is {value!r}, which is not"
          f" computed here for rope_type {kind!r}. Use another model."
      )
  found = {"rope_scaling": scaling, "rope_theta": float(said["rope_theta"])}
  for mine, theirs in names.items():
    value = said.get(theirs)
    value = _ABSENT.get(theirs) if value is None else value
    if not isinstance(value, int | float):
      raise errors.InputError(
          f"{where}: rope_parameters.{theirs} is {value!r}; rope_type {kind!r}"
          " needs a number there. The file is damaged; download it again."
      )
    found[mine] = int(value) if mine == "rope_original" else float(value)
  return found
