"""What weights are called, and how they lie in a file.

Files hold a linear map as a matrix [outputs, inputs] (GPT-2: [inputs,
outputs]), its axes flattened, one layer a tensor; here the axes are apart and
the layers of the scanned pattern are stacked.
"""

from collections.abc import Mapping
import dataclasses
import re
from typing import NamedTuple

from zsgen.core import config

_LAYER = re.compile(r"(blocks/(\d+)|rest_(\d+))/(.+)")
_SUFFIX = {"kernel": "weight", "scale": "weight", "bias": "bias"}
# Leading axes of each kernel that are the map's inputs.
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


@dataclasses.dataclass(frozen=True)
class Names:
  """A family's names.

  Attributes:
    prefix: of all weights but the head's; files of a model without a head
      leave it away.
    layer: of a block, with its number.
    top: names of what is not in a block, without the prefix.
    block: names of what is in a block.
    flipped: whether matrices are [outputs, inputs].
    buffers: of weights in old files that are no parameters.
  """

  prefix: str
  layer: str
  top: Mapping[str, str]
  block: Mapping[str, str]
  flipped: bool = True
  buffers: str = r".*\.rotary_emb\.inv_freq"


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
HEAD = "lm_head.weight"


class Source(NamedTuple):
  """Where one layer of a parameter lies.

  Attributes:
    name: of the weight.
    inputs: leading axes of the parameter that are inputs; 0: a vector.
    flipped: whether the weight is [outputs, inputs].
    part: of the outputs of a weight that several parameters share.
    parts: how many share it.
  """

  name: str
  inputs: int
  flipped: bool
  part: int = 0
  parts: int = 1


def sources(path: str, arch: config.Model, names: Names) -> list[Source]:
  """Where a parameter lies: one source a layer, or one for all of it.

  Args:
    path: of the parameter, such as "blocks/0/mlp/up/kernel".
    arch: whose parameter it is.
    names: of its family.
  """
  if path == "head/kernel":
    return [Source(HEAD, inputs=1, flipped=True)]
  found = _LAYER.fullmatch(path)
  if not found:
    name, _, leaf = path.partition("/")
    said = names.prefix + names.top[name]
    if leaf:
      return [Source(f"{said}.{_SUFFIX[leaf]}", inputs=0, flipped=False)]
    return [Source(said, inputs=1, flipped=False)]
  _, place, left, inside = found.groups()
  return [
      _in_block(names, number, inside) for number in _numbers(arch, place, left)
  ]


def _numbers(arch: config.Model, place: str | None, left: str | None) -> range:
  """Layers that a stacked parameter, or one left over, is of."""
  size = len(arch.pattern)
  whole = arch.layers // size * size
  if left is not None:
    return range(whole + int(left), whole + int(left) + 1)
  return range(int(place or 0), whole, size)


def _in_block(names: Names, number: int, inside: str) -> Source:
  module, leaf = inside.rsplit("/", 1)
  said = names.block[module]
  parts = [each for each, name in names.block.items() if name == said]
  return Source(
      name=f"{names.prefix}{names.layer.format(number)}{said}.{_SUFFIX[leaf]}",
      inputs=_INPUTS.get(inside, 1) if leaf == "kernel" else 0,
      flipped=names.flipped and leaf == "kernel",
      part=parts.index(module),
      parts=len(parts),
  )
