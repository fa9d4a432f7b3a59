"""Members of a prefix attend to it as if each had a copy of its own."""

import functools

import jax
import numpy as np
import pytest

from tests.helpers import closeness
from tests.models import attended
from zsgen.models import attention
from zsgen.models import execution as execution_lib

pytestmark = pytest.mark.numerics

# Of each group in a row: tokens of its prefix and of what follows in members.
SMALL = [[(5, (4, 3)), (0, (6,))], [(0, (2,)), (7, (1, 5, 2))]]
# Blocks of 128 begin and end anywhere.
LARGE = [[(150, (60, 40, 30)), (0, (50,)), (129, (1, 127))], [(0, (600,))]]
LOOPS = execution_lib.PLAIN
CUDNN = execution_lib.Execution(attention="cudnn")


class _Elsewhere(execution_lib.Execution):
  """Plain operations on a platform that is no CPU."""

  platform = "tpu"


def _expected(heads, rows, fields) -> np.ndarray:
  """Attends each member by itself, after a copy of its prefix."""
  out = np.zeros(heads[0].shape)
  for row, groups in enumerate(rows):
    begin = 0
    for prefix, members in groups:
      shared = list(range(begin, begin + prefix))
      begin += prefix
      for size in members:
        visible = [*shared, *range(begin, begin + size)]
        copies = [array[row : row + 1, visible] for array in heads]
        segments = np.ones((1, len(visible)), np.int32)
        plain, _ = attended.plain(
            *copies, segments, copies[0], scale=0.3, **fields
        )
        out[row, visible] = plain[0]
        begin += size
  return out


@pytest.mark.parametrize("rows, length", [(SMALL, 20), (LARGE, 610)])
@pytest.mark.parametrize(
    "execution, fields",
    [
        (LOOPS, {}),
        (LOOPS, {"window": 3, "cap": 2.0}),
        (LOOPS, {"window": 70}),
        (_Elsewhere(), {"cap": 2.0}),
        (_Elsewhere(), {"window": 70}),
        (CUDNN, {}),
        (CUDNN, {"window": 3}),
    ],
)
def test_shared_prefixes_equal_copies(rows, length, execution, fields):
  *heads, _ = attended.rows(2, length)
  run = functools.partial(
      attention.attend_shared, scale=0.3, execution=execution, **fields
  )
  actual = np.asarray(jax.jit(run)(*heads, attended.spans(rows, length)))
  expected = _expected(heads, rows, fields)
  is_real = expected.any((2, 3))
  closeness.assert_close(actual[is_real], expected[is_real])
  # Padding is not used, but NaN would spread.
  assert np.isfinite(actual).all()


def test_kernels_that_mask_by_equal_segments_have_no_prefixes():
  splash = execution_lib.Execution(attention="splash")
  assert not attention.shares_prefixes(splash)
  assert attention.shares_prefixes(LOOPS)
  assert attention.shares_prefixes(CUDNN)
