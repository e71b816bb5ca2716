"""Headers of parts, read from their files as plain data: nothing is imported, and nothing in them runs.

A header is an assignment on the first level of a module, from ``PART = {`` to the first line that is ``}``. One file
with several parts has ``PARTS = {name: header, ...}``. The Snakefile is read for every job, so only these lines are
parsed, not the whole file.
"""

import ast
import re
from pathlib import Path
from typing import Any

from gengap.errors import UserError

_BEGIN = re.compile(r"^(PARTS?)(?:: [^=]+)? = (?=\{)", re.MULTILINE)


def read(path: Path) -> dict[str, Any]:
    """The headers in a file, by the name of the part; none for a module that is no part.

    Raises:
        UserError: If there is a header that is not plain data.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error
    begin = _BEGIN.search(text)
    if begin is None:
        if re.search(r"^PARTS?\b[^=\n]*=", text, re.MULTILINE):
            raise UserError(f"{path}: PART: must be written out as a dictionary: PART = {{...}}.")
        return {}
    line, rest = text[begin.end() :].partition("\n")[0], text[begin.end() :]
    whole = line if line.rstrip().endswith("}") else "".join(rest.partition("\n}")[:2])
    try:
        header = ast.literal_eval(whole)
    except (SyntaxError, ValueError) as error:
        found = re.search(r"line (\d+)", str(error))
        line_number = text[: begin.end()].count("\n") + (int(found[1]) if found else 1)
        raise UserError(
            f"{path}: {begin[1]}: is not plain data that ends with a line }}, at line {line_number}: write numbers, "
            "texts, tuples and dictionaries only."
        ) from error
    if begin[1] == "PART":
        return {path.stem: header}
    if not isinstance(header, dict) or not all(isinstance(name, str) for name in header):
        raise UserError(f"{path}: PARTS: must hold a header by name, got {header!r}.")
    return header
