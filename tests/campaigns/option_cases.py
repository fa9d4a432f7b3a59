"""Values of every option: ends of ranges, beyond them, of wrong types.

`cases` takes the schema field by field. An option that only some component
reads is tried with that component and, at a value that is right, without it.
"""

import collections
from collections.abc import Iterator, Mapping
import dataclasses
import functools
import itertools
import json
import math
import types
import typing
from typing import Any

from zsgen import rewrites
from zsgen.core import config, plugins, registry, schema

FILE = "tests/campaigns/option_config.py"
# Stands for a reward model of this name in the workdir.
REWARD_MODEL = "reward-model"
_PARTS = [{"arrangement": "random", "budget": 8}]
_REWRITES = {
    "data.source": "rewrites",
    "data.train_instances": 320,
    "data.heldout_instances": 5,
    "data.rewrites.rules": 4,
    "data.rewrites.examples": 16,
    "data.rewrites.unseen": 4,
    "data.rewrites.seen": 4,
    "evals.heldout.split": "unseen",
    "order.target": "unseen",
    "order.budget": 8,
}
# Options that make a component read others, by the beginning of their names.
# The longest that fits counts.
CONTEXTS: dict[str, dict[str, Any]] = {
    "data.rewrites": _REWRITES,
    "data.rewrites.hard_share": {
        **_REWRITES,
        "data.rewrites.noop_share": 0.5,
        "data.rewrites.hard_share": 0.25,
    },
    "data.rewrites.subsample_power_law": {
        **_REWRITES,
        "data.rewrites.subsample": 0.5,
    },
    **{
        f"data.{name}": {"data.prompt": "niv2", "data.shots": 0}
        for name in (
            "shots",
            "negative_shots",
            "prompt_tokens",
            "explanations",
            "task_name",
            "definition",
        )
    },
    "order.clusters": {
        "order.arrangement": "cluster",
        "order.by": "kmeans",
        "order.clusters": 3,
    },
    "order.pick": {"order.arrangement": "tmt"},
    "order.rounds": {"order.arrangement": "tmt", "order.budget": -1},
    "order.setting": {"order.arrangement": "released", "order.budget": -1},
    **{
        f"order.{name}": {
            "order.arrangement": "scored",
            "order.sequence": sequence,
        }
        for name, sequence in (
            ("layers", "fold"),
            ("highest_first", "zigzag"),
            ("sections", "stair"),
            ("radius", "saw"),
            ("front", "segment"),
            ("back", "segment"),
        )
    },
    "order.column": {
        "order.arrangement": "scored",
        "order.score": "file",
        "order.path": "tests/campaigns/scores.csv",
    },
    **{
        f"order.{name}": {
            "order.arrangement": "scored",
            "order.score": "loss",
            "order.embedder": "",
        }
        for name in ("remake_every", "remake_steps")
    },
    "probe": {"probe.examples": 2},
    "order.epsilon": {"order.arrangement": "transport", "order.exact_pairs": 0},
    "order.parts": {"order.arrangement": "concatenate", "order.parts": _PARTS},
    "order.turns": {"order.arrangement": "interleave", "order.parts": _PARTS},
    **{
        f"order.{name}": {"order.arrangement": "take", "order.parts": _PARTS}
        for name in ("start", "stop", "spread")
    },
    **{
        f"order.{name}": {
            "order.arrangement": "repeat",
            "order.parts": _PARTS,
            "order.epochs": 2,
        }
        for name in ("epochs", "fresh")
    },
    "order.encoder_dtype": {"order.embedder": "minilm"},
    "order.feature_dtype": {"order.embedder": "hidden"},
    "model.window": {"model.pattern": ["local"], "model.window": 8},
    "model.rope_local_theta": {
        "model.pattern": ["local", "global"],
        "model.window": 8,
        "model.layers": 2,
    },
    "model.rope_factor": {
        "model.rope_scaling": "linear",
        "model.rope_factor": 2.0,
    },
    **{
        f"model.{name}": {
            "model.rope_scaling": "llama3",
            "model.rope_factor": 2.0,
            "model.rope_original": 64,
        }
        for name in ("rope_low", "rope_high", "rope_original")
    },
    "lora": {"lora.rank": 2},
    **{
        f"evals.heldout.{name}": {
            "targets": {},
            "evals.heldout.type": "generate",
            "evals.heldout.max_new_tokens": 4,
            "evals.heldout.decoding": "sample",
        }
        for name in (
            "decoding",
            "max_new_tokens",
            "temperature",
            "top_k",
            "top_p",
            "penalty",
        )
    },
    "evals.heldout.rouge_words": {
        "targets": {},
        "evals.heldout.type": "generate",
        "evals.heldout.max_new_tokens": 4,
    },
    **{
        f"evals.heldout.{name}": {
            "targets": {},
            "evals.heldout.type": "harness",
            "evals.heldout.tasks": ["arc_easy"],
        }
        for name in ("tasks", "few_shot", "chat_template", "bos")
    },
    **{
        f"evals.heldout.{name}": {
            "targets": {},
            "evals.heldout.type": "reward",
            "evals.heldout.reward_model": REWARD_MODEL,
            "evals.heldout.reward_length": 512,
        }
        for name in (
            "reward_model",
            "answers",
            "form",
            "reward_length",
            "reward_dtype",
        )
    },
    "plan": {"plan.topology": "H200 SXM"},
}
# A right value that is not the default, of options that need one.
_RIGHT = {
    "data.fields.key": "k",
    "data.fields.split": "s",
    "data.rewrites.families": ["repeat"],
    "order.rounds": [0, 1],
    "order.turns": [2],
    "order.parts": _PARTS,
    "order.stop": 4,
    "order.start": 1,
    "order.column": "points",
    "order.remake_steps": [1],
    "probe.steps": [1],
    "model.pattern": ["local"],
    "machine.mesh.rules": [{"parameters": "x", "axes": ["data"]}],
    "profile": [0, 1],
    "machine.keep_steps": [1],
}
# What ranges of these ask for is work for hours: only what comes before it.
HEAVY = (
    "order.epochs",
    "data.train_instances",
    "data.heldout_instances",
    "data.rewrites",
    "model.layers",
)
_TEXTS = (
    "",
    "no-such",
    "a\0b",
    "x" * 100_000,
    "日本",
    "gs://bucket/x",
    "a/../b",
)
_WRONG = (None, {"a": 1})
_HUGE = 10**30


