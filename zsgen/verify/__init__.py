"""Is what is on disk what was written? `python -m zsgen.verify PATH…`.

One artifact (a store, embeddings, an order, an evaluation, a run), or all that
a workdir holds, is compared with the hashes that were written with it, and a
run with its order. Nothing is changed.
"""

from zsgen.verify.artifact import Damaged
from zsgen.verify.workdir import Result, check, verify

__all__ = ["Damaged", "Result", "check", "verify"]
