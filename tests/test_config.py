"""The schema: names, types, ranges, and what is science."""

import pytest

from zsgen import config as config_lib
from zsgen import errors


def test_defaults_pass():
  assert config_lib.check(config_lib.defaults()) == config_lib.Config()


def test_overrides_are_kept():
  config = config_lib.check({"train": {"learning_rate": 1, "batch_size": 8}})
  assert config.train.learning_rate == 1.0
  assert config.train.batch_size == 8
  assert config.order == config_lib.Order()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trian": {}}, r'config\.trian .* Did you mean "train"'),
        ({"train": {"learning_rte": 1.0}}, 'Did you mean "learning_rate"'),
        ({"train": {"batch_size": 1.5}}, "must be of type int"),
        ({"train": {"batch_size": True}}, "must be of type int"),
        ({"train": {"batch_size": 0}}, "must be at least 1"),
        ({"train": {"b1": 1.5}}, "must be at least 0 and below 1: at 1 the"),
        ({"train": {"learning_rate": float("nan")}}, "must be finite"),
        ({"train": {"loss_groups": 3}}, "must divide"),
        ({"order": {"pick": "near"}}, "one of: nearest, farthest"),
        ({"model": 3}, "must be a section"),
        ({"evals": {}}, "evals is empty"),
        ({"evals": {"a/b": {}}}, "cannot name a directory"),
        ({"evals": {"a": {"type": "los"}}}, r"config\.evals\.a\.type"),
        ({"evals": {"train": {}}}, "are taken"),
        ({"evals": {1: {}}}, "sections by name"),
        ({"seed": 2**32}, "and at most 4,294,967,295"),
        ({"name": ""}, "cannot name a directory"),
        ({"name": "a" * 65}, "1 to 64 letters"),
        ({"targets": {"x": {"metrik": "a"}}}, 'Did you mean "metric"'),
    ],
)
def test_bad_values_name_the_field(values, said):
  with pytest.raises(errors.InputError, match=said):
    config_lib.check(values)


def test_machine_options_are_no_science():
  base = config_lib.check({})
  machine = config_lib.check(
      {
          "data": {"feed": "seqio", "path": "/elsewhere"},
          "machine": {
              "mesh": {"fsdp": 2},
              "save_every": 7,
              "tensorboard": False,
          },
      }
  )
  assert config_lib.science(machine) == config_lib.science(base)
  assert "machine" not in config_lib.science(base)
  other = config_lib.check({"train": {"b2": 0.9}})
  assert config_lib.science(other) != config_lib.science(base)
