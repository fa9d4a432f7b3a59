"""Scored: the shared examples in a sequence by a score (2605.30334)."""

import dataclasses

import numpy as np

from zsgen.core import errors, registry
from zsgen.core.schema import option, show
from zsgen.orders import measures, model_scores, sequences, tables
from zsgen.orders import pool as pool_lib
from zsgen.orders.arrangements import arranged, multiset, ranked

_FILE = "file"
# Tokens of an example.
_LENGTHS = ("tokens", "prompt_tokens", "loss_tokens")
# The published layers, and sections with the radius of their borders.
_LAYERS = {"fold": 5, "zigzag": 5, "stair": 3, "saw": 2}
_BORDERS = {"stair": (2, 0.225), "saw": (3, 0.075)}
# The sequences that read an option; all others read none of these.
_READ_BY = {
    "highest_first": ("fold", "zigzag", "segment", "stair", "saw"),
    "layers": tuple(_LAYERS),
    "sections": tuple(_BORDERS),
    "radius": tuple(_BORDERS),
    "front": ("segment",),
    "back": ("segment",),
}


def _digest(path: str) -> str:
  """Returns the SHA-256 of a file of scores; "" for none."""
  return tables.digest(path) if path else ""


@dataclasses.dataclass(frozen=True)
class Options(multiset.Selection):
  """The options of `scored`."""

  # The number by which examples are sorted: one from a file; a count of tokens
  # (of prompt and answer, of the prompt, with loss); a loss or ratio of losses
  # by the parameters that the run starts from; or a distance to the held-out
  # set.
  score: str = option(
      "tokens",
      choices=(_FILE, *_LENGTHS, *model_scores.NAMES, *measures.MEASURES),
  )
  # The sequence into which sorted examples are put.
  sequence: str = option(
      "ascending",
      choices=(
          "ascending",
          "descending",
          "fold",
          "zigzag",
          "segment",
          "stair",
          "saw",
      ),
  )
  # A CSV, JSONL or Parquet file with scores, for score="file".
  path: str = option("", kind="local", machine=True, hashed=_digest)
  # The column of that file that has the scores.
  column: str = option("score")
  # How nearness is computed. grid: the dot product of vectors on the grid;
  # exact: their cosine in float64, as in the released code except for its
  # float32 sums.
  cosine: str = option("grid", choices=("grid", "exact"), newer=True)
  # Whether the sequence begins with the highest score instead of the lowest.
  highest_first: bool = option(False)
  # Number of layers of fold, of zigzag, and at the borders of stair and saw;
  # None: the published 5 (fold, zigzag), 3 (stair) or 2 (saw).
  layers: int | None = option(None, low=2, high=2**31)
  # Number of sections of stair and saw; None: the published 2 (stair) or 3
  # (saw).
  sections: int | None = option(None, low=2, high=2**20)
  # Share of the examples that is rearranged on either side of a border between
  # sections; None: the published 0.225 (stair) or 0.075 (saw).
  radius: float | None = option(None, above=0.0, high=0.5)
  # Percentage of the examples in the front part of segment.
  front: int = option(30, low=0, high=100)
  # Percentage of the examples in the back part of segment.
  back: int = option(30, low=0, high=100)
  # Length of the windows of successive positions that are finally shuffled,
  # each on its own; 0: no shuffle.
  window: int = option(0, low=0)

  def check(self, location: str) -> None:
    """Raises InputError for options that nothing reads, or a bad window."""
    super().check(location)
    for name, readers in _READ_BY.items():
      if self.sequence not in readers:
        self._check_unset(location, name, "sequence", readers)
    if self.score != _FILE:
      for name in ("path", "column"):
        self._check_unset(location, name, "score", (_FILE,))
    elif not self.path:
      raise errors.InputError(
          f"{location}.score is 'file', but {location}.path is ''. Set it to a"
          " .csv, .jsonl or .parquet file of scores."
      )
    if self.score not in measures.EXACT:
      self._check_unset(location, "cosine", "score", tuple(measures.EXACT))
    if self.front + self.back > 100:
      raise errors.InputError(
          f"{location}.front and back are {self.front} and {self.back} percent,"
          " more than all examples. Lower one of them."
      )
    if self.window == 1:
      raise errors.InputError(
          f"{location}.window is 1, which shuffles nothing. Set 2 or more, or 0"
          " for no shuffle."
      )

  def _check_unset(
      self, location: str, name: str, selector: str, readers: tuple[str, ...]
  ) -> None:
    """Raises InputError if an option is set that another one rules out."""
    value = getattr(self, name)
    if value != getattr(Options, name):
      raise errors.InputError(
          f"{location}.{name} is {show(value)}, but {location}.{selector} is"
          f" {getattr(self, selector)!r}: only {', '.join(readers)} read it."
          " Leave it out."
      )

  @property
  def model_score(self) -> str:
    """The score by a model that is read; "" for none."""
    return self.score if self.score in model_scores.NAMES else ""

  @property
  def reads_texts(self) -> bool:
    """Whether texts of the held-out set are read without an embedder."""
    return self.score in measures.OF_TEXTS

  @property
  def reads_vectors(self) -> bool:
    """Whether the sequence depends on vectors of examples."""
    return self.score in measures.MEASURES and not self.reads_texts


