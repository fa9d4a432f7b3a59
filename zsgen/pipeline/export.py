"""The stage export: what was learned, in Hugging Face's layout."""

import pathlib
from typing import Any

from zsgen import artifacts, hosts
from zsgen import mesh as mesh_lib
from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.models import hugging_face
from zsgen.models import lora as lora_lib
from zsgen.pipeline import experiment
from zsgen.training import loop


def export(made: experiment.Experiment) -> pathlib.Path:
  """Writes the final parameters, or adapters; returns their directory."""
  if not made.finished():
    made.train()
  machine = made.config.machine
  kind = "export-adapter" if machine.export == "adapter" else "export"
  path = made.path / f"{kind}-{machine.export_dtype}"
  if not hosts.of_first("export", path.exists()):
    params = _params(made)
    if hosts.is_first():
      with artifacts.writing(path) as beside:
        _write(beside, made, params)
  made.say(f"export   {path}")
  return path


def _params(made: experiment.Experiment) -> Any:
  """What is exported, where process 0 can read it; all processes help."""
  config, job = made.config, made.job()
  params = loop.restore_final(job).params
  if config.lora.rank and config.machine.export != "adapter":
    whole = lora_lib.join(params, loop.load_frozen(job))
    params = lora_lib.merged(whole, config.lora)
  return mesh_lib.fetch(params)


def _write(
    path: pathlib.Path, made: experiment.Experiment, params: Any
) -> None:
  """Writes what is exported to a directory."""
  config = made.config
  dtype = config.machine.export_dtype
  tokenizer = tokenizers.load(made.store.path / store_lib.TOKENIZER)
  if config.machine.export == "adapter":
    arch, lora = config.model, config.lora
    kind, _, base = arch.init.partition(":")
    base = base if kind == "hf" else None
    hugging_face.save_adapters(path, params, arch, lora, dtype, base)
  else:
    hugging_face.save(
        path,
        params,
        config.model,
        dtype,
        special_ids=tokenizers.special_ids(tokenizer),
    )
  tokenizer.export(path)
