"""The schema: every option that no component brings, its default and its unit.

The section `machine` is in `machine_options`.

Configs are written as `ml_collections.ConfigDict`s that start from
`defaults()`; `check` turns one into the frozen `Config` that the code reads.
Fields marked `machine=True` may change between start and resume; all others
are science and hashed into the names of artifacts and runs. Fields marked
`per_process=True` may differ between the processes of one run; all others are
compared when the processes start.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, TypeVar

import ml_collections

from zsgen.core import (
    artifacts,
    combinations,
    machine_options,
    order_parts,
    plugins,
    probe_options,
    schema,
    sections,
)
from zsgen.core.schema import option, section, selector

T = TypeVar("T")

# The classes of `config.machine`.
Hosts = machine_options.Hosts
Machine = machine_options.Machine
Mesh = machine_options.Mesh
Rule = machine_options.Rule
# The class of `config.probe`, and the name of its evaluation.
Probe = probe_options.Probe
PROBE = "probe"

# Which part of an order a fork may consume.
REST, ALL, TAIL = PARTS = ("rest", "all", "tail")

# Averages of parameters.
EMA, MEAN = AVERAGES = ("ema", "mean")

# Bounds that several options have, and the reason.
_EXAMPLES: dict[str, Any] = dict(
    high=2**31 - 1, why="ids of examples are int32"
)
_POSITIONS: dict[str, Any] = dict(high=2**31 - 1, why="positions are int32")
_WIDTH: dict[str, Any] = dict(high=2**20, why="no device holds a wider matrix")
_SEED: dict[str, Any] = dict(low=0, high=2**32 - 1)
_DECAY: dict[str, Any] = dict(
    low=0.0,
    below=1.0,
    why="at 1 the average never moves, and its correction divides by 0",
)


@dataclasses.dataclass(frozen=True)
class Heldout:
  """The tasks of a held-out set: the union of what its options name."""

  # Names of tasks to hold out.
  tasks: tuple[str, ...] = option(())
  # A file with names of tasks to hold out, one per line.
  tasks_file: str = option("", kind="local", machine=True)
  # Categories whose tasks are all held out.
  categories: tuple[str, ...] = option(())
  # One of the source's own splits, such as "test", to hold out.
  split: str = option("")
  # Share of the remaining tasks (or of the rows, if they have no tasks) to hold
  # out, drawn by the seed.
  share: float = option(0.0, low=0.0, high=0.9)
  # Other held-out sets, whose tasks are left out of this one.
  exclude: tuple[str, ...] = option((), newer=True)
  # Seed that draws the share, the set's instances and, with label="random",
  # their references; None: the seed of held-out sets (heldout_seed).
  seed: int | None = option(None, low=0, newer=True)


@dataclasses.dataclass(frozen=True)
class Fields:
  """Names of the columns of the user's own tables; "" for none."""

  # Column with the name of the task.
  task: str = option("task")
  # Column with the question.
  input: str = option("input")
  # Column with the answer, or a list of correct answers.
  target: str = option("target")
  # Column with the instruction of the task.
  definition: str = option("")
  # Column with the category of the task.
  category: str = option("")
  # Column with the split of the row.
  split: str = option("")
  # Column with the publisher's id of the row.
  key: str = option("")
  # Column with a list of answers to choose from, which has the correct one.
  choices: str = option("")


@dataclasses.dataclass(frozen=True)
class Data:
  """Which examples there are, and how they become tokens.

  The selected source, tokenizer, prompt and template add their own options.
  """

  # Where examples come from.
  source: str = selector("synth", "source")
  # How text becomes token ids.
  tokenizer: str = selector("bytes", "tokenizer")
  # How definition, solved examples and input form a request.
  prompt: str = selector("plain", "prompt")
  # Which reference is the answer. first: the first; random: one that the seed
  # draws.
  label: str = option("first", choices=("first", "random"))
  # How requests and answers become text.
  template: str = selector("plain", "template")
  # What white space before an answer belongs to. answer: the answer, so that
  # its first token is that of running text; released: the prompt, and every
  # piece of text is tokenized on its own, as in the released code.
  border: str = option("answer", choices=("answer", "released"))
  # Seed that draws the training examples; None: config.seed.
  seed: int | None = option(None, newer=True, **_SEED)
  # Maximum number of tokens of an example; longer ones are cut, and counted.
  max_length: int = option(2048, low=2, **_POSITIONS)
  # Maximum number of tokens of a held-out example; 0: max_length.
  heldout_max_length: int = option(0, low=0, newer=True, **_POSITIONS)
  # What is cut from longer examples. tail: the end; prompt: the middle of the
  # prompt.
  truncate: str = option("tail", choices=("tail", "prompt"))
  # What to do with an example whose whole answer is cut off. drop: leave it
  # out; keep: order it like all others and train on it with weight 0, as the
  # released code does.
  unanswered: str = option("drop", choices=("drop", "keep"), newer=True)
  # Maximum number of examples of each training task.
  train_instances: int = option(320, low=1, **_EXAMPLES)
  # Maximum number of examples of each held-out task.
  heldout_instances: int = option(5, low=1, **_EXAMPLES)
  # Where batches are read from: the store, or the seqio Mixture over it.
  feed: str = option("store", choices=("store", "seqio"), machine=True)


