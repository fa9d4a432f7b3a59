"""seqio views of a store, and the feed that trains from one."""

import pathlib
import shutil
import sys

import numpy as np
import pytest

from tests.helpers import components
from zsgen.core import artifacts, config, errors
from zsgen.data import prepare, store, suite
from zsgen.train import batches, seqio_feed

seqio = pytest.importorskip("seqio")

from tests.helpers import tiny_tokenizers  # noqa: E402
from zsgen.data import views  # noqa: E402

TASKS = {
    "even/keep": ("train", ["2, 3 → 2", "4", "ten: 10", "", "6"]),
    "odd": ("train", ["1", "3 and 5", "7"]),
    "large": ("heldout", ["99", "100"]),
    "mood": ("family", ["glad", "sad", "äöü €"]),
}
BATCH = 4


def _suite(data: config.Data, seed: int, scratch) -> suite.Suite:
  """Returns four tasks in three splits."""
  del data, seed

  def examples():
    for task, (split, texts) in TASKS.items():
      for i, text in enumerate(texts):
        request = f"{i} {text}"
        yield suite.Example(
            task, "any", split, "Do it.", request, (text,), str(i)
        )

  return suite.Suite("small-suite", ("heldout", "family"), examples)


def _prepare(root: pathlib.Path, **options) -> store.Store:
  with pytest.MonkeyPatch.context() as patch:
    components.add(patch, "source", "here", _suite)
    return prepare.prepare(
        root, config.build(config.Data, source="here", **options), 0
    )


@pytest.fixture(scope="module")
def small_store(tmp_path_factory) -> store.Store:
  return _prepare(tmp_path_factory.mktemp("stores"))


def _write_order(
    path: pathlib.Path, ids, row_store: store.Store
) -> pathlib.Path:
  path.mkdir()
  np.save(path / "ids.npy", np.array(ids))
  manifest = {
      "kind": "order",
      "made_by": {"store": row_store.fingerprint},
      "store": str(row_store.path),
      "files": {"ids.npy": {"sha256": artifacts.file_digest(path / "ids.npy")}},
      "count": len(ids),
      "statistics": {},
  }
  artifacts.write_manifest(path, manifest)
  return path


@pytest.fixture
def order(small_store, tmp_path) -> pathlib.Path:
  """Writes an order of six of eight training examples, one of them twice."""
  return _write_order(
      tmp_path / "tmt-nearest", [5, 0, 7, 2, 1, 6, 5], small_store
  )


def _read(name: str, split: str = "train", **options) -> list[dict]:
  """Reads all elements of a view, unshuffled, for one epoch."""
  options = {"shuffle": False, "num_epochs": 1, **options}
  view = seqio.get_mixture_or_task(name)
  return list(view.get_dataset(split=split, **options).as_numpy_iterator())


def _ids(elements: list[dict]) -> list[int]:
  return [int(element["id"]) for element in elements]


def _assert_rows(elements: list[dict], row_store: store.Store) -> None:
  """Checks that tokens and masks are the store's."""
  for element in elements:
    row = row_store.row(element["id"])
    np.testing.assert_array_equal(element["targets"], row.tokens)
    np.testing.assert_array_equal(element["mask"], row.mask)


def test_order_is_one_name_for_a_task_and_its_mixture(small_store, order):
  name = views.register_order(small_store, order)
  assert name == "zsgen:small_suite:tmt_nearest"
  for view in (seqio.TaskRegistry.get(name), seqio.MixtureRegistry.get(name)):
    elements = list(
        view.get_dataset(shuffle=False, num_epochs=1).as_numpy_iterator()
    )
    assert _ids(elements) == np.load(order / "ids.npy").tolist()
    _assert_rows(elements, small_store)
  assert {key: value.dtype for key, value in elements[0].items()} == {
      "targets": np.int32,
      "mask": np.int32,
      "id": np.int64,
  }


@pytest.mark.parametrize("shards", [2, 4])
def test_order_strides_over_shards(small_store, order, shards):
  name = views.register_order(small_store, order)
  for i in range(shards):
    elements = _read(name, shard_info=seqio.ShardInfo(i, shards))
    assert _ids(elements) == np.load(order / "ids.npy")[i::shards].tolist()
    _assert_rows(elements, small_store)


