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
  """Which tasks make up a held-out set; what several fields name is joined."""

  # Tasks by name.
  tasks: tuple[str, ...] = option(())
  # A file of task names, one per line.
  tasks_file: str = option("", kind="local", machine=True)
  # All tasks of these categories.
  categories: tuple[str, ...] = option(())
  # One of the source's own splits, such as "test".
  split: str = option("")
  # Share of the remaining tasks, drawn by the seed; if rows have no tasks, of
  # the rows.
  share: float = option(0.0, low=0.0, high=0.9)
  # Other held-out sets whose tasks this one leaves out.
  exclude: tuple[str, ...] = option((), newer=True)
  # Seed of the share, of the set's instances and, with label="random", of their
  # references; None: config.seed.
  seed: int | None = option(None, low=0, newer=True)


@dataclasses.dataclass(frozen=True)
class Fields:
  """Names of the columns of the user's own tables; "" for none."""

  # The name of the task.
  task: str = option("task")
  # The question.
  input: str = option("input")
  # An answer, or a list of them.
  target: str = option("target")
  # The instruction of the task.
  definition: str = option("")
  # The category of the task.
  category: str = option("")
  # The split that the row is in.
  split: str = option("")
  # The publisher's id of the row.
  key: str = option("")
  # A list of answers to choose from, the right one among them.
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
  # How definition, solved examples and input become a request.
  prompt: str = selector("plain", "prompt")
  # Which reference is the answer: the first, or one that the seed draws.
  label: str = option("first", choices=("first", "random"))
  # How requests and answers become text.
  template: str = selector("plain", "template")
  # What white space before an answer belongs to: the answer, so that its first
  # token is that of running text; released: as the released code has it, every
  # piece of text is tokenized on its own, and the prompt ends in the space.
  border: str = option("answer", choices=("answer", "released"))
  # Seed of the examples that are drawn; None: config.seed.
  seed: int | None = option(None, newer=True, **_SEED)
  # Most tokens of an example; longer ones are cut, and counted.
  max_length: int = option(2048, low=2, **_POSITIONS)
  # The same for held-out examples; 0: max_length.
  heldout_max_length: int = option(0, low=0, newer=True, **_POSITIONS)
  # What is cut: the end, or the middle of the prompt.
  truncate: str = option("tail", choices=("tail", "prompt"))
  # An example whose answer is cut off completely: left out; or kept, as in the
  # released code: ordered like all others, and trained on with weight 0.
  unanswered: str = option("drop", choices=("drop", "keep"), newer=True)
  # Most examples of each training task.
  train_instances: int = option(320, low=1, **_EXAMPLES)
  # Most examples of each held-out task.
  heldout_instances: int = option(5, low=1, **_EXAMPLES)
  # Where batches come from: the store, or the seqio Mixture over it.
  feed: str = option("store", choices=("store", "seqio"), machine=True)


@dataclasses.dataclass(frozen=True)
class Order:
  """Which training examples, in which sequence.

  The selected arrangement and the selected embedder add their own options.
  """

  # How examples are selected and put in sequence; docs/arrangements.md.
  arrangement: str = selector("tmt", "arrangement")
  # The held-out set to which distances are measured.
  target: str = option("heldout")
  # The only task of that set that counts (a specialist); "": all of them.
  target_task: str = option("")
  # The text that is compared; with answers, the report is marked "oracle".
  text: str = option("prompt+answer", choices=("prompt+answer", "prompt"))
  # What makes vectors of texts; "" for none, without distances.
  embedder: str = selector("ngram", "embedder", optional=True)
  # Seed of the order, of all its parts; None: config.seed.
  seed: int | None = option(None, newer=True, **_SEED)
  # Steps after which what is left of the order is arranged anew, by the
  # parameters of that time; 0: never.
  remake_every: int = option(0, low=0, newer=True)
  # The same at these steps, ascending.
  remake_steps: tuple[int, ...] = option((), low=0, newer=True)
  # Steps between the prefixes of the order whose distances to the held-out
  # tasks are measured, for the run's page; 0: they are not.
  trace_every: int = option(0, low=0, machine=True)


