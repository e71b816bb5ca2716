"""Captions of figures and tables as files, which Snakemake needs; the parts' headers declare them."""

import os
import tempfile
from pathlib import Path

from gengap.errors import UserError


def write(name: str, caption: str, folder: Path) -> str:
    """Write a caption where it differs from the file that is there; jobs that read the Snakefile at once may do so.

    Args:
        name: Of the figure or table.
        caption: reStructuredText.
        folder: Where the files lie; made if it is not there.

    Returns:
        The file's absolute path: Snakemake takes a relative one from the folder of the rule.

    Raises:
        UserError: If the folder cannot be written.
    """
    path = folder.absolute() / f"{name}.rst"
    content = caption or f"{name}: its header has no caption.\n"
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            return str(path)
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}). Make {folder} writable.") from error
    return str(path)