@dataclasses.dataclass(frozen=True)
class Case:
  """A value of an option, with what makes it be read.

  Attributes:
    field: its path.
    value: as JSON has it.
    context: options set beside it.
    by_flag: whether the command line says it, rather than the config file.
    machine: whether it may never change a result.
    read: whether anything reads it.
  """

  field: str
  value: Any
  context: Mapping[str, Any]
  by_flag: bool = False
  machine: bool = False
  read: bool = True

  def arguments(self, workdir: str) -> list[str]:
    """Returns the command line."""
    options, flags = dict(self.context), []
    if self.by_flag:
      flags = [f"--config.{self.field}={self.value}"]
    else:
      options[self.field] = self.value
    for name, value in options.items():
      if value == REWARD_MODEL:
        options[name] = f"{workdir}/{REWARD_MODEL}"
    is_plan = self.field.startswith("plan.") and self.read
    stage = ["--stage=plan"] if is_plan else []
    file = f"--config={FILE}:{json.dumps(options)}"
    return [file, *flags, f"--workdir={workdir}", *stage]

  @property
  def reach(self) -> str:
    """How far it is run."""
    if self.field.startswith("plan."):
      return "plan"
    number = type(self.value) is int and abs(self.value) > 1000
    return "start" if number and self.field.startswith(HEAVY) else "job"