def test_order_cannot_be_shuffled(small_store, order):
  name = views.register_order(small_store, order)
  for view in (seqio.TaskRegistry.get(name), seqio.MixtureRegistry.get(name)):
    with pytest.raises(ValueError, match="Shuffling is disallowed"):
      view.get_dataset(shuffle=True)


def test_order_starts_at_the_given_position(small_store, order):
  name = views.register_order(small_store, order, start=3)
  assert _ids(_read(name)) == [2, 1, 6, 5]
  assert _ids(_read(name, num_epochs=2)) == [2, 1, 6, 5] * 2
  assert _ids(_read(views.register_order(small_store, order, start=7))) == []
  assert _ids(_read(views.register_order(small_store, order)))[0] == 5
  with pytest.raises(ValueError, match="start is -1"):
    views.register_order(small_store, order, start=-1)


def test_order_longer_than_a_chunk(small_store, tmp_path):
  ids = np.random.default_rng(0).integers(0, 8, 1000)
  order = _write_order(tmp_path / "long", ids, small_store)
  name = views.register_order(small_store, order)
  assert _ids(_read(name)) == ids.tolist()
  read = list(views.read_order(small_store, order, start=3))
  assert [example for example, _ in read] == ids[3:].tolist()
  for example, row in read:
    np.testing.assert_array_equal(row.tokens, small_store.row(example).tokens)


def test_order_of_another_store_is_refused(small_store, order, tmp_path):
  other_store = _prepare(tmp_path / "stores", max_length=30)
  with pytest.raises(errors.InputError, match="not an order of the store"):
    views.register_order(other_store, order)


@pytest.mark.parametrize("ids", [[0, 99], [-1, 0], [0.5], [[0]]])
def test_order_with_wrong_ids_is_refused(small_store, tmp_path, ids):
  order = _write_order(tmp_path / "wrong", ids, small_store)
  with pytest.raises(errors.InputError, match="does not hold ids"):
    views.register_order(small_store, order)


def test_damaged_order_is_refused(small_store, order):
  (order / "ids.npy").write_bytes(b"no array")
  with pytest.raises(errors.InputError, match=r"ids\.npy: is damaged"):
    views.register_order(small_store, order)


def test_a_damaged_store_is_one_message(order, tmp_path, capfd):
  row_store = _prepare(tmp_path / "stores")
  file = row_store.path / "mask.bin"
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)
  opened = store.open_store(row_store.path)
  capfd.readouterr()
  with pytest.raises(errors.InputError, match=r"mask\.bin: block 0"):
    list(views.read_order(opened, order))
  assert "Traceback" not in capfd.readouterr().err


def test_suite_tasks_are_rows_cut_at_the_answer(small_store):
  names = views.register_suite(small_store)
  assert names[:2] == ["zsgen:small_suite:even_keep", "zsgen:small_suite:odd"]
  elements = []
  for name, (split, _) in zip(names, TASKS.values(), strict=False):
    elements += _read(name, split)
  assert _ids(elements) == list(range(len(small_store)))
  for element in elements:
    row = small_store.row(element["id"])
    joined = np.concatenate([element["inputs"], element["targets"]])
    np.testing.assert_array_equal(joined, row.tokens)
    assert len(element["targets"]) == row.mask.sum()
    texts = [
        element[f"{key}_pretokenized"].decode() for key in ("inputs", "targets")
    ]
    assert tuple(texts) == small_store.texts([element["id"]])[0]


@pytest.mark.parametrize("split", ["train", "heldout", "family"])
def test_mixture_is_its_split_once_an_epoch(small_store, split):
  assert f"zsgen:small_suite:{split}" in views.register_suite(small_store)
  for shuffle in (False, True):
    elements = _read(
        f"zsgen:small_suite:{split}",
        split,
        shuffle=shuffle,
        passthrough_features=["id"],
    )
    assert sorted(_ids(elements)) == small_store.split_ids(split).tolist()


def test_task_has_one_split(small_store):
  views.register_suite(small_store)
  with pytest.raises(ValueError, match="no split 'heldout'"):
    seqio.TaskRegistry.get("zsgen:small_suite:odd").source.get_dataset(
        "heldout"
    )


