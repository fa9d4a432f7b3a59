"""The pages on arrangements and data say what is there; pictures are of it."""

import dataclasses
import importlib.util
import inspect
import pathlib
import re

from PIL import Image
import pytest

from zsgen.core import config as config_lib
from zsgen.core import errors
from zsgen.data import prepare, prompts, sources, store, tokenizers
from zsgen.data.prompts import requests, templates
from zsgen.data.sources import draws, synth
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


@pytest.fixture(scope="module")
def data_page(root) -> str:
  return (root / "docs" / "data.md").read_text("utf-8")


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


@pytest.mark.parametrize("name", ["arrangements", "data"])
def test_links_inside_a_page_lead_somewhere(root, name):
  page = (root / "docs" / f"{name}.md").read_text("utf-8")
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


def _refusal(data: config_lib.Data, scratch: pathlib.Path) -> str:
  """Why a source does not take options; nothing is there for it to read."""
  try:
    sources.load(dataclasses.replace(data, path="", module=""), 0, scratch)
  except errors.InputError as error:
    return str(error)
  return ""


def test_every_snippet_on_data_is_a_config(data_page, tmp_path):
  shown = set()
  for snippet in re.findall(r"```python\n(.*?)```", data_page, re.S):
    if "import " in snippet:
      continue
    config = config_lib.defaults()
    exec(snippet, {"config": config})
    data = config_lib.check(config).data
    shown.add(data.source)
    assert not re.search("not read|unknown", _refusal(data, tmp_path)), snippet
    prompts.get(data, tokenizers.Bytes(), seed=0)
  # The two embedded suites have the same lines.
  assert set(sources.SOURCES) - shown <= {"synth"}


def test_the_snippet_on_seqio_views_runs(data_page, tmp_path):
  pytest.importorskip("seqio")
  data = config_lib.Data(train_instances=2, heldout_instances=1)
  made = prepare.prepare(tmp_path / "stores", data, seed=0)
  (snippet,) = re.findall(r"```python\n(import .*?)```", data_page, re.S)
  names = {"STORE": made.path}
  exec(snippet, names)
  assert "zsgen:synth:heldout" in names["names"]
  assert names["evaluator"].eval_tasks


def test_the_table_of_sources_has_the_options_of_each(data_page, tmp_path):
  rows = re.findall(r"^\| \[`(\w+)`\].*?\|.*?\| (.*?) \|", data_page, re.M)
  told = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}
  values = {
      "path": "x",
      "dataset": "x",
      "module": "x",
      "track": "xlingual",
      "fields": config_lib.Fields(task="x"),
      "heldout": {"heldout": config_lib.Heldout(share=0.1)},
      "on_bad_row": "skip",
      "deduplicate": True,
      "draw": "first",
  }

  def reads(source: str, option: str) -> bool:
    data = config_lib.Data(source=source, **{option: values[option]})
    try:
      sources.load(data, 0, tmp_path)
    except errors.InputError as error:
      return "does not read it" not in str(error)
    return True

  assert told == {
      source: {option for option in values if reads(source, option)}
      for source in sources.SOURCES
  }


def test_every_option_and_name_of_data_is_on_the_page(data_page):
  for kind in (config_lib.Data, config_lib.Heldout, config_lib.Fields):
    for field in dataclasses.fields(kind):
      assert re.search(rf"[`.]{field.name}\b", data_page), field.name
      for choice in field.metadata.get("choices", ()):
        assert re.search(rf"[`\"]{choice}[`\"]", data_page), choice


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("source", sources.SOURCES),
        ("draw", draws.DRAWS),
        ("prompt", requests.REQUESTS),
        ("template", templates.TEMPLATES),
        ("tokenizer", tokenizers.TOKENIZERS),
    ],
)
def test_the_table_of_names_has_them_all(data_page, option, known):
  titles = rf"^\| `{option}` \|.*\n\|[- |]+\n((?:\|.*\n)+)"
  (table,) = re.findall(titles, data_page, re.M)
  rows = re.findall(r"^\| \[?`\"?(\w+)", table, re.M)
  assert sorted(rows) == sorted(known)


def test_the_table_of_fields_has_each_with_its_default(data_page):
  told = dict(re.findall(r'^\| `(\w+)` \| `"(\w*)"` \|', data_page, re.M))
  assert told == dataclasses.asdict(config_lib.Fields())


def test_the_table_of_files_has_those_of_a_store(data_page, tmp_path):
  data = config_lib.Data(train_instances=1, heldout_instances=1)
  made = prepare.prepare(tmp_path / "stores", data, seed=0)
  titles = r"^\| file \| contents \|\n\|[- |]+\n((?:\|.*\n)+)"
  (table,) = re.findall(titles, data_page, re.M)
  told = re.findall(r"^\| `([\w.]+)/?`", table, re.M)
  there = {each.name for each in made.path.iterdir()}
  assert sorted(told) == sorted({*there, store.CHOICES})


def test_evaluations(root):
  text = (root / "docs" / "evaluations.md").read_text("utf-8")
  for snippet in re.findall(r"```python\n(.*?)```", text, re.S):
    config = config_lib.defaults()
    exec(snippet, {"config": config})
    config_lib.check(config)
  rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", text, re.M))
  assert rows == {
      field.name: (
          f'`"{field.default}"`'
          if isinstance(field.default, str)
          else str(field.default)
      )
      for field in dataclasses.fields(config_lib.Eval)
  }
  for kind in config_lib.HEADLINES:
    assert (
        f"\n## {kind}\n" in text
        or f": `{kind}` answers with" in text
        or f", `{kind}` with the answer" in text
    )
