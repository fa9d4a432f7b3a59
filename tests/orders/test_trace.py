"""The trace of an order: nine measures, restated prefix by prefix."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse

from zsgen.core import config, errors
from zsgen.orders import __main__ as tools
from zsgen.orders import embeddings, prefixes, trace
from zsgen.orders import order as order_lib


def _vectors(size, seed, dim=6):
  normal = np.random.default_rng(seed).normal(size=(size, dim))
  unit = normal / np.linalg.norm(normal, axis=1, keepdims=True)
  return unit.astype(np.float32)


def _expected(train, task):
  """The eight measures of one prefix and one task."""
  products = train.astype(float) @ task.T
  distances = np.linalg.norm(train[:, None] - task[None], axis=-1)
  means = train.mean(0), task.mean(0)
  lengths = [np.linalg.norm(mean) for mean in means]
  return dict(
      cosine_avg=-products.mean(),
      cosine_min=-products.max(),
      cosine_max=-products.min(),
      cosine_centroid=-(means[0] @ means[1]) / (lengths[0] * lengths[1]),
      euclid_avg=distances.mean(),
      euclid_min=distances.min(),
      euclid_max=distances.max(),
      euclid_centroid=np.linalg.norm(means[0] - means[1]),
  )


def _sparse(vectors):
  return embeddings.Embeddings(scipy.sparse.csr_array(vectors))


@pytest.mark.parametrize(
    "size, stride", [(37, 4), (40, 4), (3, 5), (9000, 1111), (9000, 4096)]
)
def test_distances_are_those_of_every_prefix(size, stride):
  # 9,000 rows are three blocks of products.
  train, heldout = _vectors(size, 0), _vectors(8, 1)
  starts = np.array([0, 1, 5])
  ends = np.append(np.arange(stride, size, stride), size)
  actual = prefixes.distances(_sparse(train), _sparse(heldout), ends, starts)
  tasks = np.split(heldout, starts[1:])
  for index, end in enumerate(ends):
    for number, task in enumerate(tasks):
      for name, value in _expected(train[:end], task).items():
        assert actual[name][index, number] == pytest.approx(value, abs=1e-5)


def test_an_equal_example_is_at_distance_zero():
  train = _vectors(5, 0)
  actual = prefixes.distances(
      _sparse(train), _sparse(train[3:4]), np.arange(1, 6), np.array([0])
  )
  np.testing.assert_allclose(actual["cosine_min"][3:], -1, rtol=1e-6)
  np.testing.assert_allclose(actual["euclid_min"][3:], 0, atol=1e-3)
  assert (actual["euclid_min"][:3] > 0.01).all()


@pytest.fixture
def order(store, workdir):
  return order_lib.make(
      workdir, store, config.build(config.Order, budget=19), 0
  )


def _call(capsys, *arguments):
  code = tools.main(["trace", *(str(argument) for argument in arguments)])
  captured = capsys.readouterr()
  return code, captured.out, captured.err


def test_the_tool_writes_next_to_the_order(order, store, capsys):
  before = sorted(path.name for path in order.path.iterdir())
  code, output, _ = _call(
      capsys, order.path, "--batch_size", 4, "--every", 2, "--split", "heldout"
  )
  assert code == 0
  path = order.path.parent / f"{order.path.name}.trace-heldout.parquet"
  assert str(path) in output and "step 5" in output and "bigram_kl" in output
  assert sorted(path.name for path in order.path.iterdir()) == before
  actual = trace.find(order, "heldout")
  assert actual.path == path
  assert (actual.examples.tolist(), actual.steps.tolist()) == (
      [8, 16, 19],
      [2, 4, 5],
  )
  assert actual.tasks == ["large"]
  assert actual.description == dict(
      batch_size=4,
      every=2,
      split="heldout",
      embedder="ngram",
      text="prompt+answer",
      order=order.fingerprint,
      store=store.fingerprint,
      without_bigrams=[0, 0],
  )
  assert not list(path.parent.glob(".*"))


def test_values_use_the_vectors_of_the_order(store, workdir):
  options = config.build(config.Order, budget=10, text="prompt")
  order = order_lib.make(workdir, store, options, 0)
  actual = trace.make(order, store, batch_size=3, every=1)
  assert actual.description["text"] == "prompt"
  vectors = embeddings.obtain(
      workdir, store, config.build(config.Order, text="prompt")
  )
  dense = vectors.block(0, len(store))
  task = dense[store.split_ids("heldout")]
  for index, end in enumerate([3, 6, 9, 10]):
    expected = _expected(dense[order.ids[:end]], task)
    for name, value in expected.items():
      assert actual.values(name)[index, 0] == pytest.approx(value, abs=1e-5)
  assert (np.diff(actual.means("cosine_min")) <= 0).all()
  with_answers = trace.make(order, store, text="prompt+answer")
  assert with_answers.description["text"] == "prompt+answer"
  assert with_answers.means("bigram_kl")[-1] != actual.means("bigram_kl")[-1]


def test_an_order_without_embedder_gets_ngrams(store, workdir):
  options = config.build(
      config.Order, arrangement="random", budget=10, embedder=""
  )
  order = order_lib.make(workdir, store, options, 0)
  description = trace.make(order, store).description
  assert (description["embedder"], description["text"]) == (
      "ngram",
      "prompt+answer",
  )


def test_numbers_beyond_the_order_measure_its_end(order, store):
  for batch_size, every in ((1, 2**63 - 1), (2**63, 1)):
    (end,) = trace.make(order, store, batch_size, every).examples
    assert end == len(order)
  assert trace.find(order, "heldout").steps.tolist() == [1]


def test_means_are_over_tasks_that_have_a_value(order, store):
  original = trace.make(order, store, batch_size=4, every=1)
  values = original.values("bigram_kl").copy()
  values[0] = np.nan
  table = original.table.set_column(
      original.table.column_names.index("bigram_kl"),
      "bigram_kl",
      [values.ravel()],
  )
  means = trace.Trace(original.path, original.description, table).means(
      "bigram_kl"
  )
  assert np.isnan(means[0]) and np.isfinite(means[1:]).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--every", 0], "--every is 0"),
        (["--batch_size", -1], "--batch_size is -1"),
        (["--split", "hedout"], 'Did you mean "heldout"?'),
        (["--split", "train"], "must be a held-out set"),
        (["--embedder", "ngrams"], 'Did you mean "ngram"?'),
    ],
)
def test_bad_options_are_one_message(order, capsys, arguments, message):
  code, _, err = _call(capsys, order.path, *arguments)
  assert (code, err.count("\n")) == (2, 1)
  assert message in err
  assert not list(order.path.parent.glob("*.parquet"))


def test_an_order_without_its_workdir_is_one_message(order, workdir, capsys):
  moved = order.path.rename(workdir / order.path.name)
  code, _, err = _call(capsys, moved)
  assert (code, err.count("\n")) == (2, 1)
  assert "no finished store" in err


def test_no_trace_is_none(order):
  assert trace.find(order, "heldout") is None
  with pytest.raises(errors.InputError, match="cannot be read"):
    trace.read(trace.path_of(order.path, "heldout"))


def test_a_foreign_trace_is_refused(order, store, workdir):
  far_trace = trace.make(order, store, split="far")
  path = trace.path_of(order.path, "heldout")
  path.write_bytes(far_trace.path.read_bytes())
  with pytest.raises(errors.InputError, match="of another split"):
    trace.find(order, "heldout")
  options = config.build(config.Order, arrangement="random", budget=10)
  other_order = order_lib.make(workdir, store, options, 0)
  other_path = trace.path_of(other_order.path, "far")
  other_path.write_bytes(far_trace.path.read_bytes())
  with pytest.raises(errors.InputError, match="of another order"):
    trace.find(other_order, "far")


def test_a_damaged_trace_never_reads_as_another(order, store):
  original = trace.make(order, store, batch_size=4, every=1)
  content = original.path.read_bytes()
  for position in np.linspace(0, len(content) - 1, 60).astype(int):
    changed = bytearray(content)
    changed[position] ^= 1
    original.path.write_bytes(changed)
    try:
      reread = trace.find(order, "heldout")
    except errors.InputError:
      continue
    # Bytes of headers that no value depends on.
    assert (reread.description, reread.tasks) == (
        original.description,
        original.tasks,
    )
    for name in trace.COLUMNS:
      np.testing.assert_array_equal(reread.values(name), original.values(name))
  original.path.write_bytes(content[: len(content) // 2])
  with pytest.raises(errors.InputError, match="cannot be read"):
    trace.find(order, "heldout")


def test_other_parquet_files_are_refused(order, store):
  original = trace.make(order, store)
  pq.write_table(order.table, original.path)
  with pytest.raises(errors.InputError, match="cannot be read as a trace"):
    trace.read(original.path)
  metadata = original.table.schema.metadata
  for table in (order.table, original.table.slice(1)):
    pq.write_table(table.replace_schema_metadata(metadata), original.path)
    with pytest.raises(errors.InputError, match="cannot be read as a trace"):
      trace.read(original.path)