@registry.arrangement("scored", options=Options)
def scored(
    pool: pool_lib.Pool, options: Options, seed: int
) -> arranged.Arranged:
  """Puts the shared examples in a sequence by their scores.

  The set is that of `random`: scores decide the sequence alone. Equal scores
  are sorted by row, whichever end comes first.

  Args:
    pool: the rows, [N].
    options: the score and the sequence.
    seed: of the shuffles of `segment` and `window`.

  Returns:
    The order; a row's distance is its score.

  Raises:
    InputError: a window is longer than the order, an example has no score, or
      see `score_files.read` and `measures.measure`.
  """
  rows, _ = multiset.passes(pool.tasks, options.budget, options.per_task)
  if options.window > len(rows):
    raise errors.InputError(
        f"config.order.window is {options.window}, but the order has"
        f" {len(rows)} training examples. Lower it."
    )
  scores, notes = _scores(pool.take(rows), options)
  is_descending = options.highest_first or options.sequence == "descending"
  ranking = ranked.rank(rows, scores, is_descending)
  ranking = ranking[_positions(options, len(rows), seed)]
  if options.window:
    permutation = arranged.permutation("window", seed, len(rows))
    shuffled = sequences.shuffle_windows(options.window, permutation)
    ranking = ranking[shuffled]
  sequence = arranged.from_rows(rows[ranking], distances=scores[ranking])
  return sequence.with_notes(
      lowest_score=float(scores.min()),
      highest_score=float(scores.max()),
      **notes,
  )


def _positions(options: Options, size: int, seed: int) -> np.ndarray:
  """Returns the sequence of positions in the sorted examples, int64 [size]."""
  name = options.sequence
  if name == "segment":
    permutation = arranged.permutation("segment", seed, size)
    return sequences.segment(size, options.front, options.back, permutation)
  if name not in _LAYERS:
    return np.arange(size)
  layers = options.layers or _LAYERS[name]
  if name == "fold":
    return sequences.fold(size, layers)
  if name == "zigzag":
    return sequences.zigzag(size, layers)
  sections, radius = _BORDERS[name]
  arrange = sequences.stair if name == "stair" else sequences.saw_teeth
  return arrange(
      size, options.sections or sections, options.radius or radius, layers
  )


def _scores(pool: pool_lib.Pool, options: Options) -> measures.Measured:
  """Returns the score of each row, float64 [n], and notes for the manifest.

  Raises:
    InputError: see `scored`.
  """
  if options.score in measures.MEASURES:
    return measures.measure(options.score, pool, options.cosine)
  assert pool.facts is not None and pool.rows is not None
  if options.score != _FILE:
    return pool.facts.scores(options.score)[pool.rows], {}
  scores = pool.facts.file_scores(options.path, options.column)[pool.rows]
  missing = np.sort(pool.facts.ids[pool.rows[np.isnan(scores)]])
  if len(missing):
    first_ids = ", ".join(map(str, missing[:5].tolist()))
    raise errors.InputError(
        f"{options.path}: the column {options.column} has no score for"
        f" {len(missing)} of the {len(pool)} training examples of the order,"
        f" the first ids are {first_ids}. Add their rows, or set config.order.budget or per_task so"
        " that the order does without them."
    )
  return scores, {}
