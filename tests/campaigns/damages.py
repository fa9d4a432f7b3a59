"""Ways in which a disk, a copy or a person damages a file."""

from collections.abc import Callable, Iterator
import pathlib


def flip(file: pathlib.Path, share: float) -> None:
  """Inverts one bit, at this share of the file's length."""
  data = bytearray(file.read_bytes())
  position = min(int(share * len(data)), len(data) - 1)
  data[position] ^= 1 << (position % 8)
  file.write_bytes(data)


def truncate(file: pathlib.Path) -> None:
  """Keeps the first half."""
  data = file.read_bytes()
  file.write_bytes(data[: len(data) // 2])


def zero(file: pathlib.Path) -> None:
  """Replaces every byte by 0; the size remains."""
  file.write_bytes(bytes(file.stat().st_size))


def swap(file: pathlib.Path, sibling: pathlib.Path) -> None:
  """Exchanges the contents of two files."""
  data, sibling_data = file.read_bytes(), sibling.read_bytes()
  file.write_bytes(sibling_data)
  sibling.write_bytes(data)


def damages(
    file: pathlib.Path, sibling: pathlib.Path | None
) -> Iterator[tuple[str, Callable[[], None]]]:
  """Yields the name of each damage that changes the file, and how to do it.

  Args:
    file: the file.
    sibling: a file of the same kind; None if there is none.
  """
  data = file.read_bytes()
  if data:
    for share in (0.0, 0.5, 1.0):
      yield f"flip at {share:.0%}", lambda share=share: flip(file, share)
    yield "truncate", lambda: truncate(file)
  if any(data):
    yield "zero", lambda: zero(file)
  yield "delete", file.unlink
  if sibling is not None and sibling.read_bytes() != data:
    yield "swap", lambda: swap(file, sibling)
