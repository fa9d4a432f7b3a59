"""The names of weights and their layout in a file.

In files, a linear map is a matrix [outputs, inputs] (GPT-2: [inputs, outputs])
with flattened axes, one tensor per layer. The parameters of the decoder have
separate axes, and the layers of the scanned pattern are stacked.
"""

from collections.abc import Mapping
import dataclasses
import math
import re
from typing import NamedTuple

from zsgen.core import config

_LAYER = re.compile(r"(blocks/(\d+)|rest_(\d+))/(.+)")
_SUFFIX = {"kernel": "weight", "scale": "weight", "bias": "bias"}
# The number of leading axes of a kernel that are inputs, if it is not 1.
_INPUTS = {"attention/out/kernel": 2}
_LLAMA_BLOCK = {
    "attention_norm": "input_layernorm",
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/out": "self_attn.o_proj",
    "attention/query_norm": "self_attn.q_norm",
    "attention/key_norm": "self_attn.k_norm",
    "mlp_norm": "post_attention_layernorm",
    "mlp/gate": "mlp.gate_proj",
    "mlp/up": "mlp.up_proj",
    "mlp/down": "mlp.down_proj",
}
_FUSED = ("attention/query", "attention/key", "attention/value")
HEAD = "lm_head.weight"


@dataclasses.dataclass(frozen=True)
class Names:
  """The names of a family's weights.

  Attributes:
    prefix: the prefix of all weights but the head's; files of models without a
      head omit it.
    layer: the prefix of a block, with its number.
    top: names of weights outside of blocks, without the prefix.
    block: names of weights in a block.
    flipped: whether matrices are [outputs, inputs].
    buffers: pattern of weights in old files that are not parameters.
    head: the name of the output projection.
  """

  prefix: str
  layer: str
  top: Mapping[str, str]
  block: Mapping[str, str]
  flipped: bool = True
  buffers: str = r".*\.rotary_emb\.inv_freq"
  head: str = HEAD


LLAMA = Names(
    prefix="model.",
    layer="layers.{}.",
    top={"embedding": "embed_tokens.weight", "final_norm": "norm"},
    block=_LLAMA_BLOCK,
)
GEMMA = dataclasses.replace(
    LLAMA,
    block={
        **_LLAMA_BLOCK,
        "mlp_norm": "pre_feedforward_layernorm",
        "attention_post_norm": "post_attention_layernorm",
        "mlp_post_norm": "post_feedforward_layernorm",
    },
)
GPT2 = Names(
    prefix="transformer.",
    layer="h.{}.",
    top={
        "embedding": "wte.weight",
        "positions": "wpe.weight",
        "final_norm": "ln_f",
    },
    block={
        "attention_norm": "ln_1",
        **dict.fromkeys(_FUSED, "attn.c_attn"),
        "attention/out": "attn.c_proj",
        "mlp_norm": "ln_2",
        "mlp/up": "mlp.c_fc",
        "mlp/down": "mlp.c_proj",
    },
    flipped=False,
    buffers=r".*\.attn\.(bias|masked_bias)",
)


class Source(NamedTuple):
  """The location of one layer of a parameter.

  Attributes:
    name: the name of the weight.
    inputs: number of leading axes that are inputs; 0 for vectors.
    flipped: whether the weight is [outputs, inputs].
    part: index of the parameter among those that share the weight's outputs.
    parts: number of parameters that share the weight.
  """

  name: str
  inputs: int
  flipped: bool
  part: int = 0
  parts: int = 1


def sources(path: str, arch: config.Model, names: Names) -> list[Source]:
  """Returns the sources of a parameter: one per layer, or a single one.

  Args:
    path: path of the parameter, such as "blocks/0/mlp/up/kernel".
    arch: the architecture.
    names: the names of its family.
  """
  if path == "head/kernel":
    return [Source(names.head, inputs=1, flipped=True)]
  match = _LAYER.fullmatch(path)
  if not match:
    name, _, leaf = path.partition("/")
    weight = names.prefix + names.top[name]
    if leaf:
      return [Source(f"{weight}.{_SUFFIX[leaf]}", inputs=0, flipped=False)]
    return [Source(weight, inputs=1, flipped=False)]
  _, position, rest_index, name = match.groups()
  return [
      _in_block(names, number, name)
      for number in _numbers(arch, position, rest_index)
  ]


def _numbers(
    arch: config.Model, position: str | None, rest_index: str | None
) -> range:
  """Returns the layers of a stacked parameter or of one of the remaining
  blocks.
  """
  size = len(arch.pattern)
  repeated = arch.layers // size * size
  if rest_index is not None:
    return range(repeated + int(rest_index), repeated + int(rest_index) + 1)
  return range(int(position or 0), repeated, size)


def _in_block(names: Names, number: int, path: str) -> Source:
  """Returns where a weight of a block is among the tensors."""
  module, leaf = path.rsplit("/", 1)
  weight = names.block[module]
  parts = [part for part, name in names.block.items() if name == weight]
  return Source(
      name=f"{names.prefix}{names.layer.format(number)}{weight}.{_SUFFIX[leaf]}",
      inputs=_INPUTS.get(path, 1) if leaf == "kernel" else 0,
      flipped=names.flipped and leaf == "kernel",
      part=parts.index(module),
      parts=len(parts),
  )


def weight_shapes(
    shapes: Mapping[str, tuple[int, ...]], arch: config.Model, names: Names
) -> dict[str, tuple[int, ...]]:
  """Returns the names and shapes of the weights in a file.

  Args:
    shapes: the shape of each parameter, by path.
    arch: the architecture.
    names: the names of its family.
  """
  weights = {}
  for path, shape in shapes.items():
    layer = shape[1:] if path.startswith("blocks/") else shape
    for source in sources(path, arch, names):
      sizes = _sizes(path, layer, source, arch)
      weights[source.name] = sizes[::-1] if source.flipped else sizes
  return weights


def mismatches(
    shapes: Mapping[str, tuple[int, ...]],
    expected: Mapping[str, tuple[int, ...]],
) -> list[str]:
  """Returns what is wrong with the weights of a file, in a few words each."""
  problems = [f"{name} is missing" for name in sorted({*expected} - {*shapes})]
  problems += [
      f"{name} {list(shapes[name])} is left over"
      for name in sorted({*shapes} - {*expected})
  ]
  problems += [
      f"{name} is {list(shapes[name])}, not {list(expected[name])}"
      for name in sorted({*shapes} & {*expected})
      if shapes[name] != expected[name]
  ]
  return problems


def _sizes(
    path: str, shape: tuple[int, ...], source: Source, arch: config.Model
) -> tuple[int, ...]:
  """Returns the inputs and outputs of a weight in the file, or its outputs."""
  if path in ("embedding", "head/kernel"):
    table = (arch.vocab_size, arch.width)
    return table if path == "embedding" else table[::-1]
  outputs = math.prod(shape[source.inputs :]) * source.parts
  if not source.inputs:
    return (outputs,)
  return math.prod(shape[: source.inputs]), outputs
