"""Artifacts: directories that a stage writes once and never changes.

An artifact is written next to its final path and renamed when it is complete,
so that a directory with the final name is complete by construction. Its
`manifest.json` says what made it and carries a digest of its own content; the
directory's name ends in a hash of what made it. Both are checked whenever a
manifest is read.
"""

from zsgen.core.artifacts.copies import exists
from zsgen.core.artifacts.exports import UNLISTED, digest_used
from zsgen.core.artifacts.files import (
    check_files,
    describe_files,
    file_problems,
)
from zsgen.core.artifacts.hashing import digest, file_digest
from zsgen.core.artifacts.manifests import (
    add_provenance,
    check_made_by,
    differences,
    has_digest,
    kind_of,
    read_manifest,
    read_provenance,
    write_manifest,
)
from zsgen.core.artifacts.naming import (
    MANIFEST,
    SECTIONS,
    advise,
    is_hashed,
    name,
)
from zsgen.core.artifacts.provenance import PROVENANCE
from zsgen.core.artifacts.reading import load_array, read_json
from zsgen.core.artifacts.recorded import RECORDS
from zsgen.core.artifacts.sealing import (
    read_sealed,
    seal,
    unseal,
    write_sealed,
)
from zsgen.core.artifacts.single_files import (
    fetch,
    is_file,
    publish_files,
    publish_sealed,
)
from zsgen.core.artifacts.writing import (
    encode_json,
    remove_leftovers,
    write_bytes,
    write_json,
    writing,
)

__all__ = [
    "MANIFEST",
    "PROVENANCE",
    "RECORDS",
    "SECTIONS",
    "UNLISTED",
    "add_provenance",
    "advise",
    "check_files",
    "check_made_by",
    "describe_files",
    "differences",
    "digest",
    "digest_used",
    "encode_json",
    "exists",
    "fetch",
    "file_digest",
    "file_problems",
    "has_digest",
    "is_file",
    "is_hashed",
    "kind_of",
    "load_array",
    "name",
    "publish_files",
    "publish_sealed",
    "read_json",
    "read_manifest",
    "read_provenance",
    "read_sealed",
    "remove_leftovers",
    "seal",
    "unseal",
    "write_bytes",
    "write_json",
    "write_manifest",
    "write_sealed",
    "writing",
]
