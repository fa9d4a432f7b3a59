"""config.json and generation_config.json of what is exported.

What the base's files say stays, fields that nothing here reads among it. What
is no longer so is written anew: the element type, ids of another tokenizer, the
tokens that end an answer, and code that is not beside the files.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
import re
from typing import Any, NamedTuple

from zsgen import config
from zsgen.models.hugging_face import families, files

GENERATION = "generation_config.json"
# Fields that hold ids of a tokenizer.
_IDS = re.compile(r".*_token_ids?|.*_ids|(begin_)?suppress_tokens")
_MORE_IDS = ("sequence_bias", "constraints", "forced_decoder_ids")
# What points to Python files of the base.
_CODE = ("auto_map", "custom_generate")
_NAMES = ("bos_token_id", "eos_token_id", "pad_token_id")
_EOS = "eos_token_id"
_DTYPES = ("dtype", "torch_dtype")


class Base(NamedTuple):
  """What a base's files say: config.json, generation_config.json or {}."""

  config: Mapping[str, Any]
  generation: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Tokens:
  """What a tokenizer says.

  Attributes:
    ids: "bos_token_id", "eos_token_id" and "pad_token_id".
    ends: ids that end an answer.
  """

  ids: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
  ends: Sequence[int] = ()


def read(directory: pathlib.Path, same_ids: bool) -> Base:
  """What the files of a base say.

  Args:
    directory: of the base.
    same_ids: whether its ids are those of the tokenizer that is exported;
      fields of other ids are left out.

  Raises:
    InputError: config.json is missing, or a file is damaged.
  """
  found = [files.read_json(directory / files.CONFIG), {}]
  if (directory / GENERATION).is_file():
    found[1] = files.read_json(directory / GENERATION)
  return Base(*(_kept(said, same_ids) for said in found))


def described(
    arch: config.Model, dtype: str, tokens: Tokens, base: Base | None
) -> tuple[str, dict[str, Any], dict[str, Any]]:
  """The files of a model.

  Args:
    arch: its architecture.
    dtype: element type of its weights.
    tokens: of the tokenizer beside it.
    base: whose files are kept, if they are of this architecture.

  Returns:
    The model_type, config.json and generation_config.json.

  Raises:
    InputError: no Hugging Face family has such an architecture.
  """
  kind, said = families.family_of(arch, base.config if base else None)
  generation = dict(base.generation) if base else {}
  ids = {name: said[name] for name in _NAMES if name in said} or tokens.ids
  ended = {_EOS: _ends(ids.get(_EOS), tokens.ends)}
  types = [name for name in _DTYPES if name in said] or _DTYPES[:1]
  said = {**said, **ids, **ended, **dict.fromkeys(types, dtype)}
  ids = {name: generation[name] for name in _NAMES if name in generation} or ids
  ended = {_EOS: _ends(ids.get(_EOS), tokens.ends)}
  return kind, said, {**generation, **ids, **ended}


def _kept(said: Mapping[str, Any], same_ids: bool) -> dict[str, Any]:
  """What of a file is true of what is exported."""
  return {
      field: value
      for field, value in said.items()
      if field not in _CODE and (same_ids or not _holds_ids(field))
  }


def _holds_ids(field: str) -> bool:
  return field in _MORE_IDS or _IDS.fullmatch(field) is not None


def _ends(known: Any, ends: Sequence[int]) -> int | list[int] | None:
  """Ids that end an answer: those known, then the others."""
  before = known if isinstance(known, list) else [known]
  found = [i for i in before if i is not None]
  found += [i for i in ends if i not in found]
  if isinstance(known, list):
    return found
  return found[0] if len(found) == 1 else found or None
