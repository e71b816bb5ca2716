"""Getting raw files: found under the data root and checked, or downloaded; never replaced by something else."""

import http.client
import socket
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torchvision.datasets.utils import calculate_md5

from gengap.errors import UserError
from gengap.files import cell_locks
from gengap.files.paths import DATA_ROOT_VARIABLE
from gengap.logs import log

SILENCE = 60.0  # seconds without an answer after which a download fails; urllib itself would wait without end


def verify(path: Path, md5: str, page: str) -> None:
    """Check a raw file's digest.

    Raises:
        UserError: If the file is cut short, damaged or another one.
    """
    try:
        digest = calculate_md5(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if digest != md5:
        raise UserError(
            f"{path}: is damaged, cut short or another file: its md5 is {digest}, expected {md5}. "
            f"Remove it, and it is downloaded again; or put the original from {page} in its place."
        )


@contextmanager
def download_folder(root: Path, name: str, looked_for: Iterable[str], remedy: str) -> Iterator[Path]:
    """A folder inside the data root to download into; what is to stay is moved out of it by the caller.

    So an interrupted download leaves nothing that looks like a dataset. One job at a time may hold the folder
    of a dataset: the caller looks again for the files, which another job may have fetched while this one waited.

    Args:
        root: The data root; made if it does not exist.
        name: The dataset.
        looked_for: The files that would have done, relative to the root.
        remedy: The file to get by hand, where it comes from and where it belongs.

    Raises:
        UserError: If the download fails, or the root cannot be written.
    """
    before = socket.getdefaulttimeout()
    try:
        root.mkdir(parents=True, exist_ok=True)
        # Not by `filelock`, which fails on a file system without locks.
        with (
            cell_locks.locked(root / f".{name}.lock", [name]),
            tempfile.TemporaryDirectory(dir=root, prefix=f".{name}.") as folder,
        ):
            log.info("%s: not found in %s, downloading it", name, root)
            socket.setdefaulttimeout(SILENCE)
            yield Path(folder)
    # What torchvision lets through: URLError and timeouts are OSErrors, a wrong digest is a RuntimeError.
    except (OSError, RuntimeError, http.client.HTTPException, EOFError, zlib.error) as error:
        raise UserError(
            f"{name}: not found under {root.absolute()} (looked for {', '.join(looked_for)}), "
            f"and it could not be downloaded: {_reason(error)}. {remedy} "
            f"Or set {DATA_ROOT_VARIABLE} to a folder that has it."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def keep(downloaded: Path, path: Path) -> None:
    """Give a downloaded file its place under the data root, unless another one is there already."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        downloaded.replace(path)


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().rstrip(".").replace("\n", " ")
