"""Draws the pictures of docs/arrangements.md: `python -m docs.pictures`.

All pictures use one small example: 60 training examples in six tasks, A to F,
and four held-out examples in two, G and H, which the real arrangements put in
order. A picture contains the SHA-256 of its orders, so that a test can detect
outdated ones.
"""

from collections.abc import Mapping
import hashlib
import io
import math
import pathlib
from typing import Any

import matplotlib
from matplotlib import axes as axes_lib
from matplotlib import figure as figure_lib
from matplotlib import lines
import numpy as np

from zsgen.core import artifacts, config
from zsgen.orders import arrangements, embeddings
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged
from zsgen.reports import figures

DIRECTORY = pathlib.Path(__file__).parent / "images" / "arrangements"
# Name of the text chunk of a PNG that has its digest.
DIGEST = "zsgen-orders"
SEED = 0

# Centre and number of examples of each training task, and points of held-out
# tasks.
_TASKS = {
    "A": (-0.95, 0.75, 14),
    "B": (0.10, 0.95, 12),
    "C": (1.00, 0.50, 10),
    "D": (0.75, -0.65, 9),
    "E": (-0.25, -0.95, 8),
    "F": (-1.00, -0.35, 7),
}
_HELDOUT = {
    "G": ((-0.62, 0.42), (-0.10, 0.48)),
    "H": ((0.38, -0.40), (0.30, 0.02)),
}
_TASK_OF = np.repeat(np.arange(len(_TASKS)), [n for _, _, n in _TASKS.values()])
# Side of a panel in inches, and the limit of its axes.
_PANEL, _REACH = 2.25, 1.6
_DPI = 150

_MARKERS = "os^DvP"
_QUIET, _FLOOR = "#57606a", "#c4cad0"
_LETTER = dict(ha="center", va="center", fontsize=8.5, fontweight="bold")

_NEAREST_FIRST = dict(arrangement="similarity", measure="cosine_min")
_FARTHEST_FIRST = _NEAREST_FIRST | dict(pick="farthest")
_TMT = dict(arrangement="tmt", budget=36)
_WSD = dict(arrangement="similarity", measure="wsd")
_ENDS = dict(
    arrangement="concatenate",
    parts=tuple(
        dict(arrangement="take", stop=2, parts=(part,))
        for part in (_NEAREST_FIRST, _FARTHEST_FIRST)
    ),
)
_SPREAD = dict(arrangement="take", spread=4, parts=(_NEAREST_FIRST,))

Orders = Mapping[str, Mapping[str, Any]]

# Title and order of each panel of each picture; "\n" begins its second line.
GROUPS: Mapping[str, Orders] = {
    "baselines": {
        "random": dict(arrangement="random"),
        "round_robin": dict(arrangement="round_robin"),
        "cluster\nby task": dict(arrangement="cluster"),
        "cluster\nby category": dict(arrangement="cluster", by="category"),
    },
    "similarity": {
        "wsd": _WSD,
        "cosine_min": _WSD | dict(measure="cosine_min"),
        "cosine_avg": _WSD | dict(measure="cosine_avg"),
        "cosine_max": _WSD | dict(measure="cosine_max"),
        "cosine_centroid": _WSD | dict(measure="cosine_centroid"),
        "wsd\nfarthest": _WSD | dict(pick="farthest"),
        "wsd\nrandom": _WSD | dict(pick="random"),
        "wsd\nby task": _WSD | dict(granularity="task"),
    },
    "tmt": {
        "nearest": _TMT,
        "farthest": _TMT | dict(pick="farthest"),
        "nearest\nreversed": _TMT | dict(sequence="reversed"),
        "nearest\nshuffled": _TMT | dict(sequence="shuffled"),
        "nearest\nshuffled in the round": _TMT | dict(in_round="shuffled"),
        "nearest\nrounds (0, 4)": dict(arrangement="tmt", rounds=(0, 4)),
        "nearest\nrounds (4, 8)": dict(arrangement="tmt", rounds=(4, 8)),
        "nearest\nto held-out task H": _TMT | dict(target_task="H"),
    },
    "released": {
        "NFT": dict(arrangement="released", budget=36),
        "FFT": dict(arrangement="released", budget=36, setting="FFT"),
        "RT": dict(arrangement="released", budget=36, setting="RT"),
        "MIN": dict(arrangement="released", budget=36, setting="MIN"),
        "MAX": dict(arrangement="released", budget=36, setting="MAX"),
        "NFT\nhalves that overlap": dict(arrangement="released", budget=58),
    },
    "transport": {
        "nearest": dict(arrangement="transport"),
        "farthest": dict(arrangement="transport", pick="farthest"),
        "nearest\nto held-out task H": dict(
            arrangement="transport", target_task="H"
        ),
    },
    "compose": {
        "concatenate\n4 rounds of TMT, then random": dict(
            arrangement="concatenate",
            parts=(
                dict(arrangement="tmt", rounds=(0, 4)),
                dict(arrangement="random"),
            ),
        ),
        "interleave\n2 near, 1 far": dict(
            arrangement="interleave",
            turns=(2, 1),
            parts=(_NEAREST_FIRST, _FARTHEST_FIRST),
        ),
        "polar\n2 + 2 of each task": dict(
            arrangement="within",
            parts=(dict(arrangement="by_task", parts=(_ENDS,)), _NEAREST_FIRST),
        ),
        "uniform\nevery (n // 4)-th of a task": dict(
            arrangement="within",
            parts=(
                dict(arrangement="by_task", parts=(_SPREAD,)),
                _NEAREST_FIRST,
            ),
        ),
    },
}


