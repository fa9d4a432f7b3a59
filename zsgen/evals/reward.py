"""Rewards of answers, by another model."""

from collections.abc import Iterator
import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from zsgen.core import config, errors, hosts, hub, registry, schema
from zsgen.core import mesh as mesh_lib
from zsgen.core.schema import option
from zsgen.data import store as store_lib
from zsgen.data import tokenizers
from zsgen.data.tokenizers import hf
from zsgen.evals import api, generate, judge, reward_texts, shared_prompts
from zsgen.models import hugging_face, rewards
from zsgen.train import layouts

_FILES = ("*.json", "*.safetensors", "*.jinja")


@dataclasses.dataclass(frozen=True)
class RewardOptions(generate.GenerateOptions):
  """The options of `reward`; answers are generated as `generate` does."""

  # The reward model: a directory in Hugging Face's layout, or a name on the
  # hub.
  reward_model: str = option("", kind="local", machine=True)
  # What is scored. generated: answers that the model writes; references: the
  # first reference of each example.
  answers: str = option("generated", choices=("generated", "references"))
  # The text that the reward model reads. template: that of its own chat
  # template; ultra: "Human: …", a blank line and "Assistant: …", for UltraRM
  # and as in 2406.11721.
  form: str = option("template", choices=reward_texts.FORMS)
  # Maximum number of tokens of such a text; longer ones are cut at the end, and
  # the metric `cut_texts` is their share.
  reward_length: int = option(
      2048, low=1, high=2**31 - 1, why="positions are int32"
  )
  # Element type of the reward model's activations.
  reward_dtype: str = option("float32", choices=("float32", "bfloat16"))

  def check(self, location: str) -> None:
    """Raises InputError for options without effect, or no model."""
    super().check(location)
    if not self.reward_model:
      raise errors.InputError(
          f"{location}.reward_model is empty: name the directory of a reward"
          " model, a sequence classifier with one label."
      )
    default = generate.GenerateOptions()
    if self.answers == "references":
      for field in dataclasses.fields(generate.GenerateOptions):
        value = getattr(self, field.name)
        if field.name != "rouge_words" and value != getattr(
            default, field.name
        ):
          raise errors.InputError(
              f"{location}.{field.name} is {value!r}, but answers='references'"
              " generates nothing. Leave it out."
          )


@registry.evaluator("reward", options=RewardOptions)
class Reward(judge.Judged):
  """Rewards of generated answers or of references, and scores as in `generate`.

  The reward model is loaded when it is first used, and stays on the devices.

  Raises:
    InputError: the reward model or its tokenizer is missing or not supported.
  """

  declaration = api.Declaration(
      api.Metric("reward", "logits", "higher"),
      (
          *(
              dataclasses.replace(metric, has_figure=False)
              for metric in judge.Judged.declaration.metrics
          ),
          api.Metric("cut_texts", "share", "lower", by_task=False),
      ),
      figures=("means",),
  )

  def __init__(self, name: str, spec: config.Eval, context: api.Context):
    super().__init__(name, spec, context)
    options = schema.options_of(spec, RewardOptions)
    self._writer = None
    if options.answers == "generated":
      self._writer = generate.Generate(name, spec, context)
    self._prompts = self._read_prompts(options.form)
    self._scorer = Scorer(options, context, f"config.evals.{name}")

  def __call__(self, params: Any) -> api.Evaluation:
    """Generates answers, if these are scored, and computes their rewards."""
    if self._writer:
      answers = self._writer.write(params)
    else:
      answers = [example.references[0] for example in self.answered]
    values, is_cut = self._scorer(self._prompts, answers)
    judged = self.judge(answers)
    predictions = [
        {**record, "reward": float(value), "cut_texts": float(cut)}
        for record, value, cut in zip(
            judged.predictions, values, is_cut, strict=True
        )
    ]
    metrics = {
        **self.means("reward", values),
        **judged.metrics,
        f"{self.name}/cut_texts": float(is_cut.mean()),
    }
    return api.Evaluation(metrics, values, predictions)

  @classmethod
  def identity(cls, spec: config.Eval) -> dict[str, Any]:
    """Returns digests of the reward model's files."""
    directory = _locate(schema.options_of(spec, RewardOptions).reward_model)
    return {
        "weights": _digest(directory),
        "tokenizer": hf.read(str(directory)).fingerprint,
    }

  def _read_prompts(self, form: str) -> list[str]:
    """Returns the prompts.

    A chat template formats them itself; otherwise, they are as the model reads
    them.
    """
    if form == "template":
      return [prompt for prompt, _ in self.store.texts(self.ids)]
    tokenizer = tokenizers.load(self.store.path / store_lib.TOKENIZER)
    rows = [generate.prompt_of(self.store.row(i)) for i in self.ids]
    return [tokenizer.decode(row.tolist()) for row in rows]


