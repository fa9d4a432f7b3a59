"""Separate seeds: of the data, of the held-out sets, of the order, of training."""

import numpy as np
import pytest

from launch import sweep
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import prepare, suite
from zsgen.data.sources import draws, synth
from zsgen.evals import subsets
from zsgen.orders import order as order_lib


def _checked(**options):
  config = config_lib.defaults()
  config.unlock()
  for name, value in options.items():
    section, _, option = name.rpartition("__")
    (config[section] if section else config)[option] = value
  return config_lib.check(config)


def test_all_seeds_are_config_seed_by_default():
  config = _checked(seed=5)
  assert config.data_seed == config.order_seed == config.init_seed == 5
  assert config.data.heldout_seed is None
  config = _checked(seed=5, data__seed=1, order__seed=2)
  assert (config.data_seed, config.order_seed, config.init_seed) == (1, 2, 5)
  config = _checked(train__seed=3, model__init="new")
  assert (config.seed, config.init_seed) == (0, 3)


def test_names_change_only_if_a_seed_is_set():
  plain = config_lib.science(_checked())
  assert "seed" not in plain["data"] and "seed" not in plain["order"]
  assert "draw" not in plain["evals"]["heldout"]
  names = {
      config_lib.run_name(_checked(**options))
      for options in (
          {},
          {"order__seed": 0},
          {"data__seed": 0},
          {"data__heldout_seed": 0},
          {"train__seed": 0, "model__init": "new"},
      )
  }
  assert len(names) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train__seed": 1}, "nothing is drawn"),
        ({"order__seed": -1}, "config.order.seed is -1"),
        ({"data__heldout_seed": 2**32}, "config.data.heldout_seed"),
    ],
)
def test_seeds_without_effect_are_errors(options, message):
  with pytest.raises(errors.InputError, match=message):
    _checked(**options)


def test_parts_of_an_order_have_no_seed():
  part = {"arrangement": "random", "budget": 4, "seed": 1}
  inner = {"arrangement": "reverse", "parts": (part,)}
  with pytest.raises(errors.InputError, match=r"parts\[0\].parts\[0\].seed"):
    config_lib.check({"order": {"arrangement": "reverse", "parts": (inner,)}})


def _texts(seed, heldout_seed):
  data = config_lib.check(
      {"data": {"train_instances": 2, "heldout_seed": heldout_seed}}
  ).data
  inputs = {}
  for example in synth.synth(data, seed).examples():
    is_train = example.split == suite.TRAIN
    inputs.setdefault(is_train, []).append(example.input)
  return inputs[True], inputs[False]


def test_held_out_instances_have_their_own_seed():
  training, heldout = _texts(1, None)
  assert _texts(1, 1) == (training, heldout)
  other_training, other_heldout = _texts(2, 1)
  assert other_heldout == heldout and other_training != training
  assert _texts(1, 2)[0] == training and _texts(1, 2)[1] != heldout


@pytest.mark.parametrize("name", draws.DRAWS)
def test_every_draw_takes_a_seed_of_the_held_out_sets(name):
  counts = {"a": 30, "b": 20}, {"c": 40, "d": 10}

  def draw_rows(*seeds):
    picked = draws.draw(name, counts, (5, 5), *seeds)
    return [{task: list(picked[task]) for task in tasks} for tasks in counts]

  training, heldout = draw_rows(1, 7)
  assert draw_rows(2, 7)[1] == heldout
  assert draw_rows(1, 8)[0] == training
  if name != "first":
    assert draw_rows(1, 8)[1] != heldout
  if name != "sample":  # Its training tasks take from the same generator.
    assert draw_rows(7)[1] == heldout


def test_orders_of_one_store_by_several_seeds(tmp_path):
  config = _checked(data__train_instances=2, order__arrangement="random")
  store = prepare.prepare(tmp_path / "stores", config.data, config.data_seed)
  ids = [
      order_lib.make(tmp_path, store, config.order, seed).ids.tolist()
      for seed in (0, 1)
  ]
  assert ids[0] != ids[1] and sorted(ids[0]) == sorted(ids[1])


class TestDraws:
  """Random draws of a held-out set's examples."""

  ids = np.arange(100, 160)
  tasks = np.repeat([3, 1, 2], 20)

  def draw(self, **options):
    spec = config_lib.build(config_lib.Eval, **options)
    return subsets.draw(self.ids, self.tasks, spec)

  def test_matches_the_shuffle_of_the_library(self):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"id": self.ids})
    expected = rows.shuffle(seed=1).select(range(12))["id"]
    assert self.draw(draw=1, max_examples=12).tolist() == sorted(expected)

  def test_takes_the_first_of_each_task(self):
    sequence = np.random.default_rng(2).permutation(60)
    expected = [
        self.ids[row]
        for task in (3, 1, 2)
        for row in [row for row in sequence if self.tasks[row] == task][:5]
    ]
    assert self.draw(draw=2, per_task=5).tolist() == sorted(expected)
    assert self.draw(per_task=2).tolist() == [100, 101, 120, 121, 140, 141]
    assert self.draw(per_task=2, max_examples=4).tolist() == [
        *(100, 101, 120, 140)
    ]

  def test_seeds_differ_and_repeat(self):
    actual = [self.draw(draw=seed, max_examples=9).tolist() for seed in (0, 1)]
    assert actual[0] != actual[1]
    assert actual[0] == self.draw(draw=0, max_examples=9).tolist()
    assert self.draw().tolist() == self.ids.tolist()
    assert self.draw(draw=0).tolist() == self.ids.tolist()

  def test_bad_numbers(self):
    with pytest.raises(errors.InputError, match="per_task is 0"):
      config_lib.check({"evals": {"heldout": {"per_task": 0}}})


def test_a_sweep_moves_the_held_out_draw_only_if_asked():
  config = config_lib.defaults()
  config.seed = 9
  config.sweep = {"orders": {"a": {}}, "seeds": (0, 1)}
  points = [point for _, point in sweep.points(config)]
  assert [point.data_seed for point in points] == [0, 1]
  assert [point.data.heldout_seed for point in points] == [9, 9]
  config.sweep.vary_heldout = True
  points = [point for _, point in sweep.points(config)]
  assert [point.data.heldout_seed for point in points] == [None, None]
  config.sweep = {"orders": {"a": {}}, "seeds": (0, 1), "vary_heldout": 1}
  with pytest.raises(errors.InputError, match="vary_heldout is 1"):
    sweep.points(config)
