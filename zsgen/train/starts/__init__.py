"""Where a run's parameters come from: `config.model.init`, and adapters.

  new             drawn from the seed
  tiny            the base that is part of the package
  hf:DIR_OR_NAME  a Hugging Face directory, or a name on the hub
  run:DIR         the newest checkpoint of a run; run:DIR@STEP another

Files bring their architecture along; fields of `config.model` that contradict
it are errors. `config.lora` adds adapters to any of them.
"""

from zsgen.train.starts.api import Params, Shapes, Shardings, Start
from zsgen.train.starts.kinds import make

__all__ = ["Params", "Shapes", "Shardings", "Start", "make"]
