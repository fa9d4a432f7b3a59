"""Fast tokenizers as Hugging Face directories hold them.

tokenizer.json decides the ids; the other files say which tokens are special.
No code of a model's is run, and nothing is unpickled.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib
from typing import Any

from zsgen.core import artifacts, errors, hub, strict_json

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
MAP = "special_tokens_map.json"
_MODEL, _TEMPLATE = "config.json", "chat_template.jinja"
_FILES = (TOKENIZER, CONFIG, MAP, _MODEL, _TEMPLATE)
_NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


@dataclasses.dataclass(frozen=True)
class Files:
  """A tokenizer's files, put together.

  Attributes:
    directory: where they are.
    spec: tokenizer.json: no padding, truncation or dropout; every special
      token that any file names is in `added_tokens`, marked special.
    special_tokens: strings by name ("eos_token"), where the vocabulary has
      them.
    adds_bos: whether a text begins with BOS; None where no file says so.
    chat_template: Jinja text; None where there is none.
    config: tokenizer_config.json as it is.
    beside: texts of the other files that say something, by name.
  """

  directory: pathlib.Path
  spec: dict[str, Any]
  special_tokens: dict[str, str]
  adds_bos: bool | None
  chat_template: str | None
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  beside: dict[str, str] = dataclasses.field(default_factory=dict)

  def described(self) -> dict[str, Any]:
    """tokenizer_config.json, as it was, for a directory of its own.

    Special tokens that only the model's config.json names are added. The
    class is the plain one, which takes tokenizer.json as it stands: others
    make pre-tokenizers of their own, and so other ids than were trained on.
    Code that a file points to (`auto_map`) is not there.
    """
    found = {k: v for k, v in self.config.items() if k != "auto_map"}
    said = json.loads(self.beside.get(MAP, "{}"))
    for name, content in self.special_tokens.items():
      if content not in (_content(each.get(name)) for each in (found, said)):
        found[name] = content
    return {**found, "tokenizer_class": "PreTrainedTokenizerFast"}


def read(path: str) -> Files:
  """Reads a directory, or what the hub has under a name.

  Raises:
    InputError: there is neither, no tokenizer.json, a file is malformed, or
      it is not what zsgen exported.
  """
  directory = hub.locate(
      path, _FILES, "config.data.tokenizer_path", "tokenizer"
  )
  if not (directory / TOKENIZER).is_file():
    raise errors.InputError(_no_fast_tokenizer(directory))
  present = [name for name in _FILES if (directory / name).is_file()]
  artifacts.digest_used(directory, present)
  spec = _json(directory / TOKENIZER)
  config = _json(directory / CONFIG)
  named = [config, _json(directory / MAP)]
  try:
    spec = _switched_off(spec)
    ids = {each["content"]: each["id"] for each in spec["added_tokens"]}
    for each in spec["added_tokens"]:
      if not {*_FLAGS, "special"} <= each.keys():
        raise KeyError(f"added_tokens: {each}")
    vocab = _vocab(spec) | ids
    for token in _listed(config):
      _add(spec, vocab, token)
    special = _special_tokens(named, _json(directory / _MODEL), vocab)
    for content in [*special.values(), *_more(named)]:
      if content in vocab:
        _add(spec, vocab, {"content": content, "id": vocab[content]})
    spec["added_tokens"].sort(key=lambda each: each["id"])
    chat_template = _chat_template(directory, config)
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise errors.InputError(
        f"{directory}: {TOKENIZER} or {CONFIG} is not of Hugging Face's layout"
        f" ({type(error).__name__}: {error})."
    ) from error
  adds_bos = config.get("add_bos_token")
  return Files(
      directory=directory,
      spec=spec,
      special_tokens=special,
      adds_bos=adds_bos if isinstance(adds_bos, bool) else None,
      chat_template=chat_template,
      config=config,
      beside={
          name: (directory / name).read_text("utf-8")
          for name in (MAP, _TEMPLATE)
          if (directory / name).is_file()
      },
  )


def strings(directory: pathlib.Path) -> dict[int, str]:
  """The string of each id of a tokenizer; InputError as of `read`."""
  spec = read(str(directory)).spec
  added = {each["content"]: each["id"] for each in spec["added_tokens"]}
  return {i: content for content, i in (_vocab(spec) | added).items()}


def _no_fast_tokenizer(directory: pathlib.Path) -> str:
  """What to do without a tokenizer.json."""
  message = (
      f"{directory}: there is no {TOKENIZER}, the file of a fast tokenizer."
      " Convert it once, where transformers is installed:"
      " transformers.AutoTokenizer.from_pretrained(DIRECTORY)"
      ".save_pretrained(ANOTHER)."
  )
  for model in sorted(directory.glob("*.model")):
    return (
        f"{message} Or use config.data.tokenizer='sentencepiece' with"
        f" {model.name}."
    )
  return message


def _json(path: pathlib.Path) -> dict[str, Any]:
  """What a file holds; nothing where there is none."""
  if not path.is_file():
    return {}
  found = strict_json.read(path, unique=False)
  if not isinstance(found, dict):
    raise errors.InputError(f"{path}: is not a JSON object.")
  return found


def _switched_off(spec: Mapping[str, Any]) -> dict[str, Any]:
  """The tokenizer without what would cut, fill or change texts' ids."""
  model = dict(spec["model"])
  if "dropout" in model:
    model["dropout"] = None  # Merges left out at random.
  added = [dict(each) for each in spec.get("added_tokens", ())]
  off = {"truncation": None, "padding": None}
  return {**spec, **off, "added_tokens": added, "model": model}