@dataclasses.dataclass(frozen=True)
class Order:
  """Which training examples, in which sequence.

  The selected arrangement and the selected embedder add their own options.
  """

  # How examples are selected and put in sequence; see docs/arrangements.md.
  arrangement: str = selector("tmt", "arrangement")
  # The held-out set to which distances are measured.
  target: str = option("heldout")
  # The only task of that set to which distances are measured (a specialist);
  # "": all tasks.
  target_task: str = option("")
  # The text of examples that is compared; with answers, the report is marked
  # "oracle".
  text: str = option("prompt+answer", choices=("prompt+answer", "prompt"))
  # What turns texts into vectors; "": nothing, for orders that need no vectors.
  embedder: str = selector("ngram", "embedder", optional=True)
  # Seed of the order and of all its parts; None: config.seed.
  seed: int | None = option(None, newer=True, **_SEED)
  # Interval, in steps, at which what is left of the order is arranged anew,
  # with the parameters at that step; 0: never.
  remake_every: int = option(0, low=0, newer=True)
  # Instead of an interval: the steps at which what is left is arranged anew,
  # ascending.
  remake_steps: tuple[int, ...] = option((), low=0, newer=True)
  # Steps between prefixes of the order whose distances to the held-out tasks
  # are measured, for the run's page; 0: none are measured.
  trace_every: int = option(0, low=0, machine=True)


@dataclasses.dataclass(frozen=True)
class Model:
  """The decoder's shape and where its parameters come from."""

  # "tiny" (the embedded base), "new" (drawn by the seed), "hf:NAME" (a Hugging
  # Face directory or name), "run:DIR" or "run:DIR@STEP" (a run's checkpoint).
  init: str = option("tiny")
  # Rows of the embedding; at least the tokenizer's size.
  vocab_size: int = option(
      264, low=2, high=2**24, why="no tokenizer has more ids"
  )
  # Number of blocks.
  layers: int = option(4, low=1, high=2**14, why="no device holds more of them")
  # Width of the residual stream.
  width: int = option(128, low=1, **_WIDTH)
  # Number of query heads.
  heads: int = option(2, low=1, **_WIDTH)
  # Number of key and value heads; it divides heads.
  kv_heads: int = option(2, low=1, **_WIDTH)
  # Width of a head.
  head_width: int = option(64, low=1, **_WIDTH)
  # Hidden width of the MLP.
  mlp_width: int = option(384, low=1, **_WIDTH)
  # Whether the MLP multiplies two projections of its input (is gated).
  gated: bool = option(True)
  activation: str = option(
      "silu", choices=("silu", "gelu", "gelu_tanh", "relu")
  )
  # Whether these have biases: query, key and value; attention's output; the
  # MLP.
  qkv_bias: bool = option(False)
  out_bias: bool = option(False)
  mlp_bias: bool = option(False)
  norm: str = option("rms", choices=("rms", "layer"))
  norm_eps: float = option(1e-6, low=0.0)
  # Whether norms multiply by 1 + their parameter (Gemma).
  norm_plus_one: bool = option(False)
  # Whether each query and key head has an RMSNorm.
  qk_norm: bool = option(False)
  # Whether outputs of attention and MLP are normed too, before they are added.
  post_norms: bool = option(False)
  # Pattern that blocks repeat. global: attention to all previous tokens; local:
  # to a window of them.
  pattern: tuple[str, ...] = option(("global",), choices=("global", "local"))
  # Tokens that a local block attends to, including the token itself.
  window: int = option(0, low=0, **_POSITIONS)
  # Attention scores are divided by the square root of this; 0: head_width.
  query_width: float = option(0.0, low=0.0)
  # Soft caps, c · tanh(x / c), of attention scores and of logits; 0: none.
  score_cap: float = option(0.0, low=0.0)
  logit_cap: float = option(0.0, low=0.0)
  positions: str = option("rotary", choices=("rotary", "learned"))
  # Base of the wavelengths of rotary positions.
  rope_theta: float = option(10000.0, low=1.0)
  # The same for local blocks, which are then never scaled; 0: as in the others.
  rope_local_theta: float = option(0.0, low=0.0)
  # How rotary positions are stretched, and by which factor.
  rope_scaling: str = option(
      "none", choices=("none", "linear", "llama3", "yarn")
  )
  rope_factor: float = option(1.0, low=1.0)
  # For llama3 and yarn: frequencies with fewer than `rope_low` turns over
  # `rope_original` positions (the length before stretching) are stretched,
  # those with more than `rope_high` turns are not.
  rope_low: float = option(1.0, low=0.0)
  rope_high: float = option(4.0, low=0.0)
  rope_original: int = option(0, low=0, **_POSITIONS)
  # Number of positions: rows of learned ones, or a bound for rotary ones.
  max_positions: int = option(2048, low=1, **_POSITIONS)
  # Whether embeddings are multiplied by the square root of the width.
  embedding_scaled: bool = option(False)
  # Whether the output projection shares the embedding.
  tied: bool = option(True)
  # Rows of the embedding are padded to a multiple of this, for a mesh that
  # splits them; no token has these rows, and they get no probability.
  vocab_multiple: int = option(
      1, low=1, high=2**20, why="the padding is held in memory"
  )
  # Element type of activations; parameters are float32.
  dtype: str = option("float32", choices=("float32", "bfloat16"))
  # Standard deviation of new matrices; for those that write to the residual, it
  # is divided by the square root of twice the number of layers (GPT-2).
  init_std: float = option(0.02, low=0.0)


