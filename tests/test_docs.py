"""The pages on arrangements and data say what is there; pictures are of it."""

import ast
import dataclasses
import importlib.util
import itertools
import re

from PIL import Image
import pytest

from docs import options
from zsgen import rewrites
from zsgen.core import config as config_lib
from zsgen.core import plugins, registry, schema
from zsgen.data import prepare, prompts, sources, store, tokenizers
from zsgen.data.sources import draws, synth
from zsgen.orders import arrangements
from zsgen.rewrites.source import options as source_options

IMAGES = "images/arrangements"
# The pages have its source and tokenizer too.
plugins.load(rewrites.PLUGINS)


@pytest.fixture(scope="module")
def page(root) -> str:
  text = (root / "docs" / "arrangements.md").read_text("utf-8")
  return text.partition("\n## Options\n")[0]  # Those tables are generated.


@pytest.fixture(scope="module")
def pictures(root):
  """Loads the script that draws the pictures."""
  spec = importlib.util.spec_from_file_location(
      "pictures", root / "docs" / "pictures.py"
  )
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope="module")
def data_page(root) -> str:
  text = (root / "docs" / "data.md").read_text("utf-8")
  return text.partition("\n## Options\n")[0]  # Those tables are generated.


def _arrangement_names(order: config_lib.Order) -> set[str]:
  return {order.arrangement}.union(
      *map(_arrangement_names, arrangements.parts(order))
  )


def test_every_snippet_is_a_config(page):
  snippets = re.findall(r"```python\n(.*?)```", page, re.S)
  assert len(snippets) > 10
  names = set()
  for snippet in snippets:
    config = config_lib.defaults()
    exec(snippet, {"config": config})
    order = config_lib.check(config).order
    arrangements.check_target(order)
    assert order.target_task in ("", *synth.HELDOUT)
    names |= _arrangement_names(order)
  # One baseline's lines stand for those of the other.
  assert set(registry.names("arrangement")) - names == {"round_robin"}


def test_the_table_has_every_arrangement_and_its_options(page):
  rows = dict(re.findall(r"^\| \[`(\w+)`\].*?\|.*?\| (.*?) \|", page, re.M))
  documented = {name: set(re.findall(r"`(\w+)`", rows[name])) for name in rows}
  assert documented == {
      component.name: {f.name for f in dataclasses.fields(component.options)}
      for component in registry.components("arrangement")
  }


def test_every_option_and_choice_of_an_order_is_on_the_page(page):
  kinds = [
      config_lib.Order,
      *(component.options for component in registry.components("arrangement")),
      *(component.options for component in registry.components("embedder")),
  ]
  for field in itertools.chain(*map(dataclasses.fields, kinds)):
    assert re.search(rf"[`.]{field.name}\b", page), field.name
    for choice in field.metadata["choices"]:
      assert re.search(rf"[`\"]{re.escape(choice)}[`\"]", page), choice


@pytest.mark.parametrize("name", options.PAGES)
def test_the_tables_of_options_are_those_of_the_registry(name):
  text = (options.DIRECTORY / f"{name}.md").read_text("utf-8")
  assert (
      options.update(name) == text
  ), f"docs/{name}.md is out of date: run `python -m docs.options`"


def test_every_picture_is_linked_drawn_and_present(page, pictures):
  linked = set(re.findall(rf"\]\({IMAGES}/(\w+)\.png\)", page))
  stems = {path.stem for path in pictures.DIRECTORY.iterdir()}
  assert linked == stems == set(pictures.GROUPS)


def test_pictures_show_the_current_arrangements(pictures):
  for name, orders in pictures.GROUPS.items():
    with Image.open(pictures.DIRECTORY / f"{name}.png") as image:
      digest = image.text[pictures.DIGEST]
    assert digest == pictures.digest(
        pictures.arrange(orders)
    ), f"{name}.png is out of date: run `python -m docs.pictures`"


def test_every_snippet_on_data_is_a_config(data_page):
  names = set()
  for snippet in re.findall(r"```python\n(.*?)```", data_page, re.S):
    if "import " in snippet:
      continue
    config = config_lib.defaults()
    exec(snippet, {"config": config})
    data = config_lib.check(config).data
    names.add(data.source)
    sources.check(data)
    prompts.get(data, tokenizers.Bytes(), seed=0)
  # The two embedded suites have the same lines.
  assert set(registry.names("source")) - names <= {"synth"}


