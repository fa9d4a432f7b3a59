"""Reads the files of fast tokenizers in Hugging Face directories.

tokenizer.json determines the ids, and the other files the special tokens. No
code of the model is run, and nothing is unpickled.
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
  """A tokenizer's files, combined.

  Attributes:
    directory: the directory of the files.
    spec: tokenizer.json, without padding, truncation or dropout; the special
      tokens of all files are in `added_tokens`, marked as special.
    special_tokens: strings by name ("eos_token"), if the vocabulary has them.
    adds_bos: whether a text begins with BOS; None if no file defines it.
    chat_template: Jinja source, or None.
    config: tokenizer_config.json as it is.
    other_files: texts of the other relevant files, by name.
  """

  directory: pathlib.Path
  spec: dict[str, Any]
  special_tokens: dict[str, str]
  adds_bos: bool | None
  chat_template: str | None
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  other_files: dict[str, str] = dataclasses.field(default_factory=dict)

  def describe(self) -> dict[str, Any]:
    """Returns tokenizer_config.json for an exported directory.

    Special tokens that only the model's config.json has are added. The class is
    the plain one, which uses tokenizer.json as it is: other classes create
    their own pre-tokenizers, and so other ids than those of training.
    References to code (`auto_map`) are left out.
    """
    config = {k: v for k, v in self.config.items() if k != "auto_map"}
    special_map = json.loads(self.other_files.get(MAP, "{}"))
    for name, content in self.special_tokens.items():
      sources = (config, special_map)
      if content not in (_content(source.get(name)) for source in sources):
        config[name] = content
    return {**config, "tokenizer_class": "PreTrainedTokenizerFast"}


def locate(path: str) -> tuple[pathlib.Path, dict[str, str]]:
  """Returns a tokenizer's directory and the SHA-256 of its relevant files.

  Args:
    path: a directory, or a name on the hub.

  Raises:
    InputError: there is no such directory or tokenizer, tokenizer.json is
      missing, or zsgen exported the files and they have changed.
  """
  directory = hub.locate(
      path, _FILES, "config.data.tokenizer_path", "tokenizer"
  )
  if not (directory / TOKENIZER).is_file():
    raise errors.InputError(_no_fast_tokenizer(directory))
  present = [name for name in _FILES if (directory / name).is_file()]
  return directory, artifacts.digest_used(directory, present)


def read(path: str) -> Files:
  """Reads a directory or, by its name, a tokenizer from the hub.

  Raises:
    InputError: see `locate`; or a file is malformed.
  """
  return parse(locate(path)[0])


def parse(directory: pathlib.Path) -> Files:
  """Reads the files of a directory that `locate` returned.

  Raises:
    InputError: a file is malformed.
  """
  spec = _json(directory / TOKENIZER)
  config = _json(directory / CONFIG)
  sources = [config, _json(directory / MAP)]
  try:
    spec = _without_side_effects(spec)
    ids = {token["content"]: token["id"] for token in spec["added_tokens"]}
    for token in spec["added_tokens"]:
      if not {*_FLAGS, "special"} <= token.keys():
        raise KeyError(f"added_tokens: {token}")
    vocab = _vocab(spec) | ids
    for token in _added_tokens(config):
      _add(spec, vocab, token)
    special = _special_tokens(sources, _json(directory / _MODEL), vocab)
    for content in [*special.values(), *_unnamed_tokens(sources)]:
      if content in vocab:
        _add(spec, vocab, {"content": content, "id": vocab[content]})
    spec["added_tokens"].sort(key=lambda token: token["id"])
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
      other_files={
          name: (directory / name).read_text("utf-8")
          for name in (MAP, _TEMPLATE)
          if (directory / name).is_file()
      },
  )


def strings(directory: pathlib.Path) -> dict[int, str]:
  """Returns the string of each id of a tokenizer.

  Raises:
    InputError: see `read`.
  """
  return spec_strings(read(str(directory)).spec)


def spec_strings(spec: Mapping[str, Any]) -> dict[int, str]:
  """Returns the string of each id of a tokenizer.json."""
  added = {token["content"]: token["id"] for token in spec["added_tokens"]}
  return {i: content for content, i in (_vocab(spec) | added).items()}


def _no_fast_tokenizer(directory: pathlib.Path) -> str:
  """Returns what to do without a tokenizer.json."""
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
  """Returns the content of a file, or {} if there is none."""
  if not path.is_file():
    return {}
  content = strict_json.read(path, unique=False)
  if not isinstance(content, dict):
    raise errors.InputError(f"{path}: is not a JSON object.")
  return content


def _without_side_effects(spec: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the tokenizer without settings that cut, pad or change ids."""
  model = dict(spec["model"])
  if "dropout" in model:
    model["dropout"] = None  # It leaves merges out at random.
  added = [dict(token) for token in spec.get("added_tokens", ())]
  disabled = {"truncation": None, "padding": None}
  return {**spec, **disabled, "added_tokens": added, "model": model}