def test_feature_converters_see_the_stores_loss_mask(small_store, order):
  name = views.register_suite(small_store)[0]
  converted = seqio.get_dataset(
      name,
      task_feature_lengths={"inputs": 64, "targets": 16},
      dataset_split="train",
      shuffle=False,
      feature_converter=seqio.PrefixLMFeatureConverter(pack=False),
  )
  for example, element in enumerate(converted.as_numpy_iterator()):
    row, length = small_store.row(example), small_store.lengths[example]
    np.testing.assert_array_equal(
        element["decoder_target_tokens"][:length], row.tokens
    )
    np.testing.assert_array_equal(
        element["decoder_loss_weights"][:length], row.mask
    )
  plain = seqio.get_dataset(
      views.register_order(small_store, order),
      task_feature_lengths={"targets": 80},
      dataset_split="train",
      shuffle=False,
      feature_converter=seqio.LMFeatureConverter(pack=False),
  )
  first = next(plain.as_numpy_iterator())["decoder_target_tokens"]
  np.testing.assert_array_equal(
      first[: small_store.lengths[5]], small_store.row(5).tokens
  )


def test_registering_again_replaces(small_store, order, tmp_path):
  names = views.register_suite(small_store)
  in_order = views.register_order(small_store, order)
  assert views.register_suite(small_store) == names
  other_store = _prepare(tmp_path / "stores", max_length=30)
  views.register_suite(other_store)
  assert max(len(element["targets"]) for element in _read(names[0])) < 10
  assert len(_read(names[0])[0]["inputs"]) <= 30
  assert len(_read(in_order)) == 7
  views.register_suite(small_store)


def test_clash_of_names_is_refused(small_store, order, monkeypatch):
  views.register_suite(small_store)
  with pytest.raises(
      errors.InputError, match="seqio name zsgen:small_suite:odd"
  ):
    views.register_order(small_store, order.rename(order.with_name("odd")))
  monkeypatch.setitem(TASKS, "even.keep", TASKS["odd"])
  monkeypatch.setitem(TASKS, "even keep", TASKS["odd"])
  clash = _prepare(order.parent)
  with pytest.raises(errors.InputError, match="even_keep"):
    views.register_suite(clash)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_feed_is_the_stores(small_store, order, first):
  feed = seqio_feed.seqio_feed(small_store, order, BATCH, first)
  ids = np.load(order / "ids.npy")
  store_feed = batches.store_feed(small_store, ids, BATCH)
  for step in range(first, batches.steps_of(ids, BATCH)):
    actual, expected = feed(step), store_feed(step)
    np.testing.assert_array_equal(actual.ids, expected.ids)
    assert actual.ids.dtype == expected.ids.dtype
    for row, expected_row in zip(actual.rows, expected.rows, strict=True):
      for array, stored in zip(row, expected_row, strict=True):
        np.testing.assert_array_equal(array, stored)
        assert array.dtype == stored.dtype


def test_feed_only_reads_forwards(small_store, order):
  feed = seqio_feed.seqio_feed(small_store, order, BATCH, 0)
  feed(0)
  with pytest.raises(ValueError, match="at step 1, not at 0"):
    feed(0)


def test_missing_seqio_is_reported_with_what_to_install(
    small_store, order, monkeypatch
):
  monkeypatch.setitem(sys.modules, "zsgen.data.views", None)
  monkeypatch.delattr("zsgen.data.views")
  with pytest.raises(errors.InputError, match=r"zsgen\[data\]"):
    seqio_feed.seqio_feed(small_store, order, BATCH, 0)


@pytest.mark.parametrize(
    "kind",
    [
        "gpt2",
        "sentencepiece",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in sorted({*tiny_tokenizers.HF} - {"gpt2"})
        ),
    ],
)
def test_views_of_every_tokenizer(kind, tmp_path):
  """Checks that ids of views are the store's, plus 1 if 0 is a text token."""
  row_store = _prepare(tmp_path / "stores", **_tokenizer(kind, tmp_path))
  shift = {"bert": 0, "unigram": 0}.get(kind, 1)
  names = views.register_suite(row_store)
  for name, (split, _) in zip(names, TASKS.values(), strict=False):
    for element in _read(name, split):
      joined = np.concatenate([element["inputs"], element["targets"]])
      tokens = row_store.row(element["id"]).tokens
      np.testing.assert_array_equal(joined, tokens + np.uint32(shift))
      assert joined.min() > 0
  vocabulary = (
      seqio.TaskRegistry.get(name).output_features["targets"].vocabulary
  )
  assert element["targets"][-1] == vocabulary.eos_id
  assert joined.max() < vocabulary.vocab_size
  order = _write_order(tmp_path / f"order-{kind}", [5, 0, 7, 2, 1], row_store)
  for element in _read(views.register_order(row_store, order)):
    tokens = row_store.row(element["id"]).tokens
    np.testing.assert_array_equal(element["targets"], tokens + np.uint32(shift))
  feed = seqio_feed.seqio_feed(row_store, order, BATCH, 0)
  for row, i in zip(feed(0).rows, [5, 0, 7, 2], strict=True):
    np.testing.assert_array_equal(row.tokens, row_store.row(i).tokens)
    assert row.tokens.dtype == np.uint32


