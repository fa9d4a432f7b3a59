"""docs/arrangements.md says what is there, and its pictures are of it."""

import dataclasses
import importlib.util
import inspect
import re

from PIL import Image
import pytest

from zsgen import config as config_lib
from zsgen.data.sources import synth
from zsgen.orders import arrangements

IMAGES = "images/arrangements"


@pytest.fixture(scope="module")
def page(root) -> str:
  return (root / "docs" / "arrangements.md").read_text("utf-8")


@pytest.fixture(scope="module")
def pictures(root):
  """The script that draws the pictures."""
  spec = importlib.util.spec_from_file_location(
      "pictures", root / "docs" / "pictures.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _named(order: config_lib.Order) -> set[str]:
  return {order.arrangement}.union(*map(_named, order.parts))


def test_every_snippet_is_a_config(page):
  snippets = re.findall(r"```python\n(.*?)```", page, re.S)
  assert len(snippets) > 10
  shown = set()
  for snippet in snippets:
    config = config_lib.defaults()
    exec(snippet, {"config": config})
    order = config_lib.check(config).order
    arrangements.check(order, 10**7)
    assert order.target_task in ("", *synth.HELDOUT)
    shown |= _named(order)
  assert shown <= set(arrangements.ARRANGEMENTS)
  # One baseline's lines stand for those of the other.
  assert set(arrangements.ARRANGEMENTS) - shown == {"round_robin"}


def test_the_table_has_every_arrangement_and_what_it_reads(page):
  rows = dict(re.findall(r"^\| \[`(\w+)`\].*?\|.*?\| (.*?) \|", page, re.M))
  told = {name: set(re.findall(r"`(\w+)`", rows[name])) for name in rows}
  reads = {
      name: (
          {
              argument.name
              for argument in inspect.signature(function).parameters.values()
              if argument.kind is argument.KEYWORD_ONLY
          }
          - {"seed"}
      )
      for name, function in arrangements.ARRANGEMENTS.items()
  }
  assert told == reads


def test_every_option_and_choice_of_an_order_is_on_the_page(page):
  for field in dataclasses.fields(config_lib.Order):
    assert re.search(rf"[`.]{field.name}\b", page), field.name
    for choice in field.metadata["choices"]:
      assert re.search(rf"[`\"]{re.escape(choice)}[`\"]", page), choice


def test_links_inside_the_page_lead_somewhere(page):
  titles = re.findall(r"^##+ (.*)$", page, re.M)
  slugs = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
  assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= slugs


def test_every_picture_is_linked_drawn_and_there(page, pictures):
  linked = set(re.findall(rf"\]\({IMAGES}/(\w+)\.png\)", page))
  there = {path.stem for path in pictures.DIRECTORY.iterdir()}
  assert linked == there == set(pictures.GROUPS)


def test_pictures_show_what_arrangements_give_now(pictures):
  for name, orders in pictures.GROUPS.items():
    with Image.open(pictures.DIRECTORY / f"{name}.png") as image:
      shown = image.text[pictures.DIGEST]
    assert shown == pictures.digest(
        pictures.arrange(orders)
    ), f"{name}.png is out of date: run `python -m docs.pictures`"
