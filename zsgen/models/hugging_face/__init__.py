"""Models as Hugging Face directories hold them, in and out, without torch."""

from zsgen.models.hugging_face.families import arch_of
from zsgen.models.hugging_face.files import digest, locate
from zsgen.models.hugging_face.reading import load
from zsgen.models.hugging_face.writing import save

__all__ = ["arch_of", "digest", "load", "locate", "save"]
