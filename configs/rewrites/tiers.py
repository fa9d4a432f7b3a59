"""Tiers of the experiments on rewrites: four sizes, their model and order.

This file is not an experiment. The files next to it load it by path, so that
they can be run from any directory.

  smoke  CPU, one or two minutes per sweep: only shows that everything works
  nano   CPU: the main result on a small scale
  mini   one accelerator
  paper  the sizes of 2402.10891

Where the papers do not specify a value (batch size, Adam's betas, no-op rules
and more), it is this project's choice; docs/rewrites.md lists these choices.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections

from zsgen import rewrites
from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.models import presets
from zsgen.rewrites.source import limits
from zsgen.rewrites.source import options as options_lib

# Options by point. Runs of one experiment differ only in these, and in seeds.
Points = Mapping[str, Mapping[str, Any]]


class Tier(NamedTuple):
  """One size of all experiments."""

  # Number of letters in the alphabet, in x and in y, and in the input z.
  letters: int
  pattern: int
  length: int
  layers: int
  heads: int
  width: int
  # Training examples, whatever the number of rules.
  examples: int
  batch: int
  # Steps, the same for every point; 50 epochs in `paper`.
  steps: int
  learning_rate: float
  # Steps between evaluations.
  every: int
  # Examples of unseen rules, in all and per rule; examples of seen rules.
  unseen: int
  unseen_each: int
  seen_examples: int
  seeds: tuple[int, ...]
  dtype: str = "float32"
  # Steps of warm-up; standard deviation of new matrices, by default GPT-2's.
  warmup: int = 0
  init_std: float = 0.02
  # Micro-batches of a step: one of them fits in a CPU's caches.
  micro_batches: int = 1


# The paper's model.
_PAPER_MODEL = dict(
    layers=6,
    heads=4,
    width=256,
    dtype="bfloat16",
    learning_rate=1e-3,
    seeds=(0, 1, 2),
)
TIERS = {
    "smoke": Tier(
        letters=26,
        pattern=3,
        length=12,
        layers=2,
        heads=2,
        width=64,
        examples=6000,
        batch=64,
        steps=100,
        learning_rate=2e-3,
        every=50,
        unseen=500,
        unseen_each=1,
        seen_examples=500,
        seeds=(0,),
    ),
    # Chosen with seed 100, by its runs with 10 and 1,000 rules alone.
    "nano": Tier(
        letters=16,
        pattern=2,
        length=10,
        layers=3,
        heads=4,
        width=64,
        examples=50_000,
        batch=256,
        steps=1500,
        learning_rate=4e-3,
        every=250,
        unseen=4000,
        unseen_each=2,
        seen_examples=2000,
        seeds=(1, 2, 3),
        warmup=50,
        # 1 / sqrt(width): at a width of 64, new matrices of 0.02 give such
        # small outputs that little is learned in so few steps.
        init_std=0.125,
        micro_batches=4,
    ),
    "mini": Tier(
        letters=26,
        pattern=5,
        length=20,
        examples=200_000,
        batch=256,
        steps=15_625,
        every=625,
        unseen=10_000,
        unseen_each=1,
        seen_examples=10_000,
        **_PAPER_MODEL,
    ),
    "paper": Tier(
        letters=26,
        pattern=20,
        length=50,
        examples=10**6,
        batch=512,
        steps=97_656,
        every=4069,
        unseen=100_000,
        unseen_each=1,
        seen_examples=10_000,
        **_PAPER_MODEL,
    ),
}


def base(experiment: str, tier: str) -> ml_collections.ConfigDict:
  """Returns the common options of all points of an experiment, in one tier.

  Args:
    experiment: names the sweep, together with the tier.
    tier: a name in `TIERS`.

  Returns:
    An experiment in random order, without a sweep.

  Raises:
    InputError: there is no such tier.
  """
  size = errors.choose(TIERS, tier, "the tier, --config=FILE:TIER")
  config = config_lib.defaults()
  config.name = f"rewrites_{experiment}_{tier}"
  config.plugins = rewrites.PLUGINS
  config.data.source = "rewrites"
  config.data.prompt = "joined"
  config.data.tokenizer = "rewrites"
  config.data.rewrites.update(_rewrites(size))
  config.order.update(order(size.examples, size.batch * size.steps))
  config.model.update(_model(size))
  config.train.update(_train(size))
  config.evals = _evals(size)
  config.machine.save_every = size.every
  config.machine.layouts = 1  # All rows have the same length.
  config.machine.micro_batches = size.micro_batches
  return lengths(config, size.pattern, size.length)


def lengths(
    config: ml_collections.ConfigDict, pattern: int, length: int
) -> ml_collections.ConfigDict:
  """Sets the lengths of patterns and inputs, and what depends on them."""
  options = config.data.rewrites
  options.x_length = options.y_length = pattern
  options.z_length = length
  tokens = limits.tokens(options_lib.Rewrites(**options.to_dict()))
  config.model.max_positions = tokens
  config.evals.written.max_new_tokens = length + 1  # And the end token.
  return config


def order(examples: int, positions: int) -> dict[str, Any]:
  """Returns shuffled epochs of all examples, cut to a number of positions.

  Args:
    examples: the number of examples of an epoch.
    positions: the length of the order: steps times the batch size.

  Returns:
    Options of `config.order`.
  """
  epochs = {
      "arrangement": "repeat",
      "epochs": -(-positions // examples),
      "fresh": True,
      "parts": ({"arrangement": "random"},),
  }
  return {
      "arrangement": "take",
      "stop": positions,
      "parts": (epochs,),
      "target": "unseen",
      "embedder": "",
  }


def sweep(
    config: ml_collections.ConfigDict, points: Points, seeds: tuple[int, ...]
) -> ml_collections.ConfigDict:
  """Adds the section `sweep`: points by name, all under the seeds."""
  config.sweep = {"points": dict(points), "seeds": seeds}
  return config


def seeds(tier: str) -> tuple[int, ...]:
  """Returns seeds of side experiments: in nano, one, to finish in an hour."""
  return TIERS[tier].seeds[: 1 if tier == "nano" else None]


def point(rules: int, **options: Any) -> dict[str, Any]:
  """Returns a point: a number of rules, and options of `data.rewrites`."""
  return {"data": {"rewrites": {"rules": rules, **options}}}


def _rewrites(size: Tier) -> dict[str, Any]:
  """Returns the options of the source for a size."""
  return {
      "letters": size.letters,
      "examples": size.examples,
      # There are too few short patterns for rules to differ in x alone.
      "distinct": "pair" if size.pattern < 5 else "x",
      "unseen": size.unseen,
      "unseen_each": size.unseen_each,
      "seen": size.seen_examples,
  }


def _model(size: Tier) -> dict[str, Any]:
  """Returns GPT-2's shape, with learned positions and new parameters."""
  return presets.GPT2 | {
      "init": "new",
      "vocab_size": 32,
      "layers": size.layers,
      "heads": size.heads,
      "kv_heads": size.heads,
      "head_width": size.width // size.heads,
      "width": size.width,
      "mlp_width": 4 * size.width,
      "dtype": size.dtype,
      "init_std": size.init_std,
  }


def _train(size: Tier) -> dict[str, Any]:
  """Returns AdamW with a linear schedule to 0, without weight decay."""
  return {
      "batch_size": size.batch,
      "learning_rate": size.learning_rate,
      "schedule": "linear",
      "warmup_steps": size.warmup,
      "final_share": 0.0,
      "b2": 0.999,
      "eps": 1e-8,
  }


def _evals(size: Tier) -> dict[str, dict[str, Any]]:
  """Returns evaluations: unseen rules, seen ones as a control, and answers."""
  exact = {"type": "rewrites", "every_steps": size.every}
  written = {
      "type": "generate",
      "split": "unseen",
      "every_steps": size.steps,
      "max_examples": 500,
  }
  return {
      "unseen": {**exact, "split": "unseen"},
      "seen": {**exact, "split": "seen"},
      "written": written,
  }
