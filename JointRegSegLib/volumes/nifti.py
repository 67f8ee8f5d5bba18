"""What ITK does not tell of NIfTI files: it reads and writes short ones, and takes NaN for 0, without a word."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

_CHUNK = 1 << 20
_HEADER = 540
# Header size -> format of dim, and where dim, bitpix and vox_offset lie (NIfTI-1 and NIfTI-2 standards).
_LAYOUTS = {348: ("8h", 40, 72, "f", 108), 540: ("8q", 16, 14, "q", 168)}
# Header size -> where datatype lies; and the datatypes that can hold NaN.
_TYPE_AT = {348: 70, 540: 12}
_FLOATS = {16: "f4", 64: "f8"}


def is_nifti(path: Path) -> bool:
    """Whether the name says that this is a one-file NIfTI image."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def is_whole(path: Path) -> bool:
    """Whether a .nii or .nii.gz file is as long as its header says; False also for a header that makes no sense."""
    try:
        with _open(path) as file:
            expected = _expected_size(file.read(_HEADER))
        if not _is_zipped(path):
            return path.stat().st_size >= expected
        return _last_word(path) == expected % (1 << 32) or _unzipped_size(path) >= expected
    except (OSError, EOFError, zlib.error, struct.error, KeyError, ValueError, OverflowError):
        return False


def count_non_finite(path: Path) -> int:
    """How many voxels of a whole .nii or .nii.gz file are NaN or infinite."""
    with _open(path) as file:
        header = file.read(_HEADER)
        order = _byte_order(header)
        (size,) = struct.unpack_from(order + "i", header)
        (kind,) = struct.unpack_from(order + "h", header, _TYPE_AT[size])
        if kind not in _FLOATS:
            return 0
        number = np.dtype(order + _FLOATS[kind])
        *_, offset_format, offset_at = _LAYOUTS[size]
        (start,) = struct.unpack_from(order + offset_format, header, offset_at)
        left, bad = _expected_size(header) - int(start), 0
        file.seek(int(start))
        while left > 0 and (block := file.read(min(left, _CHUNK))):
            values = np.frombuffer(block, number, len(block) // number.itemsize)
            bad += values.size - int(np.count_nonzero(np.isfinite(values)))
            left -= len(block)
    return bad


def _is_zipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if _is_zipped(path) else path.open("rb")  # type: ignore[return-value]


def _byte_order(header: bytes) -> str:
    return "<" if struct.unpack_from("<i", header)[0] in _LAYOUTS else ">"


def _expected_size(header: bytes) -> int:
    order = _byte_order(header)
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