@dataclasses.dataclass(frozen=True)
class Model:
  """The decoder's shape and where its parameters come from."""

  # "tiny" (the embedded base), "new" (drawn from the seed), "hf:" and a Hugging
  # Face directory or name, or "run:" and a run's directory, "@" and a step.
  init: str = option("tiny")
  # Rows of the embedding; at least the tokenizer's size.
  vocab_size: int = option(
      264, low=2, high=2**24, why="no tokenizer has more ids"
  )
  # Blocks.
  layers: int = option(4, low=1, high=2**14, why="no device holds more of them")
  # Residual width.
  width: int = option(128, low=1, **_WIDTH)
  # Query heads.
  heads: int = option(2, low=1, **_WIDTH)
  # Key and value heads; divides heads.
  kv_heads: int = option(2, low=1, **_WIDTH)
  # Width of a head.
  head_width: int = option(64, low=1, **_WIDTH)
  # Hidden width of the MLP.
  mlp_width: int = option(384, low=1, **_WIDTH)
  # Gated MLP (two inputs multiplied), or plain.
  gated: bool = option(True)
  activation: str = option(
      "silu", choices=("silu", "gelu", "gelu_tanh", "relu")
  )
  # Biases of query, key and value; of what attention gives; of the MLP.
  qkv_bias: bool = option(False)
  out_bias: bool = option(False)
  mlp_bias: bool = option(False)
  norm: str = option("rms", choices=("rms", "layer"))
  norm_eps: float = option(1e-6, low=0.0)
  # A norm multiplies by 1 + its parameter (Gemma).
  norm_plus_one: bool = option(False)
  # RMSNorm of each query and key head.
  qk_norm: bool = option(False)
  # What attention and MLP give is normed too, before it is added.
  post_norms: bool = option(False)
  # Blocks repeat this: attention to all tokens before, or to a window.
  pattern: tuple[str, ...] = option(("global",), choices=("global", "local"))
  # Tokens that a local block sees, the token itself counted.
  window: int = option(0, low=0, **_POSITIONS)
  # Scores are divided by the square root of it; 0: head_width.
  query_width: float = option(0.0, low=0.0)
  # Soft caps, c · tanh(x / c), of scores and of logits; 0: none.
  score_cap: float = option(0.0, low=0.0)
  logit_cap: float = option(0.0, low=0.0)
  positions: str = option("rotary", choices=("rotary", "learned"))
  # Base wave length of rotary positions.
  rope_theta: float = option(10000.0, low=1.0)
  # That of local blocks, which are never scaled then; 0: as the others.
  rope_local_theta: float = option(0.0, low=0.0)
  # How rotary positions are stretched, and how far.
  rope_scaling: str = option(
      "none", choices=("none", "linear", "llama3", "yarn")
  )
  rope_factor: float = option(1.0, low=1.0)
  # llama3, yarn: turns over `rope_original` positions, the length before
  # stretching: fewer than low are stretched, more than high are kept.
  rope_low: float = option(1.0, low=0.0)
  rope_high: float = option(4.0, low=0.0)
  rope_original: int = option(0, low=0, **_POSITIONS)
  # Positions the model has: rows of learned positions, a bound for rotary.
  max_positions: int = option(2048, low=1, **_POSITIONS)
  # Embeddings are multiplied by the square root of the width.
  embedding_scaled: bool = option(False)
  # Output projection shares the embedding.
  tied: bool = option(True)
  # Rows of the embedding are padded to a multiple of it, for a mesh that
  # splits them; no token or probability is ever there.
  vocab_multiple: int = option(
      1, low=1, high=2**20, why="the padding is held in memory"
  )
  # Element type of activations; parameters are float32.
  dtype: str = option("float32", choices=("float32", "bfloat16"))
  # Standard deviation of new matrices; those that write to the residual have
  # it divided by the square root of twice the layers (GPT-2).
  init_std: float = option(0.02, low=0.0)


@dataclasses.dataclass(frozen=True)
class Lora:
  """Low-rank adapters (2106.09685) on a frozen base; rank 0: there are none.

  There is no dropout: what is learned is a function of the order alone.
  """

  # Inner width of each adapter; 0: all parameters are trained.
  rank: int = option(0, low=0, **_WIDTH)
  # Adapters are multiplied by alpha / rank.
  alpha: float = option(16.0, low=0.0)
  # Which projections: a regular expression over their whole path without the
  # layer, such as r"attention/(query|value)", r"mlp/.*" or r".*".
  targets: str = option(r"attention/(query|value)", kind="regex")
  # Element type in which the frozen base is held.
  base: str = option("float32", choices=("float32", "bfloat16"))
  # A directory of PEFT adapter files to begin with, which bring rank, alpha
  # and targets along; "": new adapters, which change nothing yet.
  init: str = option("", kind="local", machine=True)


NO_LORA = Lora()


