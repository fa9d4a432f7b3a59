"""Runs zsgen.main while Orbax cannot reach the bucket, but others can."""

import os

from orbax.checkpoint._src.serialization import tensorstore_utils

from zsgen import main

# By default, TensorStore tries for a quarter of an hour.
_RETRIES = {"max_retries": 2, "initial_delay": "10ms", "max_delay": "10ms"}

if __name__ == "__main__":
  os.environ["TENSORSTORE_GCS_HTTP_URL"] = "http://127.0.0.1:1"
  for context in (
      tensorstore_utils._BASE_TS_CONTEXT,
      tensorstore_utils._DEFAULT_OCDBT_TS_CONTEXT,
  ):
    context["gcs_request_retries"] = _RETRIES
  main.start()
