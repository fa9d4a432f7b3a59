"""Translates rotary positions to and from config.json."""

from collections.abc import Mapping
from typing import Any

from zsgen.core import config, errors

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
# Fields of config.Model and their names in rope_parameters.
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
# The defaults of optional fields.
_DEFAULTS = {"beta_slow": 1.0, "beta_fast": 32.0}
# Values that a field must have if it is there.
_REQUIRED = {"partial_rotary_factor": 1.0, "truncate": True}


def fields(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
  """Returns the fields of `config.Model` that define rotary positions.

  Args:
    settings: `rope_parameters`, or those of each kind of layer.
    source: the source of the settings, for messages.

  Raises:
    InputError: a type, or one of its fields, is not supported.
  """
  if _GLOBAL not in settings:
    return _read_layer(settings, source)
  global_fields = _read_layer(settings[_GLOBAL], source)
  if _LOCAL not in settings:
    return global_fields
  local_fields = _read_layer(settings[_LOCAL], source)
  if local_fields["rope_scaling"] != "none":
    raise errors.InputError(
        f"{source}: the rotary positions of local layers are"
        f" {local_fields['rope_scaling']!r}; only unscaled ones are supported."
        " Use another model."
    )
  return {**global_fields, "rope_local_theta": local_fields["rope_theta"]}


def describe(arch: config.Model) -> dict[str, Any]:
  """Returns the `rope_parameters` of an architecture."""
  names = {scaling: kind for kind, scaling in _TYPES.items()}
  settings = {
      "rope_type": names[arch.rope_scaling],
      "rope_theta": arch.rope_theta,
      **{
          key: getattr(arch, name)
          for name, key in _FIELDS[arch.rope_scaling].items()
      },
  }
  if not arch.rope_local_theta:
    return settings
  local_settings = {"rope_type": "default", "rope_theta": arch.rope_local_theta}
  return {_GLOBAL: settings, _LOCAL: local_settings}


def _read_layer(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
  """Returns the options of rotary positions of one kind of layer.

  Raises:
    InputError: settings are not supported, or damaged.
  """
  kind = settings.get("rope_type") or settings.get("type") or "default"
  scaling = errors.choose(_TYPES, kind, f"{source}: rope_type")
  names = _FIELDS[scaling]
  for field, value in settings.items():
    is_known = field in ("rope_type", "type", "rope_theta", *names.values())
    if not is_known and value is not None and _REQUIRED.get(field) != value:
      raise errors.InputError(
          f"{source}: rope_parameters.{field} is {value!r}, which is not"
          f" supported for rope_type {kind!r}. Use another model."
      )
  fields = {
      "rope_scaling": scaling,
      "rope_theta": float(settings["rope_theta"]),
  }
  for name, key in names.items():
    value = settings.get(key)
    value = _DEFAULTS.get(key) if value is None else value
    if not isinstance(value, int | float):
      raise errors.InputError(
          f"{source}: rope_parameters.{key} is {value!r}; rope_type {kind!r}"
          " needs a number there. The file is damaged; download it again."
      )
    fields[name] = int(value) if name == "rope_original" else float(value)
  return fields