@pytest.mark.slow
def test_the_snippet_on_seqio_views_runs(data_page, tmp_path):
  pytest.importorskip("seqio")
  data = config_lib.build(
      config_lib.Data, train_instances=2, heldout_instances=1
  )
  prepared = prepare.prepare(tmp_path / "stores", data, seed=0)
  (snippet,) = re.findall(r"```python\n(import .*?)```", data_page, re.S)
  names = {"STORE": prepared.path}
  exec(snippet, names)
  assert "zsgen:synth:heldout" in names["names"]
  assert names["evaluator"].eval_tasks


def test_the_table_of_sources_has_the_options_of_each(data_page):
  rows = re.findall(r"^\| \[`(\w+)`\].*?\|.*?\| (.*?) \|", data_page, re.M)
  documented = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}
  assert documented == {
      component.name: {
          field.name
          for field in schema.own_fields(config_lib.Data, component.options)
      }
      for component in registry.components("source")
  }


def test_every_option_and_name_of_data_is_on_the_page(data_page):
  kinds = [config_lib.Data, config_lib.Heldout, config_lib.Fields]
  for kind in ("source", "prompt", "template", "tokenizer"):
    kinds += [component.options for component in registry.components(kind)]
  for kind in kinds:
    for field in dataclasses.fields(kind):
      assert re.search(rf"[`.]{field.name}\b", data_page), field.name
      for choice in field.metadata.get("choices", ()):
        assert re.search(rf"[`\"]{choice}[`\"]", data_page), choice


def test_the_table_of_rewrites_has_each_option_with_its_default(root):
  page = (root / "docs" / "rewrites.md").read_text("utf-8")
  rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| .+ \|$", page, re.M)
  documented = {name: ast.literal_eval(default) for name, default in rows}
  assert documented == dataclasses.asdict(source_options.Rewrites())
  (snippet,) = re.findall(r"```python\n(.*?)```", page, re.S)
  config = config_lib.defaults()
  exec(snippet, {"config": config})
  sources.check(config_lib.check(config).data)


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("source", registry.names("source")),
        ("draw", draws.DRAWS),
        ("prompt", registry.names("prompt")),
        ("template", registry.names("template")),
        ("tokenizer", registry.names("tokenizer")),
    ],
)
def test_the_table_of_names_is_complete(data_page, option, known):
  titles = rf"^\| `{option}` \|.*\n\|[- |]+\n((?:\|.*\n)+)"
  (table,) = re.findall(titles, data_page, re.M)
  rows = re.findall(r"^\| \[?`\"?(\w+)", table, re.M)
  assert sorted(rows) == sorted(known)


def test_the_table_of_fields_has_each_with_its_default(data_page):
  documented = dict(re.findall(r'^\| `(\w+)` \| `"(\w*)"` \|', data_page, re.M))
  assert documented == dataclasses.asdict(config_lib.Fields())


def test_the_table_of_files_has_those_of_a_store(data_page, tmp_path):
  data = config_lib.build(
      config_lib.Data, train_instances=1, heldout_instances=1
  )
  prepared = prepare.prepare(tmp_path / "stores", data, seed=0)
  titles = r"^\| file \| contents \|\n\|[- |]+\n((?:\|.*\n)+)"
  (table,) = re.findall(titles, data_page, re.M)
  documented = re.findall(r"^\| `([\w.]+)/?`", table, re.M)
  names = {path.name for path in prepared.path.iterdir()}
  assert sorted(documented) == sorted({*names, store.CHOICES})


def test_the_page_on_evaluations_has_every_kind_and_metric(root):
  text = (root / "docs" / "evaluations.md").read_text("utf-8")
  for snippet in re.findall(r"```python\n(.*?)```", text, re.S):
    config = config_lib.defaults()
    exec(snippet, {"config": config})
    config_lib.check(config)
  for component in registry.components("evaluator"):
    kind = component.name
    if not component.module.startswith("zsgen.evals."):
      continue  # Of a plug-in.
    assert (
        f"\n## {kind}\n" in text
        or f": `{kind}` answers with" in text
        or f", `{kind}` with the answer" in text
    )
    for metric in component.build.declaration.metrics:
      assert f"/{metric.name}`" in text, metric.name
