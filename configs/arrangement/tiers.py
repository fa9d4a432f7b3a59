"""Tiers of the experiments of 2406.11721: four sizes, their data and base.

This file is not an experiment. The files next to it load it by path, so that
they can be run from any directory.

  smoke  the embedded suite and base, on a CPU: only shows that everything works
  nano   Natural Instructions and SmolLM2-135M, on a CPU
  mini   Natural Instructions and SmolLM2-1.7B, on one accelerator
  paper  Flan-mini and Llama 2 7B, with the published settings

For nano, `make base` downloads the model, and --config.data.path=CLONE names a
clone of allenai/natural-instructions. For paper, --config.data.path=DIR names a
directory with flan_mini.json and train_eval_key_list.json.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ml_collections

from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.models import base as base_lib

Config = ml_collections.ConfigDict
Options = dict[str, Any]

_SETTINGS = ("NFT", "FFT", "RT", "MIN", "MAX")


class Tier(NamedTuple):
  """One size of all experiments.

  Attributes:
    setup: sets data, model and optimizer.
    budget: training examples of a run.
    every: steps between evaluations.
    seeds: seeds of the runs whose results count.
    slice_budget: training examples of a run on a few rounds of TMT.
  """

  setup: Callable[[Config], None]
  budget: int
  every: int
  seeds: tuple[int, ...]
  slice_budget: int


def base(experiment: str, tier: str) -> Config:
  """Returns what all points of an experiment have in common, in one tier.

  Args:
    experiment: names the sweep, together with the tier.
    tier: a name in `TIERS`.

  Returns:
    An experiment without a sweep.

  Raises:
    InputError: there is no such tier.
  """
  size = choose(tier)
  config = config_lib.defaults()
  config.name = f"arrangement_{experiment}_{tier}"
  size.setup(config)
  config.order.budget = size.budget
  config.order.trace_every = size.every
  config.evals.heldout.every_steps = size.every
  return config


def choose(tier: str) -> Tier:
  """Returns a tier by its name.

  Raises:
    InputError: there is no such tier.
  """
  return errors.choose(TIERS, tier, "the tier, --config=FILE:TIER")


def sweep_orders(
    config: Config, orders: Mapping[str, Options], tier: str
) -> Config:
  """Adds the section `sweep`: orders by name, under the tier's seeds."""
  points = {name: {"order": order} for name, order in orders.items()}
  return sweep_points(config, points, tier)


def sweep_points(
    config: Config, points: Mapping[str, Options], tier: str
) -> Config:
  """Adds the section `sweep`: points by name, under the tier's seeds."""
  config.sweep = {"points": dict(points), "seeds": choose(tier).seeds}
  return config


def sample_each_task(config: Config) -> None:
  """Trains on 20 examples of each task, with all turns (E2, E4, E5)."""
  config.data.train_instances = 20
  config.data.turns = "all"
  config.order.budget = -1


def sample_first(config: Config) -> None:
  """Trains on the first 20 examples of each task, as E1 and E2 do."""
  sample_each_task(config)
  config.data.draw = "first_shuffle"
  config.data.max_length = 1024
  config.train.loss_groups = 1  # One device.


def within_few_tasks(order: Options, tier: str) -> Options:
  """Returns an order of 20 examples of each task, as in the paper (E2, E5).

  In tiers below `paper`, the budget only has room for some of the tasks, which
  the seed draws: with one or two examples of every task, there would be no
  clusters.
  """
  if tier == "paper":
    return order
  clusters = {"arrangement": "cluster", "per_task": 20, "budget": -1}
  few_tasks = {
      "arrangement": "take",
      "stop": choose(tier).budget,
      "parts": (clusters,),
  }
  parts = (few_tasks, {**order, "budget": -1})
  return {"arrangement": "within", "parts": parts}


