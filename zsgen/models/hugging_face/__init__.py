"""Reads and writes models in Hugging Face directories, without torch."""

from zsgen.models.hugging_face.adapters import (
    adapters_digest,
    adapters_of,
    load_adapters,
    save_adapters,
)
from zsgen.models.hugging_face.config_files import Base, Tokens
from zsgen.models.hugging_face.config_files import read as read_base
from zsgen.models.hugging_face.families import arch_of
from zsgen.models.hugging_face.files import digest, locate
from zsgen.models.hugging_face.reading import load
from zsgen.models.hugging_face.writing import (
    save,
    write,
    write_config,
    write_weights,
)

__all__ = [
    "Base",
    "Tokens",
    "adapters_digest",
    "adapters_of",
    "arch_of",
    "digest",
    "load",
    "load_adapters",
    "locate",
    "read_base",
    "save",
    "save_adapters",
    "write",
    "write_config",
    "write_weights",
]
