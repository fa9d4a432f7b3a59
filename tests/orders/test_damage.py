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
    "flip": lambda content, replacement: content[:9] + b"?" + content[10:],
    "truncate": lambda content, replacement: content[:-3],
    "empty": lambda content, replacement: b"",
    "zero": lambda content, replacement: bytes(len(content)),
    "exchange": lambda content, replacement: replacement,
    "delete": lambda content, replacement: None,
}


def _make(workdir, store, **changes) -> pathlib.Path:
  return order_lib.make(workdir, store, OPTIONS, **{"seed": 0, **changes}).path


def _assert_noticed(
    file: pathlib.Path, other_file: pathlib.Path, *uses
) -> None:
  """Each damage to a file is noticed by each use."""
  original, replacement = file.read_bytes(), other_file.read_bytes()
  for damage, do in DAMAGES.items():
    content = do(original, replacement)
    file.unlink()
    if content is not None:
      file.write_bytes(content)
    for use in uses:
      with pytest.raises(errors.InputError) as caught:
        use()
      assert f"elete {file.parent} to " in str(caught.value), damage
    file.write_bytes(original)
  for use in uses:
    use()


def test_damaged_orders(store, workdir):
  path = _make(workdir, store)
  other_path = order_lib.make(
      workdir,
      store,
      config.build(config.Order, budget=8, sequence="reversed"),
      0,
  ).path
  for name in ("ids.npy", "order.parquet", "manifest.json"):
    _assert_noticed(
        path / name,
        other_path / name,
        lambda: order_lib.Order.load(path),
        lambda: _make(workdir, store),
        lambda: verify.verify(path),
    )


def test_damaged_embeddings(make_store, workdir):
  store, other_store = make_store(0), make_store(1)
  for any_store in (store, other_store):
    embeddings.obtain(workdir, any_store, OPTIONS)
  recipes = [
      embeddings.recipe_of(any_store, OPTIONS)
      for any_store in (store, other_store)
  ]
  path, other_path = (
      workdir / "embeddings" / artifacts.name("ngram", recipe)
      for recipe in recipes
  )
  for name in ("vectors.npz", "manifest.json"):
    _assert_noticed(
        path / name,
        other_path / name,
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


def test_orders_under_another_name(store, workdir):
  path = _make(workdir, store)
  other_path = order_lib.make(workdir, store, OPTIONS, 1).path
  backup = shutil.copytree(path, workdir / "kept")
  shutil.rmtree(path)
  shutil.copytree(other_path, path)
  with pytest.raises(
      errors.InputError, match=f"this order is {other_path.name}"
  ):
    order_lib.Order.load(path)
  with pytest.raises(errors.InputError, match=r"made_by\.seed is 1, but this"):
    _make(workdir, store)
  with pytest.raises(
      errors.InputError, match=f"this order is {other_path.name}"
  ):
    verify.verify(workdir)
  assert artifacts.read_manifest(backup, "order")  # It has a name of its own.
