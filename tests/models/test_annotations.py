"""Annotations of the models are checked while tests run (pyproject.toml)."""

import jaxtyping
import numpy as np
import pytest

from zsgen.models import head


def test_a_call_with_other_shapes_than_annotated_raises():
  logits = np.zeros((2, 3, 4), np.float32)
  assert head.nll(logits, np.zeros((2, 3), np.int32)).shape == (2, 3)
  for targets in (np.zeros((2, 2), np.int32), np.zeros((2, 3), np.float32)):
    with pytest.raises(jaxtyping.TypeCheckError, match="targets"):
      head.nll(logits, targets)
