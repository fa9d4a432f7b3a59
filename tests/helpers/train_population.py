"""Trains configs as a population: python tests/helpers/train_population.py CONFIGS.json DIR."""

import json
import pathlib
import sys

from zsgen import pipeline
from zsgen.core import config as config_lib

if __name__ == "__main__":
  path, workdir = sys.argv[1:]
  configs = json.loads(pathlib.Path(path).read_text())
  pipeline.run_population(
      [config_lib.check(fields) for fields in configs], workdir
  )
