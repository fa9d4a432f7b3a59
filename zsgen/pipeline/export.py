"""The stage export: what was learned, in Hugging Face's layout."""

import pathlib
import re
from typing import Any

from zsgen.core import artifacts, errors, hosts, hub
from zsgen.core import mesh as mesh_lib
from zsgen.data import prompts, tokenizers
from zsgen.data import store as store_lib
from zsgen.models import hugging_face
from zsgen.models import lora as lora_lib
from zsgen.pipeline import train
from zsgen.pipeline.experiment import Experiment
from zsgen.train import loop, trees

# Of what is written; an export of another format is made again.
_FORMAT = 2
# Files of a base that say what its weights are.
_CONFIGS = ("*.json", "*.jinja", "tokenizer.model")
# What exports without a manifest, of older versions, are made of.
_WRITTEN = re.compile(
    r"(generation_|adapter_|tokenizer_)?config\.json|tokenizer\.(json|model)"
    r"|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json"
    r"|adapter_model\.safetensors"
)


def export(experiment: Experiment) -> pathlib.Path:
  """Writes the final parameters, or adapters; returns their directory.

  An existing export is kept if it is whole; otherwise all of it is replaced.

  Raises:
    InputError: the directory has files that zsgen did not write; or see
      `hugging_face.save`.
  """
  run = experiment.run
  if run.finished() is None:
    train.train([experiment])
  machine = experiment.config.machine
  kind = "export-adapter" if machine.export == "adapter" else "export"
  path = run.path / f"{kind}-{machine.export_dtype}"
  job = _Export(experiment, path) if hosts.is_first() else None
  if not hosts.broadcast("export", job and job.is_there()):
    params = _params(experiment)
    if job:
      job.write(params)
  experiment.console.log(f"export   {path}")
  return path


def _params(experiment: Experiment) -> trees.Params:
  """What is exported, where process 0 can read it; all processes help."""
  config, run = experiment.config, train.make_member(experiment)
  params = loop.load_final(run)
  if config.lora.rank and config.machine.export != "adapter":
    params = lora_lib.join(params, loop.load_frozen(run))
    params = lora_lib.merge(params, config.lora)
  return mesh_lib.fetch(params)


class _Export:
  """One directory, as process 0 writes it."""

  def __init__(self, experiment: Experiment, path: pathlib.Path):
    self._experiment = experiment
    self._path = path
    self._tokenizer = tokenizers.load(
        experiment.store.path / store_lib.TOKENIZER
    )
    self._tokens = hugging_face.Tokens(
        tokenizers.special_ids(self._tokenizer),
        prompts.ends(experiment.store.template, self._tokenizer),
    )
    self._base = self._of_base()
    self._recipe = {
        "format": _FORMAT,
        "run": experiment.run.path.name,
        "tokens": [dict(self._tokens.ids), list(self._tokens.ends)],
        "base": self._base and artifacts.digest(list(self._base)),
    }

  def is_there(self) -> bool:
    """Returns whether this export exists and every file matches its hash."""
    manifest = self._manifest()
    if manifest.get("made_by") != self._recipe:
      return False
    return not any(artifacts.file_problems(self._path, manifest["files"]))

  def write(self, params: trees.Params) -> None:
    """Writes the export, replacing an existing one."""
    artifacts.remove_leftovers(self._path)
    self._check_ours()
    with artifacts.writing(self._path, replace=True) as directory:
      self._write_weights(directory, params)
      self._tokenizer.export(directory)
      manifest = {"kind": "export", "made_by": self._recipe}
      artifacts.write_manifest(directory, manifest)

  def _write_weights(
      self, directory: pathlib.Path, params: trees.Params
  ) -> None:
    """Writes the weights, merged or as adapters."""
    config = self._experiment.config
    dtype = config.machine.export_dtype
    if config.machine.export == "adapter":
      kind, _, name = config.model.init.partition(":")
      base = name if kind == "hf" else None  # A run is no base for PEFT.
      hugging_face.save_adapters(
          directory, params, config.model, config.lora, dtype, base
      )
    else:
      hugging_face.write(
          directory, params, config.model, dtype, self._tokens, self._base
      )

  def _of_base(self) -> hugging_face.Base | None:
    """Returns the base whose settings are kept; None if there is none."""
    name = self._experiment.start.base
    if not name or self._experiment.config.machine.export == "adapter":
      return None
    try:
      directory = hub.locate(name, _CONFIGS, "config.model.init", "base")
      has_same_ids = tokenizers.has_ids_of(self._tokenizer, directory)
      base = hugging_face.read_base(directory, has_same_ids)
    except errors.InputError as error:
      self._experiment.console.log(
          f"export   the files of the base {name} cannot be read, so"
          f" config.json has only what zsgen knows: {error}"
      )
      return None
    if not has_same_ids:
      self._experiment.console.log(
          f"export   the base {name} has another tokenizer: token ids of its"
          " config.json and generation_config.json are left out"
      )
    return base

  def _manifest(self) -> dict[str, Any]:
    """Returns the manifest; {} if it is missing or damaged."""
    try:
      return artifacts.read_manifest(self._path, "export")
    except errors.InputError:
      return {}

  def _check_ours(self) -> None:
    """Raises InputError for files that an export did not write."""
    known = self._manifest().get("files", ())
    expected = (*known, *artifacts.UNLISTED)
    for path in sorted(self._path.glob("*")):
      name = path.name
      if name not in expected and (known or not _WRITTEN.fullmatch(name)):
        raise errors.InputError(
            f"{self._path} must be replaced, but zsgen did not write its"
            f" {name}. Move this file away, or the whole directory."
        )
