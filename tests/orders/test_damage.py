"""An order or embeddings that are damaged are noticed before they are used."""

import pathlib
import shutil

import pytest

from zsgen import verify
from zsgen.core import artifacts, config, errors
from zsgen.orders import embeddings
from zsgen.orders import order as order_lib

OPTIONS = config.build(config.Order, arrangement="tmt", budget=8)
DAMAGES = {
    "flip": lambda content, other: content[:9] + b"?" + content[10:],
    "truncate": lambda content, other: content[:-3],
    "empty": lambda content, other: b"",
    "zero": lambda content, other: bytes(len(content)),
    "exchange": lambda content, other: other,
    "delete": lambda content, other: None,
}


def _make(workdir, store, **changes) -> pathlib.Path:
  return order_lib.make(workdir, store, OPTIONS, **{"seed": 0, **changes}).path


def _assert_noticed(file: pathlib.Path, other: pathlib.Path, *uses) -> None:
  """Each damage to a file is noticed by each use."""
  whole, others = file.read_bytes(), other.read_bytes()
  for damage, do in DAMAGES.items():
    content = do(whole, others)
    file.unlink()
    if content is not None:
      file.write_bytes(content)
    for use in uses:
      with pytest.raises(errors.InputError) as caught:
        use()
      assert f"elete {file.parent} to " in str(caught.value), damage
    file.write_bytes(whole)
  for use in uses:
    use()


def test_orders(store, workdir):
  path = _make(workdir, store)
  other = order_lib.make(
      workdir,
      store,
      config.build(config.Order, budget=8, sequence="reversed"),
      0,
  ).path
  for name in ("ids.npy", "order.parquet", "manifest.json"):
    _assert_noticed(
        path / name,
        other / name,
        lambda: order_lib.Order.load(path),
        lambda: _make(workdir, store),
        lambda: verify.verify(path),
    )


def test_embeddings(make_store, workdir):
  store, other = make_store(0), make_store(1)
  for each in (store, other):
    embeddings.obtain(workdir, each, OPTIONS)
  made = [embeddings.recipe_of(each, OPTIONS) for each in (store, other)]
  path, beside = (
      workdir / "embeddings" / artifacts.name("ngram", each) for each in made
  )
  for name in ("vectors.npz", "manifest.json"):
    _assert_noticed(
        path / name,
        beside / name,
        lambda: embeddings.obtain(workdir, store, OPTIONS),
        lambda: verify.verify(path),
    )


@pytest.mark.parametrize("section", ["orders", "embeddings"])
def test_the_advice_works(store, workdir, section):
  order = _make(workdir, store)
  content = (order / "ids.npy").read_bytes()
  (path,) = (workdir / section).iterdir()
  shutil.rmtree(path)
  shutil.rmtree(order, ignore_errors=True)  # It is what reads embeddings.
  assert (_make(workdir, store) / "ids.npy").read_bytes() == content
  assert len(verify.verify(workdir)) == 3


def test_orders_that_changed_names(store, workdir):
  path = _make(workdir, store)
  other = order_lib.make(workdir, store, OPTIONS, 1).path
  kept = shutil.copytree(path, workdir / "kept")
  shutil.rmtree(path)
  shutil.copytree(other, path)
  with pytest.raises(errors.InputError, match=f"this order is {other.name}"):
    order_lib.Order.load(path)
  with pytest.raises(errors.InputError, match=r"made_by\.seed is 1, but this"):
    _make(workdir, store)
  with pytest.raises(errors.InputError, match=f"this order is {other.name}"):
    verify.verify(workdir)
  assert artifacts.read_manifest(kept, "order")  # It has a name of its own.
