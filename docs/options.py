"""Writes the tables of options into the pages, from the registry.

  python -m docs.options

Each page has the tables of one section of a config, between two comments. A
test compares them with what this script would write.
"""

from collections.abc import Iterator
import dataclasses
import inspect
import pathlib
import re
import typing
from typing import Any, NamedTuple

from zsgen import rewrites
from zsgen.core import config, plugins, registry, schema

# The pages name the components of the plug-in in the tree.
plugins.load(rewrites.PLUGINS)

DIRECTORY = pathlib.Path(__file__).parent
_BEGIN = "<!-- Written by `python -m docs.options`. -->"
_END = "<!-- End of the tables of options. -->"
# The section of a config that each page is about, and its name.
PAGES: dict[str, tuple[type, str]] = {
    "arrangements": (config.Order, "config.order"),
    "data": (config.Data, "config.data"),
    "beyond": (config.Probe, "config.probe"),
    "evaluations": (config.Eval, "config.evals.NAME"),
}


class Row(NamedTuple):
  """One option of a table."""

  name: str
  default: str
  values: str
  comment: str


def update(page: str) -> str:
  """Returns the text of a page with its tables as they should be."""
  text = (DIRECTORY / f"{page}.md").read_text("utf-8")
  before, rest = text.split(_BEGIN)
  _, after = rest.split(_END)
  return f"{before}{_BEGIN}\n\n{tables(*PAGES[page])}\n{_END}{after}"


def tables(kind: type, section: str) -> str:
  """Returns the tables of a section: its own options, and components'.

  Args:
    kind: the section's dataclass.
    section: its name, such as "config.order".
  """
  blocks = [f"Options of `{section}`:\n\n{_table(_rows(kind, ''))}"]
  for name, field in schema.selectors(kind).items():
    owners: dict[Row, list[str]] = {}
    for component in _built_in(field.metadata["selects"]):
      if component.module.startswith(f"{rewrites.__name__}."):
        continue  # docs/rewrites.md explains them.
      names = [f.name for f in schema.own_fields(kind, component.options)]
      for row in _rows(component.options, "", names):
        owners.setdefault(row, []).append(component.name)
    if owners:
      title = f"Options that `{section}.{name}` adds:"
      blocks.append(f"{title}\n\n{_table(owners, name, owners)}")
  return "\n\n".join(blocks) + "\n"


def _rows(
    kind: type, prefix: str, names: list[str] | None = None
) -> Iterator[Row]:
  """Yields the options of a dataclass; those of sections in it too."""
  hints = typing.get_type_hints(kind)
  for field in dataclasses.fields(kind):
    name = f"{prefix}{field.name}"
    if names is not None and field.name not in names:
      continue
    if "of" in field.metadata:
      yield from _rows(field.metadata["of"], f"{name}.NAME.")
    elif dataclasses.is_dataclass(hints[field.name]):
      yield from _rows(hints[field.name], f"{name}.")
    else:
      yield Row(
          name,
          _code(field.default),
          _values(field.metadata),
          _comment(kind, field.name),
      )


def _table(rows: Any, selector: str = "", owners: Any = None) -> str:
  """Returns a Markdown table.

  Args:
    rows: the options.
    selector: what selects the components that have them; "" for no column.
    owners: the components that have each of them.
  """
  header = ["option", "default", "values", "what it is"]
  lines = []
  for row in rows:
    cells = [f"`{row.name}`", row.default, row.values, row.comment]
    if selector:
      cells.insert(1, ", ".join(f"`{owner}`" for owner in owners[row]))
    lines.append(cells)
  if selector:
    header.insert(1, f"`{selector}`")
  lines = [header, ["---"] * len(header), *lines]
  return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _built_in(kind: str) -> list[registry.Component]:
  """Returns the components of a kind that are in this package."""
  return [
      component
      for component in registry.components(kind)
      if component.module.startswith("zsgen.")
  ]


def _values(limits: Any) -> str:
  """Returns the values that an option may have; "" for any."""
  if limits.get("selects"):
    unset = [""] if limits["optional"] else []
    names = [component.name for component in _built_in(limits["selects"])]
    return ", ".join(map(_code, [*names, *unset]))
  if limits["choices"]:
    return ", ".join(map(_code, limits["choices"]))
  return schema.range_of(limits)


def _comment(kind: type, name: str) -> str:
  """Returns the comment above a field, or above the fields before it."""
  for base in kind.__mro__:
    if name in vars(base).get("__annotations__", {}):
      break
  text_above, comment, is_open = "", [], False
  for line in inspect.getsource(base).splitlines():
    text = line.strip()
    if text.startswith("# "):
      comment = [*comment, text[2:]] if is_open else [text[2:]]
      is_open = True
    else:
      is_open = False
    if re.match(rf"{name}: ", text):
      text_above = " ".join(comment)
      break
    if not text:
      comment = []
  return text_above.replace("|", r"\|")


def _code(value: Any) -> str:
  """Returns a value as code; strings with their quotes."""
  return f"`{value!r}`".replace("'", '"')


def main() -> None:
  """Writes all pages."""
  for page in PAGES:
    (DIRECTORY / f"{page}.md").write_text(update(page), "utf-8")


if __name__ == "__main__":
  main()
