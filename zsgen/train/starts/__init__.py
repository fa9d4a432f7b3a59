"""Where a run's parameters come from: `config.model.init`, and adapters.

  new             drawn from the seed
  tiny            the base that is part of the package
  hf:DIR_OR_NAME  a Hugging Face directory, or a name on the hub
  run:DIR         the newest checkpoint of a run; run:DIR@STEP another. DIR may
                  be the URL of a run in a bucket

Files bring their architecture along; fields of `config.model` that contradict
it are errors. `config.lora` adds adapters to any of them.
"""

import pathlib

from zsgen.core import config, errors, schema
from zsgen.train.starts import adapters, directory, new, run, tiny
from zsgen.train.starts.api import Start

__all__ = ["Start", "make"]

_KINDS = "'new', 'tiny', 'hf:DIRECTORY_OR_NAME' or 'run:DIRECTORY'"


def make(
    model: config.Model, seed: int, lora: config.Lora = config.NO_LORA
) -> Start:
  """Returns the start that `config.model.init` and `config.lora` ask for.

  Args:
    model: the section `config.model`.
    seed: draws new parameters.
    lora: the section `config.lora`.

  Raises:
    InputError: the kind of start is unknown, its files are missing, its
      architecture is not computed, adapters do not fit it, or the config
      contradicts files.
  """
  start = _make_base(model, seed)
  return start if lora == config.NO_LORA else adapters.adapt(start, lora, seed)


def _make_base(model: config.Model, seed: int) -> Start:
  """Returns the start without `config.lora`."""
  kind, _, argument = model.init.partition(":")
  if model.init == "new":
    return new.make(model, seed)
  if model.init == "tiny":
    return tiny.make(model)
  if kind == "hf" and argument:
    schema.check_local(argument, "config.model.init")
    return directory.make(model, argument)
  if kind == "run" and argument:
    return run.make(model, argument, _make_base)
  hint = ""
  if pathlib.Path(model.init).expanduser().is_dir():
    hint = f" {model.init} is a directory: say of which kind, before a colon."
  raise errors.InputError(
      f"config.model.init is {model.init!r}; it must be {_KINDS}.{hint}"
  )
