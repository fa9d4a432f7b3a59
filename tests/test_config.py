"""The schema: names, types, ranges, and what is science."""

import pytest

from zsgen.core import config as config_lib
from zsgen.core import errors


def test_defaults_pass():
  assert config_lib.check(config_lib.defaults()) == config_lib.Config()


def test_overrides_are_kept():
  config = config_lib.check({"train": {"learning_rate": 1, "batch_size": 8}})
  assert config.train.learning_rate == 1.0
  assert config.train.batch_size == 8
  assert config.order == config_lib.build(config_lib.Order)


@pytest.mark.parametrize(
    ("values", "message"),
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
        ({"evals": {"train": {}}}, "Choose another name"),
        ({"evals": {1: {}}}, "sections by name"),
        ({"seed": 2**32}, "and at most 4,294,967,295"),
        ({"name": ""}, "cannot name a directory"),
        ({"name": "a" * 65}, "1 to 64 letters"),
        ({"targets": {"x": {"metrik": "a"}}}, 'Did you mean "metric"'),
        ({"train": {"b1": 1.0}}, "b1 is 1.0; it must be at least 0 and below"),
        ({"train": {"b2": 1 - 1e-12}}, "b2 is 0.999999999999; it must be"),
        ({"train": {"eps": 0.0}}, "eps is 0.0; it must be above 0: a gradient"),
        ({"train": {"eps": 1e-40}}, "eps is 1e-40; it must be above 0"),
        ({"train": {"learning_rate": 1e39}}, "not finite as a float32"),
        ({"train": {"learning_rate": 10**400}}, "must be finite"),
        ({"train": {"batch_size": 10**30}}, "at most 1,048,576: the examples"),
        ({"train": {"warmup_steps": 10**30}}, "must fit into 64 bits"),
        ({"train": {"warmup_steps": 10**5000}}, "an integer of 16,610 bits"),
        ({"order": {"rounds": (0, 2**63)}}, r"rounds\[1\] .* 64 bits"),
        (
            {"order": {"arrangement": "file", "path": "a\0b"}},
            "must not contain a NUL",
        ),
        (
            {"order": {"arrangement": "file", "path": "gs://b/x.csv"}},
            "a URL; it must be a local path",
        ),
        ({"order": {"text": "x" * 10**5}}, r"…  ?\(100,002 characters\)"),
        (
            {"data": {"source": "seqio", "module": "x" * 5000}},
            "must have at most 4,096",
        ),
        ({"data": {"source": "seqio", "module": "\ud800"}}, "is not Unicode"),
        ({"lora": {"targets": "("}}, "not a regular expression: missing"),
        ({"lora": {"targets": "(?:" * 999 + ")" * 999}}, "not a regular expr"),
        (
            {
                "machine": {
                    "mesh": {"rules": ({"parameters": "x{9999999999}"},)}
                }
            },
            r"rules\[0\].parameters .* not a regular expression",
        ),
        ({"machine": {"micro_batches": 17}}, "at most config.train.batch_size"),
        (
            {"machine": {"hosts": {"count": 1, "index": 1}}},
            "index is 1; it must",
        ),
        ({"evals": {".": {}}}, "'.' cannot name a directory"),
        ({"evals": {"..": {}}}, "no '.' at the beginning"),
        ({"evals": {"a\0": {}}}, "section named 'a.x00'; a name is"),
        ({"name": "\U00020000" * 64}, "cannot name a directory"),
        (
            {"targets": {"x": {"above": 2.0, "below": 1.0}}},
            "no value is above 2 and below 1",
        ),
        (
            {"order": {"arrangement": "reverse", "parts": 3}},
            "parts must be a tuple, not 3",
        ),
        ({"order": {"arrangement": 3}}, "arrangement must be of type str"),
        (
            {"order": {"arrangement": "tmt", "measure": "wsd"}},
            "It is an option of arrangement='similarity'",
        ),
        (
            {"order": {"arrangement": "random", "encoder_dtype": "bfloat16"}},
            "an option of embedder='encoder' or 'minilm'",
        ),
    ],
)
def test_bad_values_name_the_field(values, message):
  with pytest.raises(errors.InputError, match=message):
    config_lib.check(values)


def test_the_depth_of_nested_parts_is_limited():
  order = {}
  for _ in range(100):
    order = {"arrangement": "reverse", "parts": (order,)}
  with pytest.raises(errors.InputError, match="nested more than 32 deep"):
    config_lib.check({"order": order})


def test_ranges_include_their_ends():
  config = config_lib.check(
      {"train": {"b1": 0.0, "clip": 0.0, "eps": 1e-30, "batch_size": 2**20}}
  )
  assert config.train.b1 == config.train.clip == 0.0


def test_machine_options_are_not_part_of_the_science():
  base = config_lib.check({"data": {"source": "table"}})
  machine = config_lib.check(
      {
          "data": {"source": "table", "feed": "seqio", "path": "/elsewhere"},
          "plugins": (),
          "machine": {
              "mesh": {"fsdp": 2},
              "save_every": 7,
              "tensorboard": False,
          },
      }
  )
  assert config_lib.science(machine) == config_lib.science(base)
  assert "machine" not in config_lib.science(base)
  changed = config_lib.check({"train": {"b2": 0.9}})
  assert config_lib.science(changed) != config_lib.science(base)
