"""What is wrong with written answers to rewrites (spec of 2402.10891, 5.3)."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
import json
import pathlib
from typing import NamedTuple

import numpy as np

from zsgen.core import artifacts, errors
from zsgen.data import store as store_lib
from zsgen.rewrites import source as rewrites
from zsgen.rewrites.report import runs as rewrites_runs

RIGHT = "right"
CLASSES = (
    RIGHT,
    "ignored",
    "wrong y",
    "misplaced",
    "length",
    "other",
)
# Of the positions at which x may begin, from the left.
FIFTHS = ("1st fifth", "2nd", "3rd", "4th", "5th")
# Where the first letter of x is in the input, outside of x.
FIRST_LETTERS = ("nowhere else", "only after x", "before x")


class Question(NamedTuple):
  """The parts of a question, in letters."""

  x: str
  y: str
  z: str
  target: str


def classify(question: Question, written: str) -> str:
  """Classifies an answer to an input that has x.

  Returns:
    "right"; "ignored", it is z; "length", it has not the target's;
    "wrong y", only what stands for x is wrong; "misplaced", y stands for
    something else than the leftmost x; or "other".
  """
  x, y, z, target = question
  if written == target:
    return RIGHT
  if written == z:
    return "ignored"
  if len(written) != len(target):
    return "length"
  begin = z.find(x)
  if (
      written[:begin] == z[:begin]
      and written[begin + len(y) :] == z[begin + len(x) :]
  ):
    return "wrong y"
  placed = (z[:j] + y + z[j + len(x) :] for j in range(len(z) - len(x) + 1))
  return "misplaced" if written in placed else "other"


def shares(run: rewrites_runs.Rewriting) -> dict[str, float] | None:
  """Returns the share of each class among answers to inputs that have x.

  Args:
    run: with an evaluation of type generate on unseen rules.

  Returns:
    Shares by class; None without such an evaluation, or if the store that
    has the rules is missing.

  Raises:
    InputError: a file of the run is damaged.
  """
  path = _written(run)
  if path is None or not artifacts.exists(run.run.store):
    return None
  counts = Counter(_classes(run, path))
  total = counts.total()
  return {name: counts[name] / total for name in CLASSES} if total else None


def by_category(run: rewrites_runs.Rewriting) -> dict[str, float]:
  """Returns exact match on unseen rules by family; {} for one, or no store."""
  if (unseen := _unseen(run)) is None:
    return {}
  store, ids, right = unseen
  kinds = np.array(store.categories)[store.task_index[ids]]
  known = np.unique(kinds).tolist()
  if len(known) < 2:
    return {}
  return {kind: float(right[kinds == kind].mean()) for kind in known}


def by_position(run: rewrites_runs.Rewriting) -> dict[str, float]:
  """Returns exact match on unseen rules by the position of x (spec 5.3).

  A model that finds x by its usual position is worse elsewhere.

  Returns:
    Values by fifths of the positions at which x may begin, from the left;
    inputs without x are in none. {} without the store.
  """
  positions = run.options.z_length - run.options.x_length + 1

  def fifth(question: Question) -> int:
    """Returns the number of the fifth in which x begins, or -1."""
    begin = question.z.find(question.x)
    return -1 if begin < 0 else begin * len(FIFTHS) // positions

  return _by_group(run, FIFTHS, fifth)


def by_first_letter(run: rewrites_runs.Rewriting) -> dict[str, float]:
  """Returns exact match on unseen rules by where else x's first letter is.

  A model that looks for the first letter of x, instead of for all of x, is
  worse where this letter is before x.

  Returns:
    Values by `FIRST_LETTERS`; inputs without x are in none. {} without the
    store.
  """

  def place(question: Question) -> int:
    """Returns an index in `FIRST_LETTERS`, or -1 without x."""
    before, found, after = question.z.partition(question.x)
    if not found:
      return -1
    first = question.x[0]
    return 2 if first in before else int(first in after)

  return _by_group(run, FIRST_LETTERS, place)


def _by_group(
    run: rewrites_runs.Rewriting,
    names: Sequence[str],
    group: Callable[[Question], int],
) -> dict[str, float]:
  """Returns exact match on unseen rules by groups of questions.

  Args:
    run: the run.
    names: those of the groups.
    group: returns the index of a question's group, or -1 for none.

  Returns:
    Values by name, of groups that have questions; {} without the store.
  """
  if (unseen := _unseen(run)) is None:
    return {}
  store, ids, right = unseen
  groups = np.array(
      [group(_parse_question(*text)) for text in store.texts(ids)]
  )
  return {
      name: float(right[groups == i].mean())
      for i, name in enumerate(names)
      if (groups == i).any()
  }


def _unseen(
    run: rewrites_runs.Rewriting,
) -> tuple[store_lib.Store, np.ndarray, np.ndarray] | None:
  """The store, ids of unseen rules, and which are right in the end."""
  name = run.exact(rewrites_runs.UNSEEN)
  if name is None or not artifacts.exists(run.run.store):
    return None
  store = store_lib.open_store(run.run.store)
  evaluation = run.run.evaluation(name)
  # What is kept of an answer is how many of its tokens are wrong.
  return store, evaluation.ids, evaluation.losses[-1] == 0


def _written(run: rewrites_runs.Rewriting) -> pathlib.Path | None:
  """The last answers to unseen rules."""
  for name, spec in run.run.config.evals.items():
    if spec.type == "generate" and spec.split == rewrites_runs.UNSEEN:
      path = run.run.path / "evals" / name
      path /= f"predictions-{run.run.steps}.jsonl"
      return path if path.exists() else None
  return None


def _classes(run: rewrites_runs.Rewriting, path: pathlib.Path) -> Iterator[str]:
  """The class of each answer to an input that has x."""
  try:
    rows = [
        json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]
    ]
    ids = np.array([row["id"] for row in rows])
    answers = [row["prediction"] for row in rows]
  except (ValueError, KeyError) as error:
    raise errors.InputError(
        f"{path}: cannot be read ({error!r}). Delete the run's directory and"
        " start it again."
    ) from error
  store = store_lib.open_store(run.run.store)
  texts = zip(store.keys(ids), store.texts(ids), answers, strict=True)
  for key, (prompt, target), written in texts:
    if rewrites.kind_of(key).startswith("op"):
      yield classify(*_plain(run, _parse_question(prompt, target), written))


def _parse_question(prompt: str, target: str) -> Question:
  rule, _, z = prompt.strip().partition("\n\n")
  x, _, y = rule.partition(" -> ")
  return Question(x, y, z, target)


def _plain(
    run: rewrites_runs.Rewriting, question: Question, written: str
) -> tuple[Question, str]:
  """Both without the cipher; z that was not touched stays as it is."""
  options = run.options
  if not options.cipher or written == question.z:
    return question, written
  target, written = (
      "".join(_back(c, options.cipher, options.letters) for c in text)
      for text in (question.target, written)
  )
  return question._replace(target=target), written


def _back(letter: str, shift: int, letters: int) -> str:
  """Returns a letter that is shifted back in the alphabet."""
  index = ord(letter) - ord("a")
  if not 0 <= index < letters:
    return letter
  return chr((index - shift) % letters + ord("a"))