@dataclasses.dataclass(frozen=True)
class _Option:
  """A field of the schema, or a section that it is.

  Attributes:
    path: its dotted name.
    hint: its type.
    field: its default and range.
    machine: whether it may never change a result.
    context: what selects the component that has it; see also `CONTEXTS`.
    shared: whether several components have it.
  """

  path: str
  hint: Any
  field: dataclasses.Field
  machine: bool
  context: Mapping[str, Any]
  shared: bool = False


def cases() -> list[Case]:
  """Returns all of them, those of the plug-in in the tree too."""
  plugins.load(rewrites.PLUGINS)
  return [*_of_section(config.Config, "", False), *_crossed()]


def _of_section(
    kind: type,
    prefix: str,
    machine: bool,
    context: Mapping[str, Any] = types.MappingProxyType({}),
) -> Iterator[Case]:
  """Cases of the fields of a section, and of the components it may select."""
  hints = typing.get_type_hints(kind, vars(config))
  for field in dataclasses.fields(kind):
    yield from _of_option(
        _option(prefix, hints[field.name], field, machine, context)
    )
  field_names = set()
  for selector, field in schema.selectors(kind).items():
    components = registry.components(field.metadata["selects"])
    owners = collections.Counter(
        own_field.name
        for component in components
        for own_field in schema.own_fields(kind, component.options)
    )
    for component in components:
      selected = {f"{prefix}{selector}": component.name}
      hints = typing.get_type_hints(component.options)
      for own_field in schema.own_fields(kind, component.options):
        if own_field.name not in field_names:
          field_names.add(own_field.name)
          option = _option(
              prefix, hints[own_field.name], own_field, machine, selected
          )
          yield from _of_option(
              dataclasses.replace(option, shared=owners[own_field.name] > 1)
          )


def _option(
    prefix: str,
    hint: Any,
    field: dataclasses.Field,
    machine: bool,
    context: Mapping[str, Any],
) -> _Option:
  """Returns an option of a section; `prefix` is its path and a dot."""
  is_machine = machine or field.metadata.get("machine", False)
  return _Option(f"{prefix}{field.name}", hint, field, is_machine, context)


def _of_option(option: _Option) -> Iterator[Case]:
  """Yields the cases of one option, or of the section that it is."""
  path, machine, context = option.path, option.machine, option.context
  if "of" in option.field.metadata:
    kind = option.field.metadata["of"]
    names = {"evals": "heldout", "targets": "low"}
    if path in names:
      yield from _of_section(kind, f"{path}.{names[path]}.", machine)
    for value in (3, None, [], "x", {"a b": {}}, {"..": {}}, {"": {}}):
      yield Case(path, value, context, machine=machine)
  elif dataclasses.is_dataclass(option.hint):
    yield from _of_section(option.hint, f"{path}.", machine, context)
    yield Case(path, 3, context, machine=machine)
  else:
    yield from _of_field(option)


def _of_field(option: _Option) -> Iterator[Case]:
  """Yields the cases of one field."""
  path, hint, field = option.path, option.hint, option.field
  machine = option.machine
  fits = [name for name in CONTEXTS if _is_under(path, name)]
  context = CONTEXTS[max(fits, key=len)] if fits else option.context
  limits, right = field.metadata, _RIGHT.get(path)
  is_tuple = typing.get_origin(hint) is tuple
  kind = typing.get_args(hint)[0] if is_tuple else hint
  if isinstance(kind, types.UnionType):
    kind, _ = typing.get_args(kind)
  values, flags = _values(kind, limits, field.default, is_tuple)
  if right is not None:
    values.append(right)
  for value in values:
    yield Case(path, value, context, machine=machine)
  for value in () if is_tuple else flags:
    yield Case(path, value, context, by_flag=True, machine=machine)
  # Of what several components have, the default one may be among them.
  is_own = not option.shared and path not in context
  if not _is_default(context) and is_own and path != "order.exact_pairs":
    good = right if right is not None else _good(kind, limits, field.default)
    flag = path.startswith("plan.")
    yield Case(path, good, {}, flag, machine=machine, read=False)


