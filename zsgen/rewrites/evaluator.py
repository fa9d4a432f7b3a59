"""Exact match of rewrites, also by what there is to replace in the input."""

from collections.abc import Mapping
import dataclasses

import numpy as np

from zsgen.core import registry
from zsgen.evals import exact
from zsgen.rewrites import source as rewrites

NAME = "rewrites"


@registry.evaluator(NAME)
class Rewrites(exact.Exact):
  """Exact match of all examples, and of the parts of `parts`."""

  declaration = dataclasses.replace(
      exact.Exact.declaration,
      headline=dataclasses.replace(
          exact.Exact.declaration.headline, by_part=True
      ),
  )

  def parts(self) -> Mapping[str, np.ndarray]:
    """Returns which examples are in each part that is not empty, bool [E].

    `has_op` is of inputs that have something to replace, `no_op` of the others;
    the other parts are those of `rewrites.kind_of`.
    """
    kinds = np.array(
        [rewrites.kind_of(key) for key in self.store.keys(self.ids)]
    )
    has_op = np.char.startswith(kinds, "op")
    parts = {"has_op": has_op, "no_op": ~has_op}
    parts |= {kind: kinds == kind for kind in np.unique(kinds).tolist()}
    return {name: part for name, part in parts.items() if part.any()}
