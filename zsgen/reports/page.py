"""Pages that are single files, and call no server.

They have text and tables, figures as pictures, and, where data is embedded,
interactive figures. A page's own policy lets a browser run the scripts of
`zsgen/assets` and no others, and load nothing.
"""

import base64
from collections.abc import Iterable, Sequence
import hashlib
import pathlib
import urllib.parse

from zsgen.core import artifacts, texts

_ASSETS = pathlib.Path(__file__).parents[1] / "assets"
_STYLES = ("uplot/uPlot.min.css", "pages/page.css")
# The charting library, and what draws the figures, in the order of need.
_LIBRARY, _LICENSE = "uplot/uPlot.iife.min.js", "uplot/LICENSE"
_SCRIPTS = tuple(
    f"pages/{name}.js"
    for name in (
        "data",
        "dom",
        "legend",
        "plot",
        "tasks",
        "figure",
        "filter",
        "examples",
        "orders",
        "configs",
        "main",
    )
)
_NO_SCRIPT = "The figures need JavaScript. The tables have the same numbers."


def text(words: str) -> str:
  """Returns a paragraph."""
  return f"<p>{texts.escape_html(words)}</p>"


def heading(words: str) -> str:
  """Returns a small heading."""
  return f"<h3>{texts.escape_html(words)}</h3>"


def command(words: str) -> str:
  """Returns a command to copy."""
  return f"<p><code>{texts.escape_html(words)}</code></p>"


def link(address: str, words: str) -> str:
  """Returns a paragraph that links a file, by its path from the page."""
  target = texts.escape_html(urllib.parse.quote(address))
  return f'<p><a href="{target}">{texts.escape_html(words)}</a></p>'


def download(name: str, content: bytes, words: str) -> str:
  """Returns a paragraph that saves a file which the page contains."""
  data = base64.b64encode(content).decode()
  return (
      f'<p><a download="{texts.escape_html(name)}"'
      f' href="data:application/octet-stream;base64,{data}">'
      f"{texts.escape_html(words)}</a></p>"
  )


def badge(words: str, explanation: str) -> str:
  """Returns a prominent label with its explanation."""
  return (
      f'<p><span class="badge">{texts.escape_html(words)}</span>'
      f" {texts.escape_html(explanation)}</p>"
  )


def figure(png: bytes, description: str) -> str:
  """Returns a figure that is embedded in the page."""
  data = base64.b64encode(png).decode()
  return (
      f'<p><img alt="{texts.escape_html(description)}"'
      f' src="data:image/png;base64,{data}"></p>'
  )


def folded(title: str, blocks: Iterable[str]) -> str:
  """Returns blocks that open when the title is clicked."""
  content = "\n".join(blocks)
  return f"<details><summary>{texts.escape_html(title)}</summary>\n{content}</details>"


def section(title: str, blocks: Iterable[str]) -> str:
  """Returns a heading with its blocks."""
  return "\n".join([f"<h2>{texts.escape_html(title)}</h2>", *blocks])


def slot(view: str, **data: str) -> str:
  """Returns the place of an interactive figure or control.

  Args:
    view: one of `VIEWS` in assets/pages/main.js.
    **data: what the view reads, by the names of the element's data attributes.
  """
  attributes = "".join(
      f' data-{name}="{texts.escape_html(value)}"'
      for name, value in {"view": view, **data}.items()
  )
  return (
      f'<section class="slot"{attributes}>'
      f"<noscript>{text(_NO_SCRIPT)}</noscript></section>"
  )


def page(title: str, blocks: Iterable[str], data: str = "") -> str:
  """Returns the whole page.

  Args:
    title: its heading.
    blocks: its content.
    data: what interactive figures show, by `encoding.encode`; "" for a page
      without scripts.
  """
  head = texts.escape_html(title)
  body = "\n".join(blocks)
  style = _read(*_STYLES)
  # The library's licence asks for its text in every copy.
  library = f"/*\n{_read(_LICENSE)}*/\n{_read(_LIBRARY)}"
  scripts = [library, _read(*_SCRIPTS)] if data else []
  embedded = (
      f'<script type="application/json" id="data">{data}</script>\n'
      if data
      else ""
  )
  return (
      '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
      f"{_policy(style, scripts)}"
      '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
      f"<title>{head}</title>\n<style>{style}</style>\n</head>\n"
      f"<body>\n<h1>{head}</h1>\n{body}\n{embedded}"
      + "".join(f"<script>{script}</script>\n" for script in scripts)
      + "</body>\n</html>\n"
  )


def _read(*names: str) -> str:
  """Returns the text of assets, joined."""
  return "\n".join((_ASSETS / name).read_text("utf-8") for name in names)


def _policy(style: str, scripts: Sequence[str]) -> str:
  """Returns what a browser may do: these styles and scripts, nothing else."""
  allowed = " ".join(map(_source, scripts)) or "'none'"
  content = (
      "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:;"
      f" style-src {_source(style)}; script-src {allowed}"
  )
  return f'<meta http-equiv="Content-Security-Policy" content="{content}">\n'


def _source(content: str) -> str:
  """Returns how a policy names an inline style or script: by its hash."""
  digest = hashlib.sha256(content.encode("utf-8")).digest()
  return f"'sha256-{base64.b64encode(digest).decode()}'"


def save(path: pathlib.Path, content: str | bytes) -> pathlib.Path:
  """Writes a temporary file and renames it to `path`."""
  data = content.encode("utf-8") if isinstance(content, str) else content
  artifacts.write_bytes(path, data)
  return path
