"""Deleting rows of a served Delta table as Spark does it: a deletion vector in the log, the data file unchanged.

deltalake reads deletion vectors and writes none, so they are made here by the protocol: a 64-bit Roaring bitmap of row
numbers, in the log itself as Z85 text or in a file beside the data.
"""

from __future__ import annotations

import base64
import json
import struct
import uuid
import zlib
from collections.abc import Sequence
from typing import Any

from servers import TABLES, Service

_BASE85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
FEATURE = {
    "minReaderVersion": 3,
    "minWriterVersion": 7,
    "readerFeatures": ["deletionVectors"],
    "writerFeatures": ["deletionVectors"],
}


def delete_rows(service: Service, name: str, path_part: str, rows: Sequence[int], *, inline: bool = True) -> None:
    """Delete rows of the one data file whose path has a part, as a new version of a table; none: add the feature."""
    bucket, prefix = TABLES[name].split("/", 1)
    log = _log(service, bucket, prefix)
    alive = {line["add"]["path"]: line["add"] for lines in log for line in lines if "add" in line}
    (add,) = [action for path, action in alive.items() if path_part in path]
    commit: list[dict[str, Any]] = [{"protocol": FEATURE}]
    if rows:
        vector = _vector(service, bucket, prefix, bitmap(rows), len(rows), inline=inline)
        removed = {key: add[key] for key in ("path", "partitionValues", "size")}
        commit += [
            {"remove": {**removed, "dataChange": True, "deletionTimestamp": 1, "extendedFileMetadata": True}},
            {"add": {**add, "deletionVector": vector}},
        ]
    service.put(bucket, f"{prefix}/_delta_log/{len(log):020d}.json", "\n".join(map(json.dumps, commit)).encode())
    service.publish()


def _log(service: Service, bucket: str, prefix: str) -> list[list[dict[str, Any]]]:
    keys = sorted(key for key in service.objects(bucket, f"{prefix}/_delta_log/") if key.endswith(".json"))
    return [[json.loads(line) for line in service.get(bucket, key).splitlines()] for key in keys]


def _vector(service: Service, bucket: str, prefix: str, data: bytes, rows: int, *, inline: bool) -> dict[str, Any]:
    facts = {"sizeInBytes": len(data), "cardinality": rows}
    if inline:
        return {"storageType": "i", "pathOrInlineDv": z85(data), **facts}
    name = uuid.UUID(int=rows)
    framed = b"\x01" + struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    service.put(bucket, f"{prefix}/deletion_vector_{name}.bin", framed)
    return {"storageType": "u", "pathOrInlineDv": z85(name.bytes), "offset": 1, **facts}


def bitmap(rows: Sequence[int]) -> bytes:
    """Return row numbers below 65,536 as a 64-bit Roaring bitmap with one array container."""
    n = len(rows)
    container = struct.pack(f"<{n}H", *sorted(rows)) + b"\0\0" * (n % 2)  # Z85 wants multiples of four bytes
    small = struct.pack("<IIHHI", 12346, 1, 0, n - 1, 16) + container
    return struct.pack("<IqI", 1681511377, 1, 0) + small


def z85(data: bytes) -> str:
    """Return bytes as Z85 text: base 85 with the alphabet of ZeroMQ."""
    return base64.b85encode(data).decode().translate(str.maketrans(_BASE85, _Z85))