def _is_default(context: Mapping[str, Any]) -> bool:
  """Returns whether a context selects what is selected without it."""
  values = config.defaults().to_dict()
  return all(
      functools.reduce(
          lambda section, key: section.get(key, {}), name.split("."), values
      )
      == value
      for name, value in context.items()
  )


def _is_under(path: str, name: str) -> bool:
  return path == name or path.startswith(f"{name}.")


def _values(
    kind: Any, limits: Mapping[str, Any], default: Any, is_tuple: bool
) -> tuple[list, list]:
  """Values for the file, and texts for the command line."""
  if is_tuple:
    values: list[Any] = [3, None, "x", [None], [[]], [{"no": 1}], [_HUGE]]
    if kind is str:
      values += [["a\0b"], [""], ["x" * 100_000]]
    return values, []
  low, high = limits.get("low"), limits.get("high")
  above, below = limits.get("above"), limits.get("below")
  ends = [end for end in (low, high, above, below) if end is not None]
  if kind is bool:
    return [True, False, None, 3, "x"], ["maybe", "true", _HUGE]
  if kind is int:
    adjacent = [end + step for end in ends for step in (-1, 1)]
    values = [*ends, *adjacent, 2**31, 2**63 - 1, 2**63, -1, -(2**63), _HUGE]
    values += [1.5, "x", True, math.nan, *_WRONG]
    return _once(values), [_HUGE, "x", "", 1.5]
  if kind is float:
    adjacent = [
        math.nextafter(end, s * math.inf) for end in ends for s in (-1, 1)
    ]
    values = [*ends, *adjacent, -1.0, 1e300, 5e-324, _HUGE, math.nan, math.inf]
    values += [-math.inf, "x", True, *_WRONG]
    return _once(values), ["nan", "inf", "-inf", "1e400", "x", ""]
  choices = list(limits.get("choices", ()))
  values = [*choices, *_TEXTS, 3, *_WRONG]
  values += [choice.upper() for choice in choices[:1]]
  return _once(values), [f"{default}x", "日本"]


def _once(values: list) -> list:
  """Values without those that come again; 1, 1.0 and True are three."""
  return list(
      {f"{type(value).__name__} {value!r}": value for value in values}.values()
  )


def _good(kind: Any, limits: Mapping[str, Any], default: Any) -> Any:
  """Returns a right value that is not the default."""
  if kind is bool:
    return not default
  if limits.get("choices"):
    return next(choice for choice in limits["choices"] if choice != default)
  if kind is str:
    return "other"
  if isinstance(default, tuple):
    return [*default, 2]
  if default is None:
    return 2
  return default + 1 if default >= 0 else 2