@dataclasses.dataclass(frozen=True)
class Train:
  """The optimizer and its schedule (2406.11721: see spec of section 5)."""

  # Seed of new parameters and adapters; None: config.seed.
  seed: int | None = option(None, newer=True, **_SEED)
  # Examples per step.
  batch_size: int = option(16, low=1, **machine_options.STEP)
  # Peak learning rate; the first step uses it.
  learning_rate: float = option(3e-4, low=0.0)
  # Share of the peak that it ends at.
  final_share: float = option(0.1, low=0.0, high=1.0)
  # How it falls from the peak to that share.
  schedule: str = selector("cosine", "schedule")
  # The step at which it would reach that share: the number of steps; released:
  # 1 more if the last step is full, as N // batch_size + 1 in the released
  # code.
  schedule_end: str = option("steps", choices=("steps", "released"), newer=True)
  # Steps of linear warm-up, fewer than the order has.
  warmup_steps: int = option(0, low=0)
  # Decay of Adam's first moment, below 1.
  b1: float = option(0.9, **_DECAY)
  # Decay of Adam's second moment, below 1.
  b2: float = option(0.95, **_DECAY)
  # Added outside the square root; above 0.
  eps: float = option(
      1e-5, above=0.0, why="a gradient of 0 would be divided by 0"
  )
  # Share of each parameter that a step of rate 1 takes away (AdamW).
  weight_decay: float = option(0.0, low=0.0)
  # Largest global gradient norm; 0: gradients are not clipped.
  clip: float = option(1.0, low=0.0)
  # Element type in which Adam's first moment is held.
  first_moment: str = option("float32", choices=("float32", "bfloat16"))
  # Decay of an exponential moving average of the parameters over the steps,
  # which is evaluated beside them as NAME@ema; 0: there is none.
  ema: float = option(0.0, newer=True, **_DECAY)
  # Snapshots of the parameters, the newest ones, whose mean is evaluated beside
  # them as NAME@mean; 0: there is none.
  mean_of: int = option(
      0,
      low=0,
      high=1024,
      why="each is held on the devices",
      newer=True,
  )
  # Steps between these snapshots; step 0 is the first.
  mean_every: int = option(10, low=1, newer=True)
  # 1: mean over the loss tokens of the batch. n: mean of the n token means of
  # examples i, i+n, … (the released code's 2 devices x 8 examples: 2).
  loss_groups: int = option(1, low=1)


@dataclasses.dataclass(frozen=True)
class Eval:
  """One evaluation in the loop, named by its key in `evals`.

  The selected evaluator adds its own options.
  """

  # What is evaluated; docs/evaluations.md.
  type: str = selector("loss", "evaluator", bare=True)
  # The held-out set.
  split: str = option("heldout")
  # Most examples to evaluate, always the same ones: the first of each task,
  # then the second of each, …; -1: all.
  max_examples: int = option(-1, low=-1)
  # Most examples of each task, in the same sequence; -1: all.
  per_task: int = option(-1, low=-1, newer=True)
  # Seed of a random sequence of the set's examples, as Dataset.shuffle of
  # Hugging Face draws it, from which max_examples and per_task take the first;
  # None: that of the ids.
  draw: int | None = option(None, newer=True, **_SEED)
  # loss: what an example counts that has no answer token, see data.unanswered:
  # nothing; or a loss of 0, as in the released code.
  unanswered: str = option("exclude", choices=("exclude", "zero"), newer=True)
  # Steps between evaluations; step 0 and the last are always evaluated.
  every_steps: int = option(10, low=1)


@dataclasses.dataclass(frozen=True)
class Target:
  """What a run should show; the report says whether it does."""

  # A path in metrics.jsonl, such as "heldout/loss".
  metric: str = option("heldout/loss")
  # Over which evaluations.
  measure: str = option("final", choices=("final", "mean", "first_tenth"))
  # The value to stay below, and the one to come above; at least one of them.
  below: float | None = option(None)
  above: float | None = option(None)


@dataclasses.dataclass(frozen=True)
class Plan:
  """What `--stage=plan` plans for."""

  # A TPU topology such as "v5e:4x4", or one chip such as "H200 SXM"; "" for
  # the devices that are here.
  topology: str = option("", machine=True)
  # Rows of a step; 0: as in the order's most expensive shape or, if there is no
  # order yet, one for each example.
  rows: int = option(0, low=0, machine=True, **machine_options.STEP)
  # Tokens of a row; 0: likewise, or data.max_length.
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

  # Names the run's directory.
  name: str = option("run")
  # Draws the suite's instances, shuffles, and new parameters, except where
  # data.seed, data.heldout_seed, order.seed or train.seed do.
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
  # What the run should show, by name.
  targets: Mapping[str, Target] = dataclasses.field(
      default_factory=dict, metadata=dict(of=Target, machine=True)
  )
  # "RUN@STEP": the run begins with the full state of another run's checkpoint
  # and goes on under the order of this config; "": it begins with step 0. RUN is
  # a directory; of a run in a bucket, the URL of one in the same workdir.
  fork: str = option("", newer=True)
  # What a fork consumes. rest: the order of the examples that RUN did not
  # consume before STEP; all: the order of all examples, some of which may come
  # again; tail: what that order has from STEP on.
  fork_order: str = option("rest", choices=PARTS, newer=True)
  machine: Machine = section(Machine, machine=True)
  # Most points of a sweep that are trained as one program, of those that have
  # one shape; -1: as many as the devices have room for, where that is a gain.
  population: int = option(1, low=-1, machine=True)
  # Steps [first, beyond) whose trace is written to the run's profile/; ():
  # none.
  profile: tuple[int, ...] = option((), low=0, machine=True)
  plan: Plan = section(Plan, machine=True)
  # Modules that register components: next to the config file, or importable.
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
