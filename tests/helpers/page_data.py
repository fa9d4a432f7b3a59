"""Reads what a page embeds."""

import json
import re
from typing import Any


def read(page: str) -> dict[str, Any]:
  """Returns the data of the scripts of a page."""
  (data,) = re.findall(
      r'<script type="application/json" id="data">(.*?)</script>',
      page,
      re.DOTALL,
  )
  return json.loads(data)


def without_scripts(page: str) -> str:
  """Returns a page without its scripts, data, style and embedded files."""
  text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
  return re.sub('base64,[^"]*', "", text)
