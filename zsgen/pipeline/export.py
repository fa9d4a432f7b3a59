"""The stage export: what was learned, in Hugging Face's layout."""

import pathlib

from zsgen import artifacts
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
  if not path.exists():
    with artifacts.writing(path) as beside:
      _write(beside, made)
  made.say(f"export   {path}")
  return path


def _write(path: pathlib.Path, made: experiment.Experiment) -> None:
  """Writes what is exported to a directory."""
  config, job = made.config, made.job()
  dtype = config.machine.export_dtype
  tokenizer = tokenizers.load(made.store.path / store_lib.TOKENIZER)
  params = loop.restore_final(job).params
  if config.machine.export == "adapter":
    arch, lora = config.model, config.lora
    kind, _, base = arch.init.partition(":")
    base = base if kind == "hf" else None
    hugging_face.save_adapters(path, params, arch, lora, dtype, base)
  else:
    if config.lora.rank:
      whole = lora_lib.join(params, loop.load_frozen(job))
      params = lora_lib.merged(whole, config.lora)
    hugging_face.save(
        path,
        params,
        config.model,
        dtype,
        special_ids=tokenizers.special_ids(tokenizer),
    )
  tokenizer.export(path)
