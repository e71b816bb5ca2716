"""Whether parts can be imported, for `gengap.studies.own_parts`: JSON in, JSON out.

A part may print, end the process or fail in any way; nothing of it reaches the process that asks.
"""

import json
import os
import sys
from collections.abc import Iterable

from gengap import registry
from gengap.errors import UserError


def faults(parts: Iterable[tuple[str, str]]) -> list[tuple[str, bool]]:
    """Why each part, of a kind and a name, cannot be imported (empty if it can), and whether it lacks a package."""
    return [_fault(kind, name) for kind, name in parts]


def _fault(kind: str, name: str) -> tuple[str, bool]:
    try:
        registry.load(kind, name)
    except UserError as error:
        return str(error), isinstance(error, registry.MissingPackageError)
    return "", False


if __name__ == "__main__":
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a part prints is not an answer
    said.write(json.dumps(faults(json.loads(sys.stdin.read()))))
    said.flush()
    os._exit(0)  # whatever threads a part has started
