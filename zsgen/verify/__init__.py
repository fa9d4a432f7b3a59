"""Verifies artifacts on disk: `python -m zsgen.verify PATH…`.

Compares one artifact (a store, embeddings, an order, an evaluation, a run), or
all artifacts of a workdir, with the hashes that were written with them, and
runs with their orders. Nothing on disk is changed.
"""

from zsgen.verify.artifact import Damaged
from zsgen.verify.workdir import Result, check, verify

__all__ = ["Damaged", "Result", "check", "verify"]
