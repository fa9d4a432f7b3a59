"""Tests of zsgen.core.saved_config."""

import dataclasses
import json

import pytest

from zsgen.core import config, errors, registry, saved_config


def _flat_order(**options):
  """Returns the section `order` as versions before the registry wrote it."""
  values = dataclasses.asdict(config.build(config.Order))
  for kind in ("arrangement", "embedder"):
    for component in registry.components(kind):
      for field in dataclasses.fields(component.options):
        values.setdefault(field.name, field.default)
  return json.loads(json.dumps({**values, **options}))


def test_a_config_of_this_version_is_read_as_it_is():
  values = {"order": {"arrangement": "similarity", "pick": "farthest"}}
  expected = config.check(values)
  saved = json.loads(json.dumps(config.to_dict(expected)))
  assert saved_config.read(saved) == expected


def test_options_of_other_components_are_dropped_at_their_default():
  parts = [_flat_order(arrangement="random", per_task=3)]
  order = _flat_order(arrangement="concatenate", parts=parts)
  read = saved_config.read({"order": order}).order
  assert read == config.build(
      config.Order,
      arrangement="concatenate",
      parts=({"arrangement": "random", "per_task": 3},),
  )


def test_other_values_of_other_components_are_errors():
  order = _flat_order(arrangement="random", measure="cosine_min")
  with pytest.raises(errors.InputError, match=r"order\.measure is not an opt"):
    saved_config.read({"order": order})
  with pytest.raises(errors.InputError, match="ordr is not an option"):
    saved_config.read({"ordr": {}})
  with pytest.raises(errors.InputError, match="train the run again"):
    saved_config.read({"data": {"source": "no_longer"}})
