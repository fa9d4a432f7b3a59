"""Pages that are single files: text, tables and figures, without scripts."""

import base64
from collections.abc import Iterable
import pathlib
import urllib.parse

from zsgen.core import artifacts, texts

_STYLE = """
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1f24;
  background: #fff; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #d0d7de; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .3rem 0; }
img { max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #e4e8ec;
  text-align: right; vertical-align: top; }
th.w, td.w { text-align: left; overflow-wrap: anywhere;
  white-space: pre-line; }
th { font-weight: 600; }
code { background: #f3f5f7; padding: .1rem .3rem; overflow-wrap: anywhere; }
.badge { background: #b3400b; color: #fff; padding: .1rem .5rem;
  border-radius: .3rem; font-weight: 600; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
""".strip()


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


def page(title: str, blocks: Iterable[str]) -> str:
  """Returns the whole page."""
  head = texts.escape_html(title)
  body = "\n".join(blocks)
  return (
      '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
      f"<title>{head}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
      f"<body>\n<h1>{head}</h1>\n{body}\n</body>\n</html>\n"
  )


def save(path: pathlib.Path, content: str | bytes) -> pathlib.Path:
  """Writes a temporary file and renames it to `path`."""
  data = content.encode("utf-8") if isinstance(content, str) else content
  artifacts.write_bytes(path, data)
  return path
