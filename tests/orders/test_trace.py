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
  drawn = np.random.default_rng(seed).normal(size=(size, dim))
  unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
  return unit.astype(np.float32)


def _expected(train, task):
  """The eight measures of one prefix and one task."""
  products = train.astype(float) @ task.T
  apart = np.linalg.norm(train[:, None] - task[None], axis=-1)
  means = train.mean(0), task.mean(0)
  lengths = [np.linalg.norm(mean) for mean in means]
  return dict(
      cosine_avg=-products.mean(),
      cosine_min=-products.max(),
      cosine_max=-products.min(),
      cosine_centroid=-(means[0] @ means[1]) / (lengths[0] * lengths[1]),
      euclid_avg=apart.mean(),
      euclid_min=apart.min(),
      euclid_max=apart.max(),
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
  found = prefixes.distances(_sparse(train), _sparse(heldout), ends, starts)
  tasks = np.split(heldout, starts[1:])
  for place, end in enumerate(ends):
    for number, task in enumerate(tasks):
      for name, value in _expected(train[:end], task).items():
        assert found[name][place, number] == pytest.approx(value, abs=1e-5)


def test_an_equal_example_is_at_distance_zero():
  train = _vectors(5, 0)
  found = prefixes.distances(
      _sparse(train), _sparse(train[3:4]), np.arange(1, 6), np.array([0])
  )
  np.testing.assert_allclose(found["cosine_min"][3:], -1, rtol=1e-6)
  np.testing.assert_allclose(found["euclid_min"][3:], 0, atol=1e-3)
  assert (found["euclid_min"][:3] > 0.01).all()


@pytest.fixture
def order(store, workdir):
  return order_lib.make(workdir, store, config.Order(budget=19), 0)


def _call(capsys, *arguments):
  code = tools.main(["trace", *(str(each) for each in arguments)])
  said = capsys.readouterr()
  return code, said.out, said.err


def test_the_tool_writes_beside_the_order(order, store, capsys):
  before = sorted(path.name for path in order.path.iterdir())
  code, said, _ = _call(
      capsys, order.path, "--batch_size", 4, "--every", 2, "--split", "heldout"
  )
  assert code == 0
  path = order.path.parent / f"{order.path.name}.trace-heldout.parquet"
  assert str(path) in said and "step 5" in said and "bigram_kl" in said
  assert sorted(each.name for each in order.path.iterdir()) == before
  found = trace.find(order, "heldout")
  assert found.path == path
  assert (found.examples.tolist(), found.steps.tolist()) == (
      [8, 16, 19],
      [2, 4, 5],
  )
  assert found.tasks == ["large"]
  assert found.description == dict(
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


def test_values_are_of_the_orders_own_vectors(store, workdir):
  made = config.Order(budget=10, text="prompt")
  order = order_lib.make(workdir, store, made, 0)
  found = trace.make(order, store, batch_size=3, every=1)
  assert found.description["text"] == "prompt"
  vectors = embeddings.obtain(workdir, store, config.Order(text="prompt"))
  dense = vectors.block(0, len(store))
  task = dense[store.split_ids("heldout")]
  for place, end in enumerate([3, 6, 9, 10]):
    expected = _expected(dense[order.ids[:end]], task)
    for name, value in expected.items():
      assert found.values(name)[place, 0] == pytest.approx(value, abs=1e-5)
  assert (np.diff(found.means("cosine_min")) <= 0).all()
  other = trace.make(order, store, text="prompt+answer")
  assert other.description["text"] == "prompt+answer"
  assert other.means("bigram_kl")[-1] != found.means("bigram_kl")[-1]


def test_an_order_without_embedder_gets_ngrams(store, workdir):
  made = config.Order(arrangement="random", budget=10, embedder="")
  order = order_lib.make(workdir, store, made, 0)
  about = trace.make(order, store).description
  assert (about["embedder"], about["text"]) == ("ngram", "prompt+answer")


def test_means_are_over_tasks_that_have_a_value(order, store):
  found = trace.make(order, store, batch_size=4, every=1)
  values = found.values("bigram_kl").copy()
  values[0] = np.nan
  table = found.table.set_column(
      found.table.column_names.index("bigram_kl"), "bigram_kl", [values.ravel()]
  )
  means = trace.Trace(found.path, found.description, table).means("bigram_kl")
  assert np.isnan(means[0]) and np.isfinite(means[1:]).all()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--every", 0], "--every is 0"),
        (["--batch_size", -1], "--batch_size is -1"),
        (["--split", "hedout"], 'Did you mean "heldout"?'),
        (["--split", "train"], "must be a held-out set"),
        (["--embedder", "ngrams"], 'Did you mean "ngram"?'),
    ],
)
def test_bad_options_are_one_message(order, capsys, arguments, said):
  code, _, told = _call(capsys, order.path, *arguments)
  assert (code, told.count("\n")) == (2, 1)
  assert said in told
  assert not list(order.path.parent.glob("*.parquet"))


def test_an_order_whose_workdir_is_gone_is_one_message(order, workdir, capsys):
  moved = order.path.rename(workdir / order.path.name)
  code, _, told = _call(capsys, moved)
  assert (code, told.count("\n")) == (2, 1)
  assert "no finished store" in told


def test_no_trace_is_none(order):
  assert trace.find(order, "heldout") is None
  with pytest.raises(errors.InputError, match="cannot be read"):
    trace.read(trace.path_of(order.path, "heldout"))


def test_a_foreign_trace_is_refused(order, store, workdir):
  found = trace.make(order, store, split="far")
  path = trace.path_of(order.path, "heldout")
  path.write_bytes(found.path.read_bytes())
  with pytest.raises(errors.InputError, match="of another split"):
    trace.find(order, "heldout")
  made = config.Order(arrangement="random", budget=10)
  other = order_lib.make(workdir, store, made, 0)
  theirs = trace.path_of(other.path, "far")
  theirs.write_bytes(found.path.read_bytes())
  with pytest.raises(errors.InputError, match="of another order"):
    trace.find(other, "far")


def test_a_damaged_trace_never_reads_as_another(order, store):
  found = trace.make(order, store, batch_size=4, every=1)
  content = found.path.read_bytes()
  for place in np.linspace(0, len(content) - 1, 60).astype(int):
    changed = bytearray(content)
    changed[place] ^= 1
    found.path.write_bytes(changed)
    try:
      again = trace.find(order, "heldout")
    except errors.InputError:
      continue
    # Bytes of headers that no value depends on.
    assert (again.description, again.tasks) == (found.description, found.tasks)
    for name in trace.COLUMNS:
      np.testing.assert_array_equal(again.values(name), found.values(name))
  found.path.write_bytes(content[: len(content) // 2])
  with pytest.raises(errors.InputError, match="cannot be read"):
    trace.find(order, "heldout")


def test_other_parquet_files_are_no_trace(order, store):
  found = trace.make(order, store)
  pq.write_table(order.table, found.path)
  with pytest.raises(errors.InputError, match="cannot be read as a trace"):
    trace.read(found.path)
  metadata = found.table.schema.metadata
  for table in (order.table, found.table.slice(1)):
    pq.write_table(table.replace_schema_metadata(metadata), found.path)
    with pytest.raises(errors.InputError, match="cannot be read as a trace"):
      trace.read(found.path)
