"""TMT: held-out examples take turns to pick training examples.

Test-centric multi-turn arrangement, 2406.11721, Algorithm 1 (spec 2.6); its
second version calls it TMA.
"""

from collections.abc import Iterator

import numpy as np

from zsgen import errors
from zsgen.orders import embeddings, similarity
from zsgen.orders.arrangements import arranged

# Ranked rows that are looked at together.
_STRIDE = 64


def arrange(
    tasks: np.ndarray,
    train: embeddings.Embeddings | None,
    heldout: embeddings.Embeddings | None,
    *,
    budget: int,
    pick: str,
    sequence: str,
    seed: int,
) -> arranged.Arranged:
  """Takes rounds until the budget is used up, then puts them in sequence.

  In a round every held-out example picks its nearest (farthest) row that no
  earlier round took; several may pick the same. Rows ascend inside a round,
  as in the released code. The last round is cut to the budget and keeps its
  nearest (farthest) rows; ties go to the lowest row.

  Args:
    tasks: unused.
    train: embeddings of the pool, [N, D].
    heldout: embeddings of the held-out set, [M, D].
    budget: rows in the order, at most N.
    pick: "nearest" or "farthest".
    sequence: "rounds", "reversed" (element by element, so that rows descend
      inside a round, as in the released code) or "shuffled".
    seed: of the shuffle.

  Returns:
    The order; a row's distance is that to its nearest (farthest) picker.

  Raises:
    InputError: there are no embeddings.
  """
  del tasks
  if train is None or heldout is None:
    raise errors.InputError(
        "config.order.arrangement='tmt' picks by similarity, but"
        " config.order.embedder is ''. Name an embedder, such as 'ngram'."
    )
  sign = np.float32(-1 if pick == "nearest" else 1)
  keys = similarity.matrix(train, heldout)
  keys *= sign
  rows, numbers, picked, cut = _take(rounds(keys), budget)
  places = _places(sequence, seed, budget)
  return arranged.Arranged(
      rows[places],
      numbers[places],
      (1 - sign * picked)[places],
      dict(rounds=int(numbers[-1]), cut_from_last_round=cut),
  )


def rounds(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Lets each held-out example pick its row of smallest key, round by round.

  Every example ranks all rows once and walks down its ranking past those
  that are taken (spec 2.8).

  Args:
    keys: one row a held-out example, one column a row of the pool, float32
      [M, N]. Ties go to the lowest row.

  Yields:
    The rows of a round, ascending, int64 [n], and the smallest key that
    picked each, float32 [n]; until all N rows are taken.
  """
  ranking = np.empty(keys.shape, np.int32)
  for example, row_keys in enumerate(keys):
    ranking[example] = np.argsort(row_keys, kind="stable")
  examples = np.arange(len(keys))
  place = np.zeros(len(keys), np.int64)
  taken = np.zeros(keys.shape[1], bool)
  while not taken.all():
    _walk(ranking, place, taken)
    picks = ranking[examples, place]
    rows, which = np.unique(picks, return_inverse=True)
    best = np.full(len(rows), np.inf, np.float32)
    np.minimum.at(best, which, keys[examples, picks])
    taken[rows] = True
    yield rows.astype(np.int64), best


def _walk(ranking: np.ndarray, place: np.ndarray, taken: np.ndarray) -> None:
  """Moves each example's place on to the first row that is not taken."""
  behind = np.arange(len(ranking))
  while len(behind):
    ahead = place[behind, None] + np.arange(_STRIDE)
    ahead = np.minimum(ahead, ranking.shape[1] - 1)
    free = ~taken[ranking[behind[:, None], ahead]]
    found = free.any(axis=1)
    place[behind] += np.where(found, free.argmax(axis=1), _STRIDE)
    behind = behind[~found]


def _take(
    turns: Iterator[tuple[np.ndarray, np.ndarray]], budget: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
  """Rows, round numbers and keys [budget] each, and how many were cut."""
  taken, left, cut = [], budget, 0
  for number, (rows, keys) in enumerate(turns, 1):
    cut = max(len(rows) - left, 0)
    if cut:
      keep = np.sort(np.argsort(keys, kind="stable")[:left])
      rows, keys = rows[keep], keys[keep]  # noqa: PLW2901
    taken.append((rows, np.full(len(rows), number, np.int32), keys))
    left -= len(rows)
    if not left:
      break
  return *map(np.concatenate, zip(*taken, strict=True)), cut


def _places(sequence: str, seed: int, size: int) -> np.ndarray:
  """Where each element of the order stands in the rounds, int64 [size]."""
  if sequence == "shuffled":
    return arranged.permutation("tmt", seed, size)
  places = np.arange(size)
  return places[::-1] if sequence == "reversed" else places