def settings(tier: str) -> dict[str, Options]:
  """Returns the orders NFT, FFT, RT, MIN and MAX.

  In `paper`, they are made by the released code's algorithm, without the
  examples by which its last rounds exceed the budget. So in every tier, all
  runs have the same number of steps and the same learning rates.
  """
  budget = choose(tier).budget
  if tier == "paper":
    return {name: released(name, budget) for name in _SETTINGS}
  nearest, farthest = (
      tmt(budget // 2, pick=pick) for pick in ("nearest", "farthest")
  )
  nft = concatenate(nearest, reverse(farthest))
  return {
      "NFT": nft,
      "FFT": concatenate(farthest, reverse(nearest)),
      "RT": {"arrangement": "within", "parts": (nft, shuffled())},
      "MIN": tmt(budget),
      "MAX": tmt(budget, pick="farthest"),
  }


def near_random_far(tier: str, **options: Any) -> dict[str, Options]:
  """Returns the orders NFT, RT and FFT of an arrangement that sorts examples.

  Args:
    tier: a name in `TIERS`; in `paper`, ties and draws are as released.
    **options: the arrangement and its options.
  """
  picks = {"NFT": "nearest", "RT": "random", "FFT": "farthest"}
  return {
      name: {**options, "pick": pick, "as_released": tier == "paper"}
      for name, pick in picks.items()
  }


def released(name: str, budget: int) -> Options:
  """Returns a setting of the released code, cut to the budget."""
  order = {"arrangement": "released", "setting": name, "budget": budget}
  return {"arrangement": "take", "stop": budget, "parts": (order,)}


def tmt(budget: int, **options: Any) -> Options:
  """Returns TMT, nearest first by default."""
  return {"arrangement": "tmt", "budget": budget, **options}


def uniform(budget: int) -> Options:
  """Returns examples drawn from the whole pool with equal probability."""
  return {"arrangement": "take", "stop": budget, "parts": (shuffled(),)}


def shuffled() -> Options:
  """Returns all examples of a pool, shuffled."""
  return {"arrangement": "random", "budget": -1}


def concatenate(*parts: Options) -> Options:
  """Returns orders one after another."""
  return {"arrangement": "concatenate", "parts": parts, "budget": -1}


def reverse(part: Options) -> Options:
  """Returns an order backwards."""
  return {"arrangement": "reverse", "parts": (part,)}


def _smoke(config: Config) -> None:
  """Sets the embedded suite and base: 20 steps."""
  config.data.source = "synth"


def _niv2(config: Config, shots: int, max_length: int) -> None:
  """Sets Natural Instructions, with the model's own tokenizer."""
  config.data.source = "niv2"
  config.data.prompt = "niv2"
  config.data.shots = shots
  config.data.tokenizer = "hf"
  config.data.max_length = max_length
  config.data.train_instances = 100


def _nano(config: Config) -> None:
  """Sets short rows and no solved examples, so that a step takes seconds."""
  _niv2(config, shots=0, max_length=128)
  config.data.heldout_instances = 3
  config.data.tokenizer_path = base_lib.DIRECTORY
  config.model.init = f"hf:{base_lib.DIRECTORY}"
  config.order.embedder = "minilm"
  config.train.learning_rate = 5e-5


def _mini(config: Config) -> None:
  """Sets the paper's prompts, and a model that fits on one accelerator."""
  _niv2(config, shots=2, max_length=1024)
  config.data.tokenizer_path = "HuggingFaceTB/SmolLM2-1.7B"
  config.model.init = "hf:HuggingFaceTB/SmolLM2-1.7B"
  config.model.dtype = "bfloat16"
  config.order.embedder = "minilm"
  config.train.learning_rate = 5e-6


def _paper(config: Config) -> None:
  """Sets Flan-mini as released, and Llama 2 7B (2406.11721, spec 5)."""
  config.data.source = "flan_mini"
  config.data.as_released = True
  config.data.draw = "first_sample"
  config.data.train_instances = 2_000_000  # More than any task has.
  config.data.heldout_instances = 5
  config.data.template = "chat"
  config.data.border = "released"
  config.data.unanswered = "keep"
  config.data.tokenizer = "hf"
  config.data.tokenizer_path = "meta-llama/Llama-2-7b-hf"
  config.data.max_length = 2048
  config.data.heldout_max_length = 1024
  config.model.init = "hf:meta-llama/Llama-2-7b-hf"
  config.model.dtype = "bfloat16"
  config.order.embedder = "minilm"
  config.order.cosine = "exact"
  config.train.learning_rate = 1e-6
  config.train.schedule_end = "released"
  config.train.loss_groups = 2  # Two devices with 8 examples each.
  config.evals.heldout.unanswered = "zero"


TIERS = {
    "smoke": Tier(_smoke, 320, 2, (0,), 160),
    # Chosen with seeds 100 and 101, on random order alone (docs/papers.md).
    "nano": Tier(_nano, 960, 5, (0, 1, 2), 640),
    "mini": Tier(_mini, 4800, 10, (0, 1, 2), 4800),
    "paper": Tier(_paper, 30_000, 10, (0,), 4960),
}