@dataclasses.dataclass(frozen=True)
class Lora:
  """Low-rank adapters (2106.09685) on a frozen base; rank 0: none.

  There is no dropout: what is learned is a function of the order alone.
  """

  # Rank of each adapter; 0: no adapters, and all parameters are trained.
  rank: int = option(0, low=0, **_WIDTH)
  # Adapters are multiplied by alpha / rank.
  alpha: float = option(16.0, low=0.0)
  # Projections with adapters: a regular expression for their whole path without
  # the layer, such as r"attention/(query|value)", r"mlp/.*" or r".*".
  targets: str = option(r"attention/(query|value)", kind="regex")
  # Element type in which the frozen base is held.
  base: str = option("float32", choices=("float32", "bfloat16"))
  # A directory of PEFT adapter files to start from, which define rank, alpha
  # and targets; "": new adapters, which do not change the base's outputs yet.
  init: str = option("", kind="local", machine=True)


NO_LORA = Lora()


@dataclasses.dataclass(frozen=True)
class Train:
  """The optimizer and its schedule (2406.11721: see spec of section 5)."""

  # Seed of new parameters and adapters; None: config.seed.
  seed: int | None = option(None, newer=True, **_SEED)
  # Examples per step.
  batch_size: int = option(16, low=1, **machine_options.STEP)
  # Peak learning rate; without warm-up, that of the first step.
  learning_rate: float = option(3e-4, low=0.0)
  # Final learning rate, as a share of the peak.
  final_share: float = option(0.1, low=0.0, high=1.0)
  # How the learning rate falls from the peak to that share.
  schedule: str = selector("cosine", "schedule")
  # Step at which that share would be reached. steps: the number of steps;
  # released: N // batch_size + 1 for N examples, as in the released code, which
  # is one more if the last step is full.
  schedule_end: str = option("steps", choices=("steps", "released"), newer=True)
  # Steps of linear warm-up; must be fewer than the order has.
  warmup_steps: int = option(0, low=0)
  # Decay of Adam's first moment, below 1.
  b1: float = option(0.9, **_DECAY)
  # Decay of Adam's second moment, below 1.
  b2: float = option(0.95, **_DECAY)
  # Adam's epsilon, which is added outside the square root; above 0.
  eps: float = option(
      1e-5, above=0.0, why="a gradient of 0 would be divided by 0"
  )
  # Share of each parameter that a step with a learning rate of 1 subtracts
  # (AdamW).
  weight_decay: float = option(0.0, low=0.0)
  # Maximum global norm of gradients; 0: they are not clipped.
  clip: float = option(1.0, low=0.0)
  # Element type in which Adam's first moment is held.
  first_moment: str = option("float32", choices=("float32", "bfloat16"))
  # Decay per step of an exponential moving average of the parameters, which is
  # evaluated in addition to them as NAME@ema; 0: no average.
  ema: float = option(0.0, newer=True, **_DECAY)
  # Number of the newest snapshots of the parameters whose mean is evaluated in
  # addition to the parameters as NAME@mean; 0: no mean.
  mean_of: int = option(
      0,
      low=0,
      high=1024,
      why="each is held on the devices",
      newer=True,
  )
  # Steps between these snapshots; step 0 is the first.
  mean_every: int = option(10, low=1, newer=True)
  # How the loss is averaged. 1: over all loss tokens of the batch; n: the mean
  # of n means, each over the loss tokens of examples i, i+n, … (2 for the
  # released code's 2 devices with 8 examples each).
  loss_groups: int = option(1, low=1)


