"""What the experiments on rewrites share: four sizes, a model, an order.

Not an experiment: the files next to it load it by its path, from
whatever directory they are started.

  smoke  CPU, a minute or two a sweep: that all works, no claim
  nano   CPU: the shape of the main result in small
  mini   one accelerator
  paper  the sizes of 2402.10891

Where the papers are silent (batch, Adam's betas, no-op rules and more), the
values are this project's choices; docs/rewrites.md names them.
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

# Of these options, and of seeds, runs of one experiment differ.
Points = Mapping[str, Mapping[str, Any]]


class Tier(NamedTuple):
  """One size of all experiments."""

  # Letters of the alphabet, of x and of y, and of the input z.
  letters: int
  pattern: int
  length: int
  layers: int
  heads: int
  width: int
  # Training examples, whatever the number of rules.
  examples: int
  batch: int
  # The same for every point; in `paper` they are 50 epochs.
  steps: int
  learning_rate: float
  # Steps between evaluations.
  every: int
  # Examples of unseen rules, how many a rule; of seen rules.
  unseen: int
  unseen_each: int
  seen_examples: int
  seeds: tuple[int, ...]
  dtype: str = "float32"
  # Steps of warm-up; standard deviation of new matrices, GPT-2's by default.
  warmup: int = 0
  init_std: float = 0.02
  # Parts of a step that are computed in turn: a CPU's caches hold one.
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
    # Chosen on seed 100, by its runs of 10 and of 1,000 rules alone.
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
        # 1 / sqrt(width): at a width of 64, what new matrices of 0.02 give is
        # so small that little is learned in as few steps.
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
    An experiment without a sweep, of random order.

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
  config.machine.layouts = 1  # Rows are of one length.
  config.machine.micro_batches = size.micro_batches
  return lengths(config, size.pattern, size.length)


def lengths(
    config: ml_collections.ConfigDict, pattern: int, length: int
) -> ml_collections.ConfigDict:
  """Sets the letters of patterns and inputs, and what follows from them."""
  options = config.data.rewrites
  options.x_length = options.y_length = pattern
  options.z_length = length
  tokens = limits.tokens(options_lib.Rewrites(**options.to_dict()))
  config.model.max_positions = tokens
  config.evals.written.max_new_tokens = length + 1  # And the end.
  return config


def order(examples: int, positions: int) -> dict[str, Any]:
  """Returns epochs of all examples, each shuffled again, cut to a length.

  Args:
    examples: of an epoch.
    positions: of the whole order: steps times the batch size.

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
  """Returns seeds of side experiments: one in nano, to finish in an hour."""
  return TIERS[tier].seeds[: 1 if tier == "nano" else None]


def point(rules: int, **options: Any) -> dict[str, Any]:
  """Returns a point: a number of rules and options of `config.data.rewrites`."""
  return {"data": {"rewrites": {"rules": rules, **options}}}


def _rewrites(size: Tier) -> dict[str, Any]:
  """Returns the options of the source for a size."""
  return {
      "letters": size.letters,
      "examples": size.examples,
      # Patterns of two letters are too few to be different in x alone.
      "distinct": "pair" if size.pattern < 5 else "x",
      "unseen": size.unseen,
      "unseen_each": size.unseen_each,
      "seen": size.seen_examples,
  }


def _model(size: Tier) -> dict[str, Any]:
  """GPT-2's shape, with learned positions, from scratch."""
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
  """AdamW of a linear schedule to 0, without decay of parameters."""
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
  """Unseen rules, seen ones as the control, and written answers at the end."""
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