def _tokenizer(kind: str, path: pathlib.Path) -> dict[str, str]:
  """Builds a tokenizer and returns its options."""
  if kind == "sentencepiece":
    model = tiny_tokenizers.sentencepiece(path / "a.model")
    return {"tokenizer": kind, "tokenizer_path": model}
  special_tokens = {"eos_token": "[SEP]"} if kind == "bert" else {}
  directory = tiny_tokenizers.HF[kind](path / kind, **special_tokens)
  return {"tokenizer": "hf", "tokenizer_path": directory}


def test_views_need_no_tokenizer_files_beside_the_store(tmp_path):
  options = _tokenizer("gpt2", tmp_path)
  row_store = _prepare(tmp_path / "stores", **options)
  shutil.rmtree(options["tokenizer_path"])
  assert views.register_suite(row_store)
  shutil.rmtree(row_store.path / "tokenizer")
  with pytest.raises(errors.InputError, match="Prepare the store again"):
    views.register_suite(row_store)


def _evaluate(row_store: store.Store, name: str, split: str, predict) -> dict:
  """Returns the scores of `seqio.Evaluator` for a predictor of token rows."""
  views.register_suite(row_store)
  evaluator = seqio.Evaluator(
      name,
      feature_converter=seqio.PrefixLMFeatureConverter(pack=False),
      eval_split=split,
      logger_cls=(seqio.JSONLogger,),
      log_dir=str(row_store.path.parent),
  )

  def predict_fn(dataset):
    rows = [(i, features) for i, features in dataset.as_numpy_iterator()]
    longest = max(
        len(features["decoder_target_tokens"]) for _, features in rows
    )
    return [
        (i, np.pad(answer, (0, longest - len(answer))))
        for i, features in rows
        for answer in [predict(features)]
    ]

  metrics, _ = evaluator.evaluate(compute_metrics=True, predict_fn=predict_fn)
  return metrics.result()


def _answer(features: dict) -> np.ndarray:
  """Returns the answer's tokens, end token included."""
  return features["decoder_target_tokens"][features["decoder_loss_weights"] > 0]


@pytest.mark.parametrize("kind", ["bytes", "gpt2", "unigram"])
def test_evaluator_over_a_heldout_split(kind, tmp_path, monkeypatch):
  pytest.importorskip("rouge_score")
  monkeypatch.setitem(TASKS, "large", ("heldout", ["the cat sat", "The dog."]))
  options = {} if kind == "bytes" else _tokenizer(kind, tmp_path)
  row_store = _prepare(tmp_path / "stores", **options)
  name = "zsgen:small_suite:large"
  perfect = _evaluate(
      row_store, "zsgen:small_suite:heldout", "heldout", _answer
  )
  measures = ("exact_match", "normalized_match", "rouge1", "rougeL")
  assert perfect == {name: dict.fromkeys(measures, 1.0)}
  wrong = _evaluate(
      row_store, name, "heldout", lambda features: _answer(features)[:0]
  )
  assert wrong == {name: dict.fromkeys(measures, 0.0)}


def test_evaluator_scores_partly_right_answers(
    small_store, monkeypatch, tmp_path
):
  """Scores "say" for "sad" (no ROUGE) and "Glad." for "glad" (not exact)."""
  pytest.importorskip("rouge_score")
  answers = iter([b"Glad. ", b"say", "äöü €".encode()])
  scores = _evaluate(
      _prepare(tmp_path),
      "zsgen:small_suite:mood",
      "family",
      lambda features: np.array([*(byte + 3 for byte in next(answers)), 1, 70]),
  )
  # The third answer has letters, but none of a to z.
  assert scores["zsgen:small_suite:mood"] == pytest.approx(
      {
          "exact_match": 1 / 3,
          "normalized_match": 2 / 3,
          "rouge1": 2 / 3,
          "rougeL": 2 / 3,
      }
  )