@dataclasses.dataclass(frozen=True)
class Eval:
  """One evaluation in the loop, named by its key in `evals`.

  The selected evaluator adds its own options.
  """

  # What is evaluated; see docs/evaluations.md.
  type: str = selector("loss", "evaluator", bare=True)
  # The held-out set to evaluate.
  split: str = option("heldout")
  # Maximum number of examples, always the same ones: the first of each task,
  # then the second of each, …; -1: all.
  max_examples: int = option(-1, low=-1)
  # Maximum number of examples of each task, in the same sequence; -1: all.
  per_task: int = option(-1, low=-1, newer=True)
  # Seed that shuffles the set as Hugging Face's Dataset.shuffle does, before
  # max_examples and per_task take the first examples; None: no shuffle.
  draw: int | None = option(None, newer=True, **_SEED)
  # For the type loss: how an example without an answer token counts (see
  # data.unanswered). exclude: not at all; zero: as a loss of 0, as in the
  # released code.
  unanswered: str = option("exclude", choices=("exclude", "zero"), newer=True)
  # Steps between evaluations; step 0 and the last step are always evaluated.
  every_steps: int = option(10, low=1)


@dataclasses.dataclass(frozen=True)
class Target:
  """A value that a run should reach; the report says whether it does."""

  # A path in metrics.jsonl, such as "heldout/loss".
  metric: str = option("heldout/loss")
  # The evaluations that count: the last one, the mean of all after step 0, or
  # the mean of those in the first tenth of the steps.
  measure: str = option("final", choices=("final", "mean", "first_tenth"))
  # Exclusive upper and lower bounds of the metric; at least one must be set.
  below: float | None = option(None)
  above: float | None = option(None)


@dataclasses.dataclass(frozen=True)
class Plan:
  """What `--stage=plan` plans for."""

  # A TPU topology such as "v5e:4x4", or one chip such as "H200 SXM"; "": the
  # local devices.
  topology: str = option("", machine=True)
  # Rows of a step; 0: as in the order's most expensive shape or, if there is no
  # order yet, one for each example.
  rows: int = option(0, low=0, machine=True, **machine_options.STEP)
  # Tokens of a row; 0: as in that shape or, if there is no order yet,
  # data.max_length.
  length: int = option(0, low=0, machine=True, **_POSITIONS)
  # Share of the tokens of a row group that carry loss, and need logits.
  loss_share: float = option(
      1.0,
      low=0.001,
      high=1.0,
      why="1 is all of them, the most that there can be",
      machine=True,
  )


