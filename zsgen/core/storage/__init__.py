"""Workdirs in buckets: their objects, their local copies, and leases.

`mount("gs://bucket/path")` returns the local directory that holds the copies;
everything else reads and writes files there. A path of a local workdir is
mounted nowhere, and nothing here changes how it is used.
"""

from zsgen.core.storage.bucket import Bucket
from zsgen.core.storage.failures import explain, explained
from zsgen.core.storage.folder import Folder
from zsgen.core.storage.leases import Held, Lease, Objects, find_holder
from zsgen.core.storage.mounts import (
    Mounted,
    absolute,
    cache,
    check_workdir,
    children,
    direct,
    find,
    is_url,
    mount,
    open_workdir,
    public,
)

__all__ = [
    "Bucket",
    "Folder",
    "Held",
    "Lease",
    "Mounted",
    "Objects",
    "absolute",
    "cache",
    "check_workdir",
    "children",
    "direct",
    "explain",
    "explained",
    "find",
    "find_holder",
    "is_url",
    "mount",
    "open_workdir",
    "public",
]
