"""Event files of TensorBoard, written without its package, which takes longer to import than to be read by it.

A file is a sequence of records: length (uint64), masked CRC-32C of these eight bytes, data, masked CRC-32C of the data,
all little-endian. The data are protocol-buffer messages `Event` (tensorboard/compat/proto/event.proto).
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

VERSION = b"brain.Event:2"
PREFIX = "events.out.tfevents."


class EventFile:
    """One file of scalars; every record is on disk when the call that wrote it returns."""

    def __init__(self, folder: Path) -> None:
        """Begin a file in a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{PREFIX}{int(time.time()):010d}.uprung.{os.getpid()}.0"
        self.path.write_bytes(_record(_time() + _field(3, VERSION)))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of one step, by name, in single precision."""
        summary = b"".join(
            _field(1, _field(1, name.encode()) + b"\x15" + struct.pack("<f", value)) for name, value in values.items()
        )
        with self.path.open("ab") as stream:
            stream.write(_record(_time() + b"\x10" + _varint(step) + _field(5, summary)))


def _time() -> bytes:
    return b"\x09" + struct.pack("<d", time.time())


def _field(number: int, data: bytes) -> bytes:
    """Return a field of bytes: its number and kind, its length, its content."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Return a whole number, seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    """Return the CRC-32C (Castagnoli) of some bytes, turned by 15 bits and moved, as the format has it."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@cache
def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
        found.append(crc)
    return tuple(found)
