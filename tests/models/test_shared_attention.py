"""Members of a prefix attend to it as if each had a copy of its own."""

import functools

import jax
from jax import export as jax_export
from jax import numpy as jnp
import numpy as np
import pytest

from tests.helpers import closeness
from tests.models import attended
from zsgen.core import config
from zsgen.core import mesh as mesh_lib
from zsgen.models import attention
from zsgen.models import execution as execution_lib
from zsgen.planning import topology

pytestmark = pytest.mark.numerics

# Of each group in a row: tokens of its prefix and of what follows in members.
SMALL = [[(5, (4, 3)), (0, (6,))], [(0, (2,)), (7, (1, 5, 2))]]
# Blocks of 128 begin and end anywhere.
LARGE = [[(150, (60, 40, 30)), (0, (50,)), (129, (1, 127))], [(0, (600,))]]
LOOPS = execution_lib.PLAIN
CUDNN = execution_lib.Execution(attention="cudnn")
SPLASH = execution_lib.Execution(attention="splash")


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
        (SPLASH, {"cap": 2.0}),
        (SPLASH, {"window": 3, "cap": 2.0}),
        (SPLASH, {"window": 70}),
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


@pytest.mark.slow
@pytest.mark.parametrize("kv_heads, width", [(1, 8), (4, 128)])
@pytest.mark.parametrize("window", [None, 1, 40, 129, 600])
def test_splash_merges_any_heads_and_windows(kv_heads, width, window):
  *heads, _ = attended.rows(2, 610, 4, kv_heads, width)
  run = functools.partial(attention.attend_shared, scale=0.3, window=window)
  spans = attended.spans(LARGE, 610)
  expected, actual = (
      jax.jit(functools.partial(run, execution=execution))(*heads, spans)
      for execution in (LOOPS, SPLASH)
  )
  closeness.assert_close(actual, expected)


def test_splash_of_members_is_that_of_each():
  *heads, _ = attended.rows(4, 20)
  spans = attended.spans(SMALL, 20)
  run = functools.partial(
      attention.attend_shared, scale=0.3, window=6, execution=SPLASH
  )
  expected = [run(*(x[i : i + 2] for x in heads), spans=spans) for i in (0, 2)]
  members = [x.reshape(2, 2, *x.shape[1:]) for x in heads]
  together = jax.vmap(functools.partial(run, spans=spans))
  actual = jax.jit(together)(*members)
  closeness.assert_close(list(actual), expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_splash_lowers_for_tpus_in_the_precision_of_its_type(dtype):
  *heads, _ = attended.rows(2, 640, width=128)
  heads = [jnp.asarray(x, dtype) for x in heads]
  spans = attended.spans(LARGE, 640)
  run = functools.partial(
      attention.attend_shared,
      scale=0.3,
      cap=2.0,
      window=70,
      execution=_Elsewhere(attention="splash"),
  )
  exported = jax_export.export(jax.jit(run), platforms=["tpu"])(*heads, spans)
  assert exported.mlir_module().count("tpu_custom_call") >= 2
  assert exported.out_avals[0].dtype == dtype
  text = str(jax.make_jaxpr(run)(*heads, spans))
  precise = text.count("precision=(Precision.HIGHEST")
  # Two of each kernel.
  assert text.count("dot_general[") == 4
  assert precise == (4 if dtype == "float32" else 0)


def test_rows_are_read_as_often_as_they_have_kernels():
  executions = (LOOPS, CUDNN, _Elsewhere(), SPLASH)
  assert [attention.row_reads(x) for x in executions] == [0, 1, 1, 2]


@pytest.mark.tpu
@pytest.mark.parametrize("name", ["v5e:2x2", "v4:2x2x1"])
@pytest.mark.parametrize("dtype, width", [("float32", 64), ("bfloat16", 128)])
def test_splash_compiles_for_tpus(name, dtype, width):
  pytest.importorskip("libtpu")
  devices = topology.find_hardware(name).devices
  mesh = mesh_lib.make(config.Mesh(data=1, fsdp=2, tensor=2), devices)
  sharding = mesh_lib.batch_sharding(mesh)

  def shape(*sizes, dtype=dtype):
    return jax.ShapeDtypeStruct(sizes, dtype, sharding=sharding)

  run = functools.partial(
      attention.attend_shared,
      scale=0.3,
      cap=30.0,
      window=200,
      execution=execution_lib.Execution(attention="splash", mesh=mesh),
  )
  heads = [shape(4, 1100, count, width) for count in (4, 2, 2)]
  spans = attention.Spans(*[shape(4, 1100, dtype=np.int32)] * 3)
  compiled = jax.jit(run).lower(*heads, spans).compile()
  text = compiled.as_text()
  assert text.count("tpu_custom_call") >= 2
