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

import tokenized  # noqa: E402

from zsgen.data import views  # noqa: E402

TASKS = {
    "even/keep": ("train", ["2, 3 → 2", "4", "ten: 10", "", "6"]),
    "odd": ("train", ["1", "3 and 5", "7"]),
    "large": ("heldout", ["99", "100"]),
    "mood": ("family", ["glad", "sad", "äöü €"]),
}
BATCH = 4


def _suite(data: config.Data, seed: int, scratch) -> suite.Suite:
  """Four tasks in three splits."""
  del data, seed

  def examples():
    for task, (split, texts) in TASKS.items():
      for i, text in enumerate(texts):
        asked = f"{i} {text}"
        yield suite.Example(
            task, "any", split, "Do it.", asked, (text,), str(i)
        )

  return suite.Suite("small-suite", ("heldout", "family"), examples)


def _prepare(root: pathlib.Path, **options) -> store.Store:
  with pytest.MonkeyPatch.context() as patch:
    components.add(patch, "source", "here", _suite)
    return prepare.prepare(
        root, config.build(config.Data, source="here", **options), 0
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> store.Store:
  return _prepare(tmp_path_factory.mktemp("stores"))


def _write_order(path: pathlib.Path, ids, made: store.Store) -> pathlib.Path:
  path.mkdir()
  np.save(path / "ids.npy", np.array(ids))
  manifest = {
      "kind": "order",
      "made_by": {"store": made.fingerprint},
      "store": str(made.path),
      "files": {"ids.npy": {"sha256": artifacts.file_digest(path / "ids.npy")}},
      "count": len(ids),
      "statistics": {},
  }
  artifacts.write_manifest(path, manifest)
  return path


@pytest.fixture
def order(made, tmp_path) -> pathlib.Path:
  """Six of the eight training examples, shuffled, and one a second time."""
  return _write_order(tmp_path / "tmt-nearest", [5, 0, 7, 2, 1, 6, 5], made)


def _read(name: str, split: str = "train", **options) -> list[dict]:
  """All elements of a view, not shuffled, one epoch."""
  options = {"shuffle": False, "num_epochs": 1, **options}
  view = seqio.get_mixture_or_task(name)
  return list(view.get_dataset(split=split, **options).as_numpy_iterator())


def _ids(elements: list[dict]) -> list[int]:
  return [int(each["id"]) for each in elements]


def _assert_rows(elements: list[dict], made: store.Store) -> None:
  """Tokens and masks are the store's."""
  for each in elements:
    row = made.row(each["id"])
    np.testing.assert_array_equal(each["targets"], row.tokens)
    np.testing.assert_array_equal(each["mask"], row.mask)


def test_order_is_one_name_for_a_task_and_its_mixture(made, order):
  name = views.register_order(made, order)
  assert name == "zsgen:small_suite:tmt_nearest"
  for view in (seqio.TaskRegistry.get(name), seqio.MixtureRegistry.get(name)):
    found = list(
        view.get_dataset(shuffle=False, num_epochs=1).as_numpy_iterator()
    )
    assert _ids(found) == np.load(order / "ids.npy").tolist()
    _assert_rows(found, made)
  assert {key: value.dtype for key, value in found[0].items()} == {
      "targets": np.int32,
      "mask": np.int32,
      "id": np.int64,
  }


@pytest.mark.parametrize("shards", [2, 4])
def test_order_strides_over_shards(made, order, shards):
  name = views.register_order(made, order)
  for i in range(shards):
    found = _read(name, shard_info=seqio.ShardInfo(i, shards))
    assert _ids(found) == np.load(order / "ids.npy")[i::shards].tolist()
    _assert_rows(found, made)


def test_order_cannot_be_shuffled(made, order):
  name = views.register_order(made, order)
  for view in (seqio.TaskRegistry.get(name), seqio.MixtureRegistry.get(name)):
    with pytest.raises(ValueError, match="Shuffling is disallowed"):
      view.get_dataset(shuffle=True)


def test_order_starts_where_it_is_told(made, order):
  name = views.register_order(made, order, start=3)
  assert _ids(_read(name)) == [2, 1, 6, 5]
  assert _ids(_read(name, num_epochs=2)) == [2, 1, 6, 5] * 2
  assert _ids(_read(views.register_order(made, order, start=7))) == []
  assert _ids(_read(views.register_order(made, order)))[0] == 5
  with pytest.raises(ValueError, match="start is -1"):
    views.register_order(made, order, start=-1)


def test_order_longer_than_a_chunk(made, tmp_path):
  ids = np.random.default_rng(0).integers(0, 8, 1000)
  order = _write_order(tmp_path / "long", ids, made)
  name = views.register_order(made, order)
  assert _ids(_read(name)) == ids.tolist()
  read = list(views.read_order(made, order, start=3))
  assert [example for example, _ in read] == ids[3:].tolist()
  for example, row in read:
    np.testing.assert_array_equal(row.tokens, made.row(example).tokens)


def test_order_of_another_store_is_refused(made, order, tmp_path):
  other = _prepare(tmp_path / "stores", max_length=30)
  with pytest.raises(errors.InputError, match="not an order of the store"):
    views.register_order(other, order)


@pytest.mark.parametrize("ids", [[0, 99], [-1, 0], [0.5], [[0]]])
def test_order_with_wrong_ids_is_refused(made, tmp_path, ids):
  order = _write_order(tmp_path / "wrong", ids, made)
  with pytest.raises(errors.InputError, match="does not hold ids"):
    views.register_order(made, order)


def test_damaged_order_is_refused(made, order):
  (order / "ids.npy").write_bytes(b"no array")
  with pytest.raises(errors.InputError, match=r"ids\.npy: is damaged"):
    views.register_order(made, order)


def test_a_damaged_store_is_one_message(order, tmp_path, capfd):
  made = _prepare(tmp_path / "stores")
  file = made.path / "mask.bin"
  whole = bytearray(file.read_bytes())
  whole[len(whole) // 2] ^= 1
  file.write_bytes(whole)
  opened = store.open_store(made.path)
  capfd.readouterr()
  with pytest.raises(errors.InputError, match=r"mask\.bin: block 0"):
    list(views.read_order(opened, order))
  assert "Traceback" not in capfd.readouterr().err


def test_suite_tasks_are_rows_cut_at_the_answer(made):
  names = views.register_suite(made)
  assert names[:2] == ["zsgen:small_suite:even_keep", "zsgen:small_suite:odd"]
  found = []
  for name, (split, _) in zip(names, TASKS.values(), strict=False):
    found += _read(name, split)
  assert _ids(found) == list(range(len(made)))
  for each in found:
    row = made.row(each["id"])
    joined = np.concatenate([each["inputs"], each["targets"]])
    np.testing.assert_array_equal(joined, row.tokens)
    assert len(each["targets"]) == row.mask.sum()
    said = [
        each[f"{key}_pretokenized"].decode() for key in ("inputs", "targets")
    ]
    assert tuple(said) == made.texts([each["id"]])[0]


@pytest.mark.parametrize("split", ["train", "heldout", "family"])
def test_mixture_is_its_split_once_an_epoch(made, split):
  assert f"zsgen:small_suite:{split}" in views.register_suite(made)
  for shuffle in (False, True):
    found = _read(
        f"zsgen:small_suite:{split}",
        split,
        shuffle=shuffle,
        passthrough_features=["id"],
    )
    assert sorted(_ids(found)) == made.split_ids(split).tolist()


def test_task_has_one_split(made):
  views.register_suite(made)
  with pytest.raises(ValueError, match="no split 'heldout'"):
    seqio.TaskRegistry.get("zsgen:small_suite:odd").source.get_dataset(
        "heldout"
    )


def test_feature_converters_see_the_stores_loss_mask(made, order):
  name = views.register_suite(made)[0]
  converted = seqio.get_dataset(
      name,
      task_feature_lengths={"inputs": 64, "targets": 16},
      dataset_split="train",
      shuffle=False,
      feature_converter=seqio.PrefixLMFeatureConverter(pack=False),
  )
  for example, each in enumerate(converted.as_numpy_iterator()):
    row, length = made.row(example), made.lengths[example]
    np.testing.assert_array_equal(
        each["decoder_target_tokens"][:length], row.tokens
    )
    np.testing.assert_array_equal(
        each["decoder_loss_weights"][:length], row.mask
    )
  plain = seqio.get_dataset(
      views.register_order(made, order),
      task_feature_lengths={"targets": 80},
      dataset_split="train",
      shuffle=False,
      feature_converter=seqio.LMFeatureConverter(pack=False),
  )
  first = next(plain.as_numpy_iterator())["decoder_target_tokens"]
  np.testing.assert_array_equal(first[: made.lengths[5]], made.row(5).tokens)


def test_registering_again_replaces(made, order, tmp_path):
  names = views.register_suite(made)
  in_order = views.register_order(made, order)
  assert views.register_suite(made) == names
  other = _prepare(tmp_path / "stores", max_length=30)
  views.register_suite(other)
  assert max(len(each["targets"]) for each in _read(names[0])) < 10
  assert len(_read(names[0])[0]["inputs"]) <= 30
  assert len(_read(in_order)) == 7
  views.register_suite(made)


def test_clash_of_names_is_refused(made, order, monkeypatch):
  views.register_suite(made)
  with pytest.raises(
      errors.InputError, match="seqio name zsgen:small_suite:odd"
  ):
    views.register_order(made, order.rename(order.with_name("odd")))
  monkeypatch.setitem(TASKS, "even.keep", TASKS["odd"])
  monkeypatch.setitem(TASKS, "even keep", TASKS["odd"])
  clash = _prepare(order.parent)
  with pytest.raises(errors.InputError, match="even_keep"):
    views.register_suite(clash)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_feed_is_the_stores(made, order, first):
  feed = seqio_feed.seqio_feed(made, order, BATCH, first)
  ids = np.load(order / "ids.npy")
  same = batches.store_feed(made, ids, BATCH)
  for step in range(first, batches.steps_of(ids, BATCH)):
    got, expected = feed(step), same(step)
    np.testing.assert_array_equal(got.ids, expected.ids)
    assert got.ids.dtype == expected.ids.dtype
    for row, other in zip(got.rows, expected.rows, strict=True):
      for array, stored in zip(row, other, strict=True):
        np.testing.assert_array_equal(array, stored)
        assert array.dtype == stored.dtype


def test_feed_only_reads_onwards(made, order):
  feed = seqio_feed.seqio_feed(made, order, BATCH, 0)
  feed(0)
  with pytest.raises(ValueError, match="at step 1, not at 0"):
    feed(0)


def test_feed_without_seqio_says_what_to_install(made, order, monkeypatch):
  monkeypatch.setitem(sys.modules, "zsgen.data.views", None)
  monkeypatch.delattr("zsgen.data.views")
  with pytest.raises(errors.InputError, match=r"zsgen\[data\]"):
    seqio_feed.seqio_feed(made, order, BATCH, 0)


@pytest.mark.parametrize("kind", [*sorted(tokenized.HF), "sentencepiece"])
def test_views_of_every_tokenizer(kind, tmp_path):
  """Ids of views are the store's, all one more where 0 is a token of texts."""
  made = _prepare(tmp_path / "stores", **_tokenizer(kind, tmp_path))
  shift = {"bert": 0, "unigram": 0}.get(kind, 1)
  names = views.register_suite(made)
  for name, (split, _) in zip(names, TASKS.values(), strict=False):
    for each in _read(name, split):
      joined = np.concatenate([each["inputs"], each["targets"]])
      tokens = made.row(each["id"]).tokens
      np.testing.assert_array_equal(joined, tokens + np.uint32(shift))
      assert joined.min() > 0
  vocabulary = (
      seqio.TaskRegistry.get(name).output_features["targets"].vocabulary
  )
  assert each["targets"][-1] == vocabulary.eos_id
  assert joined.max() < vocabulary.vocab_size
  order = _write_order(tmp_path / f"order-{kind}", [5, 0, 7, 2, 1], made)
  for each in _read(views.register_order(made, order)):
    tokens = made.row(each["id"]).tokens
    np.testing.assert_array_equal(each["targets"], tokens + np.uint32(shift))
  feed = seqio_feed.seqio_feed(made, order, BATCH, 0)
  for row, i in zip(feed(0).rows, [5, 0, 7, 2], strict=True):
    np.testing.assert_array_equal(row.tokens, made.row(i).tokens)
    assert row.tokens.dtype == np.uint32


def _tokenizer(kind: str, path: pathlib.Path) -> dict[str, str]:
  """Options for a tokenizer that is built here."""
  if kind == "sentencepiece":
    model = tokenized.sentencepiece(path / "a.model")
    return {"tokenizer": kind, "tokenizer_path": model}
  named = {"eos_token": "[SEP]"} if kind == "bert" else {}
  directory = tokenized.HF[kind](path / kind, **named)
  return {"tokenizer": "hf", "tokenizer_path": directory}


def test_views_need_no_tokenizer_files_beside_the_store(tmp_path):
  options = _tokenizer("gpt2", tmp_path)
  made = _prepare(tmp_path / "stores", **options)
  shutil.rmtree(options["tokenizer_path"])
  assert views.register_suite(made)
  shutil.rmtree(made.path / "tokenizer")
  with pytest.raises(errors.InputError, match="Prepare the store again"):
    views.register_suite(made)


def _evaluate(made: store.Store, name: str, split: str, predict) -> dict:
  """What `seqio.Evaluator` says of a predictor of token rows."""
  views.register_suite(made)
  evaluator = seqio.Evaluator(
      name,
      feature_converter=seqio.PrefixLMFeatureConverter(pack=False),
      eval_split=split,
      logger_cls=(seqio.JSONLogger,),
      log_dir=str(made.path.parent),
  )

  def predict_fn(dataset):
    rows = [(i, each) for i, each in dataset.as_numpy_iterator()]
    longest = max(len(each["decoder_target_tokens"]) for _, each in rows)
    return [
        (i, np.pad(said, (0, longest - len(said))))
        for i, each in rows
        for said in [predict(each)]
    ]

  metrics, _ = evaluator.evaluate(compute_metrics=True, predict_fn=predict_fn)
  return metrics.result()


def _answer(each: dict) -> np.ndarray:
  """The answer's tokens, end token included."""
  return each["decoder_target_tokens"][each["decoder_loss_weights"] > 0]


@pytest.mark.parametrize("kind", ["bytes", "gpt2", "unigram"])
def test_evaluator_over_a_heldout_split(kind, tmp_path, monkeypatch):
  pytest.importorskip("rouge_score")
  monkeypatch.setitem(TASKS, "large", ("heldout", ["the cat sat", "The dog."]))
  options = {} if kind == "bytes" else _tokenizer(kind, tmp_path)
  made = _prepare(tmp_path / "stores", **options)
  name = "zsgen:small_suite:large"
  perfect = _evaluate(made, "zsgen:small_suite:heldout", "heldout", _answer)
  measures = ("exact_match", "normalized_match", "rouge1", "rougeL")
  assert perfect == {name: dict.fromkeys(measures, 100.0)}
  wrong = _evaluate(made, name, "heldout", lambda each: _answer(each)[:0])
  assert wrong == {name: dict.fromkeys(measures, 0.0)}


def test_evaluator_knows_half_right_answers(made, monkeypatch, tmp_path):
  """ "say" for "sad": no ROUGE; "Glad." for "glad": all but plain equality."""
  pytest.importorskip("rouge_score")
  said = iter([b"Glad. ", b"say", "äöü €".encode()])
  found = _evaluate(
      _prepare(tmp_path),
      "zsgen:small_suite:mood",
      "family",
      lambda each: np.array([*(byte + 3 for byte in next(said)), 1, 70]),
  )
  # The third answer has letters, but none of a to z.
  assert found["zsgen:small_suite:mood"] == pytest.approx(
      {
          "exact_match": 100 / 3,
          "normalized_match": 200 / 3,
          "rouge1": 200 / 3,
          "rougeL": 200 / 3,
      }
  )
