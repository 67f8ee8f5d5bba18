"""Whether a NIfTI file holds all the voxels its header promises: ITK reads and writes short ones without a word."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

_CHUNK = 1 << 20
_HEADER = 540
# Header size -> format of dim, and where dim, bitpix and vox_offset lie (NIfTI-1 and NIfTI-2 standards).
_LAYOUTS = {348: ("8h", 40, 72, "f", 108), 540: ("8q", 16, 14, "q", 168)}


def is_nifti(path: Path) -> bool:
    """Whether the name says that this is a one-file NIfTI image."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def is_whole(path: Path) -> bool:
    """Whether a .nii or .nii.gz file is as long as its header says; False also for a header that makes no sense."""
    zipped = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            expected = _expected_size(file.read(_HEADER))
        if not zipped:
            return path.stat().st_size >= expected
        return _last_word(path) == expected % (1 << 32) or _unzipped_size(path) >= expected
    except (OSError, EOFError, zlib.error, struct.error, KeyError, ValueError, OverflowError):
        return False


def _expected_size(header: bytes) -> int:
    order = "<" if struct.unpack_from("<i", header)[0] in _LAYOUTS else ">"
    dim_format, dim_at, bits_at, offset_format, offset_at = _LAYOUTS[struct.unpack_from(order + "i", header)[0]]
    count, *sizes = struct.unpack_from(order + dim_format, header, dim_at)
    (bits,) = struct.unpack_from(order + "h", header, bits_at)
    (offset,) = struct.unpack_from(order + offset_format, header, offset_at)
    return int(offset) + int(math.prod(sizes[:count])) * int(bits) // 8


def _last_word(path: Path) -> int:
    """What a gzip file says of its unzipped length (modulo 2^32); right where it has one member and is whole."""
    with path.open("rb") as file:
        file.seek(-4, 2)
        return int.from_bytes(file.read(), "little")


def _unzipped_size(path: Path) -> int:
    size = 0
    with gzip.open(path, "rb") as file:
        while block := file.read(_CHUNK):
            size += len(block)
    return size