@dataclasses.dataclass(frozen=True)
class Config:
  """One experiment."""

  # Name of the experiment, with which the name of the run's directory begins.
  name: str = option("run")
  # Seed of the suite's instances, of shuffles and of new parameters, unless
  # data.seed, data.heldout_seed, order.seed or train.seed replaces it.
  seed: int = option(0, **_SEED)
  data: Data = section(Data)
  order: Order = section(Order)
  model: Model = section(Model)
  lora: Lora = section(Lora)
  train: Train = section(Train)
  # Evaluations by name.
  evals: Mapping[str, Eval] = dataclasses.field(
      default_factory=lambda: {"heldout": build(Eval)}, metadata=dict(of=Eval)
  )
  # Training examples whose losses are followed.
  probe: Probe = section(Probe, newer=True)
  # Values that the run should reach, by name.
  targets: Mapping[str, Target] = dataclasses.field(
      default_factory=dict, metadata=dict(of=Target, machine=True)
  )
  # "RUN@STEP": the run starts from the full state of another run's checkpoint
  # and continues under the order of this config; "": it starts at step 0. RUN
  # is a directory or, for a run in a bucket, the URL of one in the same
  # workdir.
  fork: str = option("", newer=True)
  # What a fork consumes. rest: an order of the examples that RUN did not
  # consume before STEP; all: an order of all examples, some of which may be
  # repeated; tail: the part of that order from STEP on.
  fork_order: str = option("rest", choices=PARTS, newer=True)
  machine: Machine = section(Machine, machine=True)
  # Maximum number of points of a sweep, all with the same shapes, that are
  # trained as one program; -1: as many as fit on the devices, if that is
  # faster.
  population: int = option(1, low=-1, machine=True)
  # Steps [first, end) to trace, into the run's profile/; (): none.
  profile: tuple[int, ...] = option((), low=0, machine=True)
  plan: Plan = section(Plan, machine=True)
  # Modules that register components; next to the config file, or importable.
  plugins: tuple[str, ...] = option((), machine=True)

  @property
  def evaluations(self) -> Mapping[str, Eval]:
    """What is evaluated, by name: `evals`, and averages of parameters by them.

    An average is evaluated as the parameters are, under NAME@AVERAGE.
    """
    averaged = {
        averaged_name(name, average): spec
        for name, spec in self.evals.items()
        for average in averages(self.train)
    }
    return {**self.evals, **averaged}

  @property
  def data_seed(self) -> int:
    """The seed of the store."""
    return self.seed if self.data.seed is None else self.data.seed

  @property
  def order_seed(self) -> int:
    """The seed of the order."""
    return self.seed if self.order.seed is None else self.order.seed

  @property
  def init_seed(self) -> int:
    """The seed of new parameters and adapters."""
    return self.seed if self.train.seed is None else self.train.seed


def averages(train: Train) -> tuple[str, ...]:
  """Returns the names of the averages of parameters that are evaluated."""
  is_set = {EMA: train.ema > 0, MEAN: train.mean_of > 0}
  return tuple(name for name in AVERAGES if is_set[name])


def averaged_name(evaluation: str, average: str) -> str:
  """Returns the name of an evaluation of an average: "heldout@ema"."""
  return f"{evaluation}@{average}"


def defaults() -> ml_collections.ConfigDict:
  """Returns every option at its default, to be changed by a config file."""
  return sections.Section(Config, "config")


def build(kind: type[T], **options: Any) -> T:
  """Returns one section of a config, such as `build(Order, budget=8)`.

  Raises:
    InputError: an option is unknown or wrong.
  """
  return schema.check_section(kind, options, f"config.{kind.__name__.lower()}")


def to_dict(config: Any) -> dict[str, Any]:
  """Returns the config as plain nested dictionaries."""
  return dataclasses.asdict(config)


def science(config: Any) -> dict[str, Any]:
  """Returns the fields that results depend on, as plain dictionaries."""
  if not dataclasses.is_dataclass(config):
    return config
  plain = {}
  for field in dataclasses.fields(config):
    if field.metadata.get("machine"):
      continue
    value = getattr(config, field.name)
    if field.metadata.get("newer") and value == _default(field):
      continue
    if isinstance(value, Mapping):
      plain[field.name] = {key: science(item) for key, item in value.items()}
    elif isinstance(value, tuple):
      plain[field.name] = [science(item) for item in value]
    else:
      plain[field.name] = science(value)
  return plain


def _default(field: dataclasses.Field) -> Any:
  """Returns the default of an option or of a section."""
  if field.default_factory is dataclasses.MISSING:
    return field.default
  return field.default_factory()


def run_name(config: Config) -> str:
  """Returns the name of the run's directory, with a hash of its science."""
  return artifacts.name(config.name, science(config))


def check(values: Mapping[str, Any] | ml_collections.ConfigDict) -> Config:
  """Checks names, types and ranges.

  Args:
    values: nested options, as a config file's `get_config()` returns them.

  Returns:
    The frozen config.

  Raises:
    InputError: names the first field that is wrong, and what it may be.
  """
  if isinstance(values, ml_collections.ConfigDict):
    values = values.to_dict()
  if isinstance(values, Mapping) and "plugins" in values:
    plugins.load(values["plugins"])
  if isinstance(values, Mapping) and "order" in values:
    order = order_parts.inherit(values["order"], Order.embedder)
    values = {**values, "order": order}
  config = schema.check_section(Config, values, "config")
  combinations.check(config)
  return config
