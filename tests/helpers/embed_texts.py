"""Embeds texts in a process of its own; run by tests of the encoder.

embed_texts.py DIRECTORY TEXTS PARTIAL OUT [PORT PROCESSES PROCESS]
"""

import json
import pathlib
import sys

import jax
import numpy as np

from zsgen.orders.embedders import chunks, encoder


def main(directory: str, texts: str, partial: str, out: str, *membership: str):
  """Writes the vectors of the JSON list `texts` to `out`."""
  if membership:
    port, count, process = membership
    jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(process))
  chunks.SIZE = 40
  strings = json.loads(pathlib.Path(texts).read_text("utf-8"))
  result = encoder.Encoder(directory).embed(
      iter(strings), np.ones(len(strings), bool), pathlib.Path(partial), print
  )
  np.save(out, result.vectors)
  print(f"cut {result.cut}")


if __name__ == "__main__":
  main(*sys.argv[1:])