def _vocab(spec: Mapping[str, Any]) -> dict[str, int]:
  """Ids of the model's own tokens."""
  vocab = spec["model"]["vocab"]
  if isinstance(vocab, dict):
    return dict(vocab)
  return {piece: i for i, (piece, _) in enumerate(vocab)}


def _listed(config: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Tokens that tokenizer_config.json adds or marks, by id."""
  listed = config.get("added_tokens_decoder", {}).items()
  return [
      {**token, "id": int(i)}
      for i, token in sorted(listed, key=lambda each: int(each[0]))
  ]


def _add(
    spec: dict[str, Any], vocab: dict[str, int], token: Mapping[str, Any]
) -> None:
  """Adds a token, or marks as special one that is there."""
  special = token.get("special", True)
  for each in spec["added_tokens"]:
    if each["content"] == token["content"]:
      each["special"] = each["special"] or special
      return
  flags = {flag: token.get(flag, False) for flag in _FLAGS}
  content, i = token["content"], token["id"]
  entry = {"id": i, "content": content, **flags, "special": special}
  spec["added_tokens"].append(entry)
  vocab[content] = i


def _special_tokens(
    named: Sequence[Mapping[str, Any]],
    model: Mapping[str, Any],
    vocab: Mapping[str, int],
) -> dict[str, str]:
  """Strings by name; tokenizer_config.json goes before the others."""
  found = {}
  contents = {i: content for content, i in vocab.items()}
  for name in _NAMES:
    tokens = [_content(each.get(f"{name}_token")) for each in named]
    ids = model.get(f"{name}_token_id")
    first = ids[0] if isinstance(ids, list) and ids else ids
    tokens.append(contents.get(first) if isinstance(first, int) else None)
    known = [token for token in tokens if token in vocab]
    if known:
      found[f"{name}_token"] = known[0]
  return found


def _more(named: Sequence[Mapping[str, Any]]) -> list[str]:
  """Strings of special tokens that have no name of their own."""
  tokens = []
  for each in named:
    for key in _LISTS:
      listed = each.get(key) or ()
      tokens += listed.values() if isinstance(listed, dict) else listed
  return [content for content in map(_content, tokens) if content]


def _content(token: Any) -> str | None:
  """A token's string: written as such, or as an object."""
  content = token.get("content") if isinstance(token, dict) else token
  return content if isinstance(content, str) else None


def _chat_template(
    directory: pathlib.Path, config: Mapping[str, Any]
) -> str | None:
  """The file goes before the field; of several templates, "default"."""
  if (directory / _TEMPLATE).is_file():
    try:
      return (directory / _TEMPLATE).read_text("utf-8")
    except UnicodeDecodeError as error:
      raise errors.InputError(
          f"{directory / _TEMPLATE}: is not UTF-8 ({error})."
      ) from error
  found = config.get("chat_template")
  if isinstance(found, list):
    by_name = {each.get("name"): each.get("template") for each in found}
    found = by_name.get("default")
  return found if isinstance(found, str) else None
