"""Checks that a restructuring changes no result.

  python -m tests.campaigns.same_results 9972e2e          # the demo
  python -m tests.campaigns.same_results 9972e2e --all
  python -m tests.campaigns.same_results 135454d --close

Runs the same commands in a checkout of a commit and in this tree, each in a
new workdir, and compares orders, consumed ids and metrics byte by byte. Keys
that were renamed on purpose are in `RENAMED`. Exits with 1 if anything differs;
with --close, metrics may differ by rounding (1e-5 relative).
"""

import argparse
from collections.abc import Mapping
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Old names of metrics, and the new name and factor of each.
RENAMED: Mapping[str, tuple[str, float]] = {}
# Largest relative difference of metrics that only round differently.
_ROUNDING = 1e-5
_SHORT = ("--config.order.budget=320", "--config.machine.save_every=10")
# Commands by name, as arguments of zsgen.main.
CASES: Mapping[str, tuple[str, ...]] = {
    "demo": ("--config=configs/tmt.py",),
    "random": (
        "--config=configs/tmt.py",
        "--config.order.arrangement=random",
        *_SHORT,
    ),
    "similarity": (
        "--config=configs/tmt.py",
        "--config.order.arrangement=similarity",
        "--config.order.measure=cosine_max",
        *_SHORT,
    ),
    "cluster": (
        "--config=configs/tmt.py",
        "--config.order.arrangement=cluster",
        "--config.seed=3",
        *_SHORT,
    ),
    "lora": ("--config=configs/lora.py", *_SHORT),
}


def run(tree: pathlib.Path, case: str, workdir: pathlib.Path) -> None:
  """Runs a case of `CASES` with the code of a checkout."""
  command = [sys.executable, "-m", "zsgen.main", f"--workdir={workdir}"]
  environment = {**os.environ, "PYTHONPATH": str(tree)}
  subprocess.run(
      [*command, *CASES[case]],
      cwd=tree,
      env=environment,
      check=True,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
  )


def read(workdir: pathlib.Path) -> dict[str, bytes]:
  """Returns the results in a workdir, with metrics by their new names."""
  results = {}
  for pattern in ("orders/*/ids.npy", "runs/*/consumed.npy"):
    paths = sorted(path.read_bytes() for path in workdir.glob(pattern))
    results[pattern] = b"".join(paths)
  for path in workdir.glob("runs/*/metrics.jsonl"):
    lines = path.read_text(encoding="utf-8").splitlines()
    results["metrics"] = "\n".join(map(rename, lines)).encode()
  return results


def rename(line: str) -> str:
  """Returns a line of metrics with the new names and units."""
  if not RENAMED:
    return line
  values = {}
  for key, value in json.loads(line).items():
    name, factor = RENAMED.get(key, (key, 1))
    values[name] = value * factor if name != key else value
  return json.dumps(values)


def largest_difference(old: bytes, new: bytes) -> float:
  """Returns the largest relative difference of metrics; inf for other keys."""
  old_lines, new_lines = old.splitlines(), new.splitlines()
  if len(old_lines) != len(new_lines):
    return math.inf
  largest = 0.0
  for before, after in zip(old_lines, new_lines, strict=True):
    values, new_values = json.loads(before), json.loads(after)
    if values.keys() != new_values.keys():
      return math.inf
    for key, value in values.items():
      scale = max(abs(value), abs(new_values[key]))
      if scale:
        largest = max(largest, abs(value - new_values[key]) / scale)
  return largest


def main() -> None:
  """Runs all cases with both trees, and prints what differs."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("commit")
  parser.add_argument("--all", action="store_true")
  parser.add_argument("--close", action="store_true")
  options = parser.parse_args()
  different = False
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    before = folder / "before"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run(
        [*git, "add", "--detach", "--quiet", str(before), options.commit],
        check=True,
    )
    try:
      for case in CASES if options.all else ("demo",):
        results = []
        for tree, side in ((before, "old"), (ROOT, "new")):
          workdir = folder / f"{case}-{side}"
          run(tree, case, workdir)
          results.append(read(workdir))
        old, new = results
        for key in sorted(old | new):
          is_same = old.get(key) == new.get(key) and bool(old.get(key))
          verdict = "same" if is_same else "DIFFERENT"
          if key == "metrics" and not is_same:
            difference = largest_difference(old[key], new[key])
            verdict += f" by {difference:.1e} at most"
            is_same = options.close and difference <= _ROUNDING
          different |= not is_same
          print(f"{case}: {key}: {verdict}, {len(old.get(key, b'')):,} B")
    finally:
      subprocess.run([*git, "remove", "--force", str(before)], check=True)
  sys.exit(different)


if __name__ == "__main__":
  main()
