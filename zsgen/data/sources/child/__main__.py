"""The child: a request as JSON on stdin, a table and a reply in its `out`."""

import json
import pathlib
import sys

from zsgen.core import artifacts, errors
from zsgen.data.sources import child
from zsgen.data.sources.child import writer


def main() -> None:
  """Reads the requested data set; a crash prints its traceback on stderr."""
  request = json.load(sys.stdin)
  out = pathlib.Path(request["out"])
  try:
    reader = _reader(request)
    reply = writer.write(
        out / child.ROWS, reader.rows(), f"{request['kind']} {reader.name}"
    )
    reply |= {"files": reader.files(), **reader.notes}
  except errors.InputError as error:
    reply = {"error": str(error)}
  artifacts.write_json(out / child.REPLY, reply)


def _reader(request: dict) -> writer.Reader:
  """Returns the reader of a request; imports only what it needs."""
  if request["kind"] == "tfds":
    from zsgen.data.sources.child import tfds_rows

    return tfds_rows.Reader(request)
  from zsgen.data.sources.child import modules

  loaded = modules.load(request["module"])
  from zsgen.data.sources.child import seqio_rows

  return seqio_rows.Reader(request, loaded)


if __name__ == "__main__":
  main()
