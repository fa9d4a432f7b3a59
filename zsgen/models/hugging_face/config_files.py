"""Makes config.json and generation_config.json of an export.

The settings of the base's files are kept, including unknown fields. What no
longer applies is replaced or removed: the dtype, ids of another tokenizer, the
tokens that end an answer, and references to code.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
import re
from typing import Any, NamedTuple

from zsgen.core import config
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
  """The content of a base's config.json and generation_config.json (or {})."""

  config: Mapping[str, Any]
  generation: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Tokens:
  """Token ids of a tokenizer.

  Attributes:
    ids: the fields "bos_token_id", "eos_token_id" and "pad_token_id".
    ends: the ids that end an answer.
  """

  ids: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
  ends: Sequence[int] = ()


def read(directory: pathlib.Path, same_ids: bool) -> Base:
  """Reads the files of a base.

  Args:
    directory: the directory of the base.
    same_ids: whether its token ids are those of the exported tokenizer;
      otherwise fields with token ids are left out.

  Raises:
    InputError: config.json is missing, or a file is damaged.
  """
  contents = [files.read_json(directory / files.CONFIG), {}]
  if (directory / GENERATION).is_file():
    contents[1] = files.read_json(directory / GENERATION)
  return Base(*(_applicable(content, same_ids) for content in contents))


def describe(
    arch: config.Model, dtype: str, tokens: Tokens, base: Base | None
) -> tuple[str, dict[str, Any], dict[str, Any]]:
  """Returns the contents of the files of a model.

  Args:
    arch: the architecture.
    dtype: the dtype of the weights.
    tokens: the token ids of the exported tokenizer.
    base: the base whose settings are kept if it has this architecture.

  Returns:
    The model_type, config.json and generation_config.json.

  Raises:
    InputError: no Hugging Face family has such an architecture.
  """
  kind, content = families.family_of(arch, base.config if base else None)
  generation = dict(base.generation) if base else {}
  ids = {
      name: content[name] for name in _NAMES if name in content
  } or tokens.ids
  end_ids = {_EOS: _ends(ids.get(_EOS), tokens.ends)}
  types = [name for name in _DTYPES if name in content] or _DTYPES[:1]
  content = {**content, **ids, **end_ids, **dict.fromkeys(types, dtype)}
  ids = {name: generation[name] for name in _NAMES if name in generation} or ids
  end_ids = {_EOS: _ends(ids.get(_EOS), tokens.ends)}
  return kind, content, {**generation, **ids, **end_ids}


def _applicable(content: Mapping[str, Any], same_ids: bool) -> dict[str, Any]:
  """Returns the fields of a base's file that apply to the export."""
  return {
      field: value
      for field, value in content.items()
      if field not in _CODE and (same_ids or not _holds_ids(field))
  }


def _holds_ids(field: str) -> bool:
  return field in _MORE_IDS or _IDS.fullmatch(field) is not None


def _ends(known: Any, ends: Sequence[int]) -> int | list[int] | None:
  """Returns the ids that end an answer: those of the base, then all others."""
  base_ids = known if isinstance(known, list) else [known]
  ids = [i for i in base_ids if i is not None]
  ids += [i for i in ends if i not in ids]
  if isinstance(known, list):
    return ids
  return ids[0] if len(ids) == 1 else ids or None
