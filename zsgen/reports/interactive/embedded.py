"""What a page embeds: data for its scripts, notes on it, files to download."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zsgen.reports import curves, page, run_tables
from zsgen.reports.interactive import encoding, payload
from zsgen.reports.interactive import subject as subject_lib

# Bytes of a Parquet file that a page embeds, at the most.
_LARGEST = 300_000


class Embedded(NamedTuple):
  """What a page embeds.

  Attributes:
    data: for `page.page`.
    notes: the section on what is not on the page; "" if nothing is left out.
  """

  data: str
  notes: str


def embed(subject: subject_lib.Subject) -> Embedded:
  """Returns what the page on a subject embeds.

  Raises:
    InputError: a run or what it was made of is damaged.
  """
  return _encode(payload.build(subject))


def page_of(title: str, blocks: Sequence[str], built: payload.Payload) -> str:
  """Returns a page with the data of its figures, and what it lacks at the end.

  Args:
    title: its heading.
    blocks: its content.
    built: the data.
  """
  data, notes = _encode(built)
  return page.page(title, [*blocks, notes], data)


def _encode(built: payload.Payload) -> Embedded:
  blocks = list(map(page.text, built.notes))
  section = page.section("Not on this page", blocks) if blocks else ""
  return Embedded(encoding.encode(built.values), section)


def metrics_file(run: curves.RunRecords) -> str:
  """Returns a link that saves all metrics of a run as a Parquet file.

  Returns:
    A line that says how to get them, if the file is too large to embed.
  """
  sink = pa.BufferOutputStream()
  pq.write_table(run_tables.Run(run).metrics, sink, compression="zstd")
  content = sink.getvalue().to_pybytes()
  if len(content) > _LARGEST:
    return page.text(
        "All metrics as an Arrow table: zsgen.load_run(RUN).metrics."
    )
  name = f"{run.path.name}-metrics.parquet"
  return page.download(name, content, "All metrics as a Parquet file")
