"""Runs a config in a bucket and kills itself, hard, before some request.

  python tests/helpers/kill_requests.py CONFIG.json URL COUNT

COUNT: the request to the bucket, by fsspec, before which it dies; 0 for none.
It prints the number of requests at the end.
"""

import itertools
import json
import os
import pathlib
import signal
import sys

import gcsfs

import zsgen

_numbers = itertools.count(1)


def arm(count: int) -> None:
  """Makes the process die before a request of its file systems."""
  call = gcsfs.GCSFileSystem._call

  async def counted(*args, **kwargs):
    if next(_numbers) == count:
      os.kill(os.getpid(), signal.SIGKILL)
    return await call(*args, **kwargs)

  gcsfs.GCSFileSystem._call = counted


if __name__ == "__main__":
  path, url, number = sys.argv[1:]
  arm(int(number))
  zsgen.run(json.loads(pathlib.Path(path).read_text()), url)
  print(next(_numbers) - 1)
