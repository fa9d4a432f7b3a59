"""Tests of zsgen.core.sections: what config files may set, and when."""

import copy
import pickle

import pytest

import zsgen
from zsgen.core import config as config_lib
from zsgen.core import errors, schema, sections


def test_defaults_are_those_of_the_schema():
  config = zsgen.default_config()
  assert config_lib.check(config) == config_lib.Config()
  assert not sections.notices(config)


def test_a_selector_determines_the_options():
  config = zsgen.default_config()
  config.order.arrangement = "similarity"
  config.order.measure = "cosine_min"
  assert config_lib.check(config).order.measure == "cosine_min"
  with pytest.raises(schema.UnknownOption, match="'scored' or 'tmt'"):
    config.order.sequence = "reversed"
  with pytest.raises(AttributeError, match='Did you mean "measure"'):
    config.order.mesure = "wsd"
  with pytest.raises(errors.InputError, match='Did you mean "similarity"'):
    config.order.arrangement = "similarty"
  assert config.order.arrangement == "similarity"


def test_values_of_shared_options_are_kept_and_others_dropped():
  config = zsgen.default_config()
  config.order.budget = 40
  config.order.sequence = "reversed"
  config.order.arrangement = "random"
  assert config.order.budget == 40
  assert "sequence" not in config.order
  (notice,) = sections.notices(config)
  assert notice.startswith("config.order: sequence='reversed' is dropped")
  config_lib.check(config)


def test_options_at_their_default_are_dropped_without_a_notice():
  config = zsgen.default_config()
  config.order.arrangement = "random"
  config.order.arrangement = "tmt"
  assert config == zsgen.default_config()
  assert not sections.notices(config)


def test_selectors_come_first_whatever_the_sequence():
  config = zsgen.default_config()
  config.order = {"measure": "wsd", "arrangement": "similarity"}
  config.update(
      order={"per_task": 3, "by": "category", "arrangement": "cluster"}
  )
  assert config.order.per_task == 3
  assert config.order.by == "category"


def test_a_section_that_is_set_has_defaults_otherwise():
  config = zsgen.default_config()
  config.train.batch_size = 8
  config.train = {"learning_rate": 1.0}
  assert config.train.batch_size == config_lib.Train.batch_size
  config.update(train={"batch_size": 2})
  assert config.train.learning_rate == 1.0
  with pytest.raises(errors.InputError, match="train must be a section"):
    config.train = 3


def test_sections_by_name():
  config = zsgen.default_config()
  config.evals.other = {"split": "heldout_family"}
  assert config.evals.other.max_examples == -1
  del config.evals["heldout"]
  assert [*config_lib.check(config).evals] == ["other"]
  with pytest.raises(schema.UnknownOption, match="splitt is not an option"):
    config.evals.third = {"splitt": "x"}
  with pytest.raises(schema.UnknownOption, match="has no 'heldout'; it has: o"):
    config.evals.heldout.split = "x"


def test_types_are_checked_where_they_are_set():
  config = zsgen.default_config()
  config.train.learning_rate = 1
  with pytest.raises(errors.InputError, match="batch_size must be of type int"):
    config.train.batch_size = "8"


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, copy.copy, lambda c: pickle.loads(pickle.dumps(c))],
)
def test_copies_are_independent(duplicate):
  config = zsgen.default_config()
  config.order.arrangement = "random"
  config.sweep = {"orders": {"a": {}}, "seeds": (0,)}
  del config.evals["heldout"]
  config.lock()
  copied = duplicate(config)
  assert copied == config
  assert copied.is_locked
  copied.order.arrangement = "tmt"
  assert config.order.arrangement == "random"


def test_selectors_of_a_command_line():
  config = zsgen.default_config()
  config.order.sequence = "reversed"
  config.lock()
  overrides = [("order.budget", "8"), ("order.arrangement", "similarity")]
  sections.select(config, [*overrides, ("no.such", "x")])
  assert config.order.arrangement == "similarity"
  assert config.get_type is not None
  assert config.order.get_type("measure") is str
  with pytest.raises(schema.UnknownOption, match=r"config\.order\.sequence"):
    config.order.get_type("sequence")
  assert len(sections.notices(config)) == 1