def _crossed() -> Iterator[Case]:
  """Yields options that contradict each other."""
  target = {"metric": "heldout/loss", "measure": "final"}
  combinations: list[tuple[str, Any, dict[str, Any]]] = [
      ("data.path", "x", {}),
      ("data.tokenizer_path", "x", {}),
      ("order.path", "x.csv", {}),
      ("order.encoder", "x", {}),
      ("lora.init", "x", {"lora.rank": 0}),
      ("order.text", "prompt", {"order.embedder": ""}),
      ("order.target_task", "x", {"order.embedder": ""}),
      ("order.encoder_dtype", "bfloat16", {}),
      ("order.feature_dtype", "bfloat16", {}),
      ("order.text", "prompt", {"order.embedder": "gradient"}),
      ("order.checkpoint", "run", {"order.embedder": "hidden"}),
      ("order.parts", _PARTS, {}),
      ("order.clusters", 3, {"order.arrangement": "cluster"}),
      ("order.layers", 3, {"order.arrangement": "scored"}),
      (
          "order.remake_steps",
          [1, 1],
          CONTEXTS["order.remake_steps"],
      ),
      (
          "order.remake_steps",
          [1],
          {**CONTEXTS["order.remake_steps"], "order.remake_every": 1},
      ),
      ("order.remake_every", 2, CONTEXTS["order.remake_every"]),
      ("order.remake_every", 1, {"order.arrangement": "tmt"}),
      (
          "order.remake_every",
          1,
          {"order.arrangement": "random", "order.embedder": "hidden"},
      ),
      (
          "order.remake_every",
          1,
          {**CONTEXTS["order.remake_every"], "probe.examples": 2},
      ),
      ("probe.examples", 9, {}),
      ("probe.steps", [3], CONTEXTS["probe"]),
      ("evals", {"probe": {}}, {"targets": {}}),
      ("order.window", 9, {"order.arrangement": "scored"}),
      ("order.score", "file", {"order.arrangement": "scored"}),
      ("order.stop", 2, {**CONTEXTS["order.start"], "order.start": 2}),
      ("order.rounds", [3, 3], CONTEXTS["order.rounds"]),
      ("order.rounds", [1], CONTEXTS["order.rounds"]),
      ("order.rounds", [0, 1, 2], CONTEXTS["order.rounds"]),
      ("order.turns", [1, 2], CONTEXTS["order.turns"]),
      ("order.parts", [{"clusters": 3}], CONTEXTS["order.parts"]),
      ("order.parts", [{"arrangement": "no"}], CONTEXTS["order.parts"]),
      ("model.rope_low", 5.0, CONTEXTS["model.rope_low"]),
      ("model.rope_scaling", "yarn", {}),
      ("model.rope_theta", 5e4, {"model.positions": "learned"}),
      ("model.rope_scaling", "linear", {"model.positions": "learned"}),
      ("model.window", 8, {"model.positions": "learned"}),
      ("model.layers", 4, {"model.init": "tiny", "model.layers": 7}),
      ("train.warmup_steps", 3, {}),
      ("train.b1", 1.0, {}),
      ("train.b2", 1.0, {}),
      ("train.eps", 0.0, {}),
      ("lora.targets", "(", {"lora.rank": 2}),
      ("lora.targets", "(a+)+$", {"lora.rank": 2}),
      ("lora.targets", "(?:" * 500 + ")" * 500, {"lora.rank": 2}),
      ("machine.mesh.rules", [{"parameters": "(", "axes": []}], {}),
      ("machine.mesh.rules", [{"parameters": "x{99999}", "axes": []}], {}),
      ("machine.mesh.rules", [{"parameters": "", "axes": []}], {}),
      ("machine.trackio", "project", {}),
      ("machine.wandb", "project", {}),
      *(("population", count, {}) for count in (2, 0, -1)),
      ("machine.hosts.index", 1, {"machine.hosts.count": 1}),
      ("machine.hosts.index", 5, {"machine.hosts.count": 3}),
      ("machine.export", "adapter", {}),
      ("profile", [0, 99], {}),
      ("profile", [1, 1], {}),
      (
          "evals.heldout.top_k",
          3,
          CONTEXTS["evals.heldout.top_k"] | {"evals.heldout.temperature": 0.0},
      ),
      ("evals.heldout.split", "train", {}),
      *(
          ("evals", {name: {}}, {"targets": {}})
          for name in (".", "..", "a/b", "a\0", "x" * 65, "a\n", "", "train")
      ),
      *(
          ("targets", {"t": {**target, **fields}}, {})
          for fields in (
              {"metric": "nobody/loss", "below": 1.0},
              {"metric": "heldout/rougeL", "below": 1.0},
              {"metric": "heldout/no_task/loss", "below": 1.0},
              {"metric": "", "below": 1.0},
              {"below": 1.0, "above": 2.0},
              {"below": 1.0, "above": 1.0},
              {},
          )
      ),
      *(("name", name, {}) for name in (".", "..", "a/b", "\0", "", ".x")),
  ]
  for field, value, context in combinations:
    yield Case(field, value, context, machine=True, read=False)


def sample(every: int) -> list[Case]:
  """Returns every n-th case, where n is `every`."""
  return list(itertools.islice(cases(), 0, None, every))
