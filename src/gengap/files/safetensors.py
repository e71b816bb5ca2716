"""Tensors in the safetensors format, which many tools read: a JSON header, then the numbers, and no code.

Eight bytes with the header's length, little-endian; the header, by tensor its type, shape and place; the tensors, row
by row. See huggingface.co/docs/safetensors, section Format.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gengap.files import storage

_TYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
    "bool": "BOOL",
}


def write(path: Path, tensors: Mapping[str, NDArray[np.generic]], facts: Mapping[str, str]) -> None:
    """Write tensors under their names.

    Args:
        path: The file, replaced as a whole.
        tensors: By name.
        facts: Texts for the header's ``__metadata__``.
    """
    header: dict[str, object] = {"__metadata__": dict(facts)}
    parts: list[bytes] = []
    end = 0
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor)
        parts.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        start, end = end, end + len(parts[-1])
        header[name] = {"dtype": _TYPES[array.dtype.name], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of eight
    storage.write_bytes(path, b"".join([len(text).to_bytes(8, "little"), text, *parts]))
