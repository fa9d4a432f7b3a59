"""Executes the notebook and keeps its outputs: `python -m docs.notebook`.

It runs in an empty directory, with the Python that runs this module, which
needs the extra `test`. It takes about 2 minutes on 2 CPU cores.
"""

from collections.abc import Mapping
import hashlib
import json
import pathlib
import tempfile
from typing import Any

import nbclient
import nbformat

PATH = pathlib.Path(__file__).resolve().parents[1] / "launch" / "colab.ipynb"
# Seconds that a cell may take; no experiment of the notebook needs as many.
_TIMEOUT = 1800


def execute(
    directory: pathlib.Path, settings: Mapping[str, Any] | None = None
) -> nbformat.NotebookNode:
  """Returns the notebook with the outputs of all cells, from top to bottom.

  Args:
    directory: where it runs, and where its files go.
    settings: values for variables of the cell with the tag "parameters", which
      run after it, as papermill does.

  Raises:
    nbclient.exceptions.CellExecutionError: a cell failed.
  """
  notebook = nbformat.read(PATH, as_version=4)
  for cell in notebook.cells:
    if settings and "parameters" in cell.metadata.get("tags", ()):
      lines = [f"{name} = {value!r}" for name, value in settings.items()]
      cell.source = "\n".join([cell.source, *lines])
  client = nbclient.NotebookClient(
      notebook,
      timeout=_TIMEOUT,
      kernel_name="python3",
      record_timing=False,
      resources={"metadata": {"path": str(directory)}},
  )
  return client.execute()


def digest(notebook: nbformat.NotebookNode) -> str:
  """Returns a digest of the code that outputs belong to."""
  sources = [c.source for c in notebook.cells if c.cell_type == "code"]
  return hashlib.sha256(json.dumps(sources).encode()).hexdigest()


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
  """Returns a notebook whose metadata depends on no machine or session."""
  notebook.metadata = {
      "kernelspec": {
          "display_name": "Python 3",
          "language": "python",
          "name": "python3",
      },
      "language_info": {"name": "python"},
      "zsgen": {"digest": digest(notebook)},
  }
  for cell in notebook.cells:
    tags = cell.metadata.get("tags")
    cell.metadata = {"tags": tags} if tags else {}
  return notebook


def main() -> None:
  """Executes the notebook and writes it with its outputs."""
  with tempfile.TemporaryDirectory() as directory:
    notebook = clean(execute(pathlib.Path(directory)))
  nbformat.write(nbformat.from_dict(notebook), PATH)


if __name__ == "__main__":
  main()