def main() -> None:
  """Draws every picture."""
  for name, orders in GROUPS.items():
    artifacts.write_bytes(DIRECTORY / f"{name}.png", draw(orders))


def arrange(orders: Orders) -> dict[str, arranged.Arranged]:
  """Returns the arrangements of the example, by title."""
  results = {}
  for title, options in orders.items():
    order = config.check({"order": options}).order
    results[title] = arrangements.arrange(order, _pool(order), SEED)
  return results


def digest(results: Mapping[str, arranged.Arranged]) -> str:
  """Returns the SHA-256 (hex) of the titles and rows of a picture."""
  sha = hashlib.sha256()
  for title, result in results.items():
    sha.update(title.encode() + result.rows.astype("<i8").tobytes())
  return sha.hexdigest()


def draw(orders: Orders) -> bytes:
  """Draws a picture, as a PNG."""
  results = arrange(orders)
  columns = 4 if len(results) % 4 == 0 else 3
  rows = -(-len(results) // columns)
  height = rows * 1.2 * _PANEL + 0.4
  figure = figure_lib.Figure((columns * _PANEL, height), layout="constrained")
  # Titles are slightly higher than the layout expects.
  rect = (0, 0, 1, 1 - 0.1 / height)
  figure.get_layout_engine().set(w_pad=0.06, h_pad=0.02, rect=rect)
  grid = figure.subplots(
      2 * rows, columns, squeeze=False, height_ratios=[1, 0.09] * rows
  )
  for index, (title, result) in enumerate(results.items()):
    row, column = divmod(index, columns)
    heldout = orders[title].get("target_task", "")
    _panel(grid[2 * row, column], title, result, heldout)
    _strip(grid[2 * row + 1, column], result)
  _key(figure)
  return _png(figure, digest(results))


def _points() -> np.ndarray:
  """Returns the training examples: a spiral per task, [60, 2]."""
  turn = math.pi * (3 - math.sqrt(5))
  spirals = []
  for x, y, size in _TASKS.values():
    number = np.arange(size) + 0.5
    angle, length = turn * number + x, 0.115 * np.sqrt(number)
    offsets = [np.cos(angle) * length, np.sin(angle) * length]
    spirals.append(np.add((x, y), np.transpose(offsets)))
  return np.concatenate(spirals)


def _lifted(points: np.ndarray) -> embeddings.Embeddings:
  """Returns points as unit vectors, on a cap of the sphere seen from above."""
  flat = 0.5 * points
  heights = np.sqrt(1 - np.square(flat).sum(axis=1, keepdims=True))
  return embeddings.Embeddings(np.hstack([flat, heights]).astype(np.float32))


def _pool(order: config.Order) -> pool_lib.Pool:
  """Returns the example, with the held-out tasks that an order uses."""
  names = [order.target_task] if order.target_task else _HELDOUT
  heldout = np.concatenate([_HELDOUT[name] for name in names])
  return pool_lib.Pool(
      _TASK_OF,
      categories=_TASK_OF // 2,
      train=_lifted(_points()),
      heldout=_lifted(heldout),
  )


def _panel(
    axes: axes_lib.Axes, title: str, result: arranged.Arranged, target: str
) -> None:
  """Draws points coloured by position: early dark, late light, unused hollow."""
  points, position = _points(), np.full(len(_TASK_OF), np.nan)
  position[result.rows] = np.linspace(0, 1, len(result))
  for task, (name, (x, y, _)) in enumerate(_TASKS.items()):
    is_in_task = _TASK_OF == task
    is_used = is_in_task & ~np.isnan(position)
    is_unused = is_in_task & np.isnan(position)
    style = dict(s=26, marker=_MARKERS[task], linewidths=0.6)
    axes.scatter(
        *points[is_unused].T, facecolors="none", edgecolors=_FLOOR, **style
    )
    axes.scatter(
        *points[is_used].T,
        c=position[is_used],
        vmin=0,
        vmax=1,
        edgecolors=figures.INK,
        **style,
    )
    label_position = np.array([x, y]) * (1 + 0.48 / math.hypot(x, y))
    axes.text(*label_position, name, color=figures.HUES[task], **_LETTER)
  for name, targets in _HELDOUT.items():
    is_target = target in ("", name)
    axes.scatter(
        *np.transpose(targets),
        marker="x",
        s=42,
        linewidths=1.8,
        color=figures.INK if is_target else _FLOOR,
    )
  _title(axes, title)


def _strip(axes: axes_lib.Axes, result: arranged.Arranged) -> None:
  """Draws positions, tasks along the order, and the beginnings of rounds."""
  size = len(result)
  axes.imshow(
      np.linspace(0, 1, size)[None], extent=(0, size, 0.75, 1), aspect="auto"
  )
  hues = [figures.HUES[task] for task in _TASK_OF[result.rows]]
  axes.bar(np.arange(size) + 0.5, 0.75, width=1.0, color=hues)
  borders = np.flatnonzero(np.diff(result.rounds)) + 1
  # Shuffled rounds have no beginning.
  if len(borders) <= 2 * result.rounds.max():
    axes.vlines(borders, -0.3, 0, color=_QUIET, linewidth=0.6)
  axes.set(xlim=(0, len(_TASK_OF)), ylim=(-0.35, 1))
  axes.axis("off")


def _title(axes: axes_lib.Axes, title: str) -> None:
  """Writes the panel's name and, below it, its variant."""
  name, _, variant = title.partition("\n")
  axes.set_title(name, loc="left", fontsize=9, fontweight="bold", pad=13)
  axes.text(
      0, 1.03, variant, transform=axes.transAxes, fontsize=7.5, color=_QUIET
  )
  axes.set(xlim=(-_REACH, _REACH), ylim=(-_REACH, _REACH), aspect="equal")
  axes.set(xticks=(), yticks=())
  axes.spines[:].set_color(_FLOOR)


def _key(figure: figure_lib.Figure) -> None:
  """Draws the legend below all panels."""
  early, late = matplotlib.colormaps["viridis"]([0.0, 1.0])
  ink, round_mark = figures.INK, dict(marker="o", markeredgewidth=0.6)
  marks = {
      "held-out": dict(marker="x", color=ink, markeredgewidth=1.8),
      "first": dict(color=early, markeredgecolor=ink, **round_mark),
      "last": dict(color=late, markeredgecolor=ink, **round_mark),
      "not taken": dict(color="none", markeredgecolor=_FLOOR, **round_mark),
      "a new round": dict(marker="|", color=_QUIET),
  }
  handles = [
      lines.Line2D([], [], linestyle="", markersize=6, label=label, **style)
      for label, style in marks.items()
  ]
  figure.legend(
      handles=handles,
      loc="outside lower center",
      ncols=len(marks),
      frameon=False,
      fontsize=8,
      handletextpad=0.2,
  )


def _png(figure: figure_lib.Figure, digest_text: str) -> bytes:
  """Returns a figure as PNG, with the digest of what it shows."""
  buffer = io.BytesIO()
  # Matplotlib's own version would change the bytes.
  metadata = {"Software": None, DIGEST: digest_text}
  figure.savefig(buffer, format="png", dpi=_DPI, metadata=metadata)
  return buffer.getvalue()


if __name__ == "__main__":
  main()