class Scorer:
  """Computes rewards of texts in packed rows.

  Args:
    options: the model, and how texts are read.
    context: where it is computed.
    location: the dotted name of the evaluation, for messages.
  """

  def __init__(
      self, options: RewardOptions, context: api.Context, location: str
  ):
    directory = _locate(options.reward_model)
    self._model = rewards.open_model(
        directory, options.reward_dtype, context.mesh
    )
    self._limit = options.reward_length
    positions = self._model.arch.max_positions
    if self._limit > positions:
      raise errors.InputError(
          f"{location}.reward_length is {self._limit:,}, and {directory} has"
          f" {positions:,} positions. Lower it."
      )
    tokenizer: Any = hf.read(str(directory))  # See `tokenizers.load`.
    self._encode = reward_texts.encoder(options.form, tokenizer)
    shards = mesh_lib.row_shards(context.mesh)
    self._rows = -(-context.batch_size // shards) * shards
    self._mesh = context.mesh
    self._compute = jax.jit(
        self._model.rewards, out_shardings=mesh_lib.replicated(context.mesh)
    )

  def __call__(
      self, prompts: list[str], answers: list[str]
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns rewards, float32 [n], and which texts were cut, bool [n]."""
    texts = self._encode(prompts, answers)
    is_cut = np.array([len(text) > self._limit for text in texts])
    texts = [text[: self._limit] for text in texts]
    values = np.empty(len(texts), np.float32)
    batches = [
        (members, self._compute(self._params, *arrays))
        for members, arrays in hosts.moves(self._batches(texts))
    ]
    for members, computed in hosts.moves(batches):
      for row, numbers in zip(members, np.asarray(computed), strict=False):
        values[row] = numbers[: len(row)]
    return values, is_cut

  @functools.cached_property
  def _params(self) -> dict[str, Any]:
    """Reads the weights when they are first needed."""
    return self._model.load()

  def _batches(
      self, texts: list[np.ndarray]
  ) -> Iterator[tuple[list[list[int]], tuple[jax.Array, ...]]]:
    """Packs texts into rows; yields those of each batch, and it on devices."""
    lengths = [len(text) for text in texts]
    width = shared_prompts.cache_width(max(lengths))
    packed = layouts.best_fit(lengths, width)
    most = 1
    while most < max(map(len, packed)):
      most *= 2
    sharding = mesh_lib.batch_sharding(self._mesh)
    for i in range(0, len(packed), self._rows):
      members = packed[i : i + self._rows]
      arrays = _lay_out(texts, members, (self._rows, width, most))
      yield members, mesh_lib.put(arrays, (sharding,) * len(arrays))


def _lay_out(
    texts: list[np.ndarray],
    packed: list[list[int]],
    shape: tuple[int, int, int],
) -> tuple[np.ndarray, ...]:
  """Returns tokens, positions and segments [B, T], and last positions [B, S]."""
  rows, width, most = shape
  tokens, positions, segments = np.zeros((3, rows, width), np.int32)
  ends = np.zeros((rows, most), np.int32)
  for row, members in enumerate(packed):
    begin = 0
    for number, index in enumerate(members):
      end = begin + len(texts[index])
      tokens[row, begin:end] = texts[index]
      positions[row, begin:end] = np.arange(end - begin)
      segments[row, begin:end] = number + 1
      ends[row, number] = end - 1
      begin = end
  return tokens, positions, segments, ends


def _locate(name: str) -> pathlib.Path:
  """Returns the directory of the reward model; downloads a missing one."""
  return hub.locate(name, _FILES, "reward_model", "reward model")


@functools.cache
def _digest(directory: pathlib.Path) -> str:
  """Returns the digest of the weights, which takes time for large models."""
  return hugging_face.digest(directory)
