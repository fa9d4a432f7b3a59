"""A small pre-trained base: SmolLM2-135M-Instruct (Apache-2.0).

`make base` downloads and converts it. A config uses it like any directory:

  config.model.init = f"hf:{base.DIRECTORY}"
  config.data.tokenizer = "hf"
  config.data.tokenizer_path = base.DIRECTORY
"""

from zsgen.core import hub

DIRECTORY = str(hub.BASE)

__all__ = ["DIRECTORY"]