def _vocab(spec: Mapping[str, Any]) -> dict[str, int]:
  """Returns the ids of the model's own tokens."""
  vocab = spec["model"]["vocab"]
  if isinstance(vocab, dict):
    return dict(vocab)
  return {piece: i for i, (piece, _) in enumerate(vocab)}


def _added_tokens(config: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Returns the tokens that tokenizer_config.json adds or marks, by id."""
  items = config.get("added_tokens_decoder", {}).items()
  return [
      {**token, "id": int(i)}
      for i, token in sorted(items, key=lambda item: int(item[0]))
  ]


def _add(
    spec: dict[str, Any], vocab: dict[str, int], token: Mapping[str, Any]
) -> None:
  """Adds a token, or marks an existing one as special."""
  special = token.get("special", True)
  for existing in spec["added_tokens"]:
    if existing["content"] == token["content"]:
      existing["special"] = existing["special"] or special
      return
  flags = {flag: token.get(flag, False) for flag in _FLAGS}
  content, i = token["content"], token["id"]
  entry = {"id": i, "content": content, **flags, "special": special}
  spec["added_tokens"].append(entry)
  vocab[content] = i


def _special_tokens(
    sources: Sequence[Mapping[str, Any]],
    model: Mapping[str, Any],
    vocab: Mapping[str, int],
) -> dict[str, str]:
  """Returns strings by name; tokenizer_config.json has priority."""
  strings_by_name = {}
  contents = {i: content for content, i in vocab.items()}
  for name in _NAMES:
    tokens = [_content(source.get(f"{name}_token")) for source in sources]
    ids = model.get(f"{name}_token_id")
    first = ids[0] if isinstance(ids, list) and ids else ids
    tokens.append(contents.get(first) if isinstance(first, int) else None)
    candidates = [token for token in tokens if token in vocab]
    if candidates:
      strings_by_name[f"{name}_token"] = candidates[0]
  return strings_by_name


def _unnamed_tokens(sources: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns the strings of special tokens without a name."""
  tokens = []
  for source in sources:
    for key in _LISTS:
      entries = source.get(key) or ()
      tokens += entries.values() if isinstance(entries, dict) else entries
  return [content for content in map(_content, tokens) if content]


def _content(token: Any) -> str | None:
  """Returns a token's string, which is written as such or in an object."""
  content = token.get("content") if isinstance(token, dict) else token
  return content if isinstance(content, str) else None


def _chat_template(
    directory: pathlib.Path, config: Mapping[str, Any]
) -> str | None:
  """Returns the chat template: the file, then the field ("default" of several)."""
  if (directory / _TEMPLATE).is_file():
    try:
      return (directory / _TEMPLATE).read_text("utf-8")
    except UnicodeDecodeError as error:
      raise errors.InputError(
          f"{directory / _TEMPLATE}: is not UTF-8 ({error})."
      ) from error
  template = config.get("chat_template")
  if isinstance(template, list):
    by_name = {item.get("name"): item.get("template") for item in template}
    template = by_name.get("default")
  return template if isinstance(template, str) else None
