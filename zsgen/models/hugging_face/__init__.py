"""Models as Hugging Face directories hold them, in and out, without torch."""

from zsgen.models.hugging_face.adapters import (
    adapters_digest,
    adapters_of,
    load_adapters,
    save_adapters,
)
from zsgen.models.hugging_face.families import arch_of
from zsgen.models.hugging_face.files import digest, locate
from zsgen.models.hugging_face.reading import load
from zsgen.models.hugging_face.writing import save

__all__ = [
    "adapters_digest",
    "adapters_of",
    "arch_of",
    "digest",
    "load",
    "load_adapters",
    "locate",
    "save",
    "save_adapters",
]
