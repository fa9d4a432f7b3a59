"""Converts a GGUF file to a Hugging Face directory."""

from collections.abc import Mapping
import pathlib
from typing import Any

from zsgen.core import artifacts, errors
from zsgen.data.tokenizers import gguf as gguf_tokenizer
from zsgen.models import gguf, hugging_face

# Of what is written; a directory of another format is made again.
_FORMAT = 1


def convert(
    source: pathlib.Path, out: pathlib.Path, dtype: str = "float32"
) -> bool:
  """Writes a model and its tokenizer as `config.model.init="hf:OUT"` reads them.

  Either all files are written or none. A directory that is whole and was made
  of the same file is kept; a damaged one is replaced.

  Args:
    source: the GGUF file.
    out: the directory to write.
    dtype: element type of the weights. "float32" has the dequantized values
      exactly; "bfloat16" rounds them to 8 bits and takes half of the space.

  Returns:
    Whether the directory was written.

  Raises:
    InputError: the file is damaged or not supported, or `out` has files that
      are not from a conversion of it.
  """
  if not source.is_file():
    raise errors.InputError(f"{source}: is not a file. Check the path.")
  recipe = describe(artifacts.file_digest(source), dtype)
  if is_there(out, recipe):
    return False
  artifacts.remove_leftovers(out)
  file = gguf.File(source)
  arch = gguf.arch_of(file)
  tokenizer = gguf_tokenizer.convert(file.fields, arch.vocab_size, source)
  tokens = hugging_face.Tokens(tokenizer.ids, tokenizer.ends)
  with artifacts.writing(out, replace=True) as directory:
    family = hugging_face.write_config(directory, arch, dtype, tokens)
    gguf.write_weights(directory, file, arch, family, dtype)
    tokenizer.write(directory)
    artifacts.write_manifest(directory, {"kind": "export", "made_by": recipe})
  return True


def describe(sha256: str, dtype: str = "float32") -> dict[str, Any]:
  """Returns what decides the content of a directory.

  Args:
    sha256: of the GGUF file, in hex.
    dtype: element type of the weights.
  """
  return {"format": _FORMAT, "gguf": sha256, "dtype": dtype}


def is_there(out: pathlib.Path, recipe: Mapping[str, Any]) -> bool:
  """Returns whether a directory exists and every file matches its hash.

  Args:
    out: the directory.
    recipe: the result of `describe`.

  Raises:
    InputError: it was not made of the file, or has other files too.
  """
  if not out.exists() or (out.is_dir() and not any(out.iterdir())):
    return False
  try:
    manifest = artifacts.read_manifest(out, "export")
  except errors.InputError as error:
    raise errors.InputError(
        f"{out}: is there already, and is not a directory that a conversion"
        " wrote. Choose another directory, or delete this one."
    ) from error
  made_by, written = manifest["made_by"], manifest["files"]
  names = {path.name for path in out.iterdir()}
  extra = names - {*written, *artifacts.UNLISTED}
  if extra or {**made_by, "format": _FORMAT} != recipe:
    reason = f"the file {min(extra)}" if extra else "another model"
    raise errors.InputError(
        f"{out}: has {reason}, and nothing is overwritten. Choose another"
        " directory, or delete this one."
    )
  return made_by == recipe and not any(artifacts.file_problems(out, written))
