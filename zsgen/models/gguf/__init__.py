"""Reads GGUF files, the format of llama.cpp, without torch.

`python -m zsgen.models.gguf FILE OUT` converts one to a Hugging Face directory.
"""

from zsgen.models.gguf.archs import arch_of
from zsgen.models.gguf.files import File
from zsgen.models.gguf.weights import write as write_weights

__all__ = ["File", "arch_of", "write_weights"]
