"""Where the arithmetic runs."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gengap.engine import compiler_cache
from gengap.errors import UserError
from gengap.files.cell_locks import locked
from gengap.logs import log

LEASES = Path(tempfile.gettempdir()) / "gengap-gpus"  # one for all users and folders of a machine
_DRIVER = Path("/proc/driver/nvidia/gpus")
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def choose(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device that can be used; ``auto`` takes the GPU if there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: '{name}' is unknown. Choose from: auto, cpu, cuda.")
    compiler_cache.ensure()
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device: 'cuda' was asked for, and PyTorch finds no GPU. Use device: auto or cpu.")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def describe(device: torch.device) -> str:
    """Name of the device, for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


@contextmanager
def leased(wanted: bool) -> Iterator[None]:
    """Show this process one GPU that no other leasing job on this machine has; wait for one if there is none.

    To be entered before anything asks CUDA for its devices. Inside a Slurm job, Slurm has chosen already.

    Args:
        wanted: Whether to; without, and where there is no GPU, nothing happens.
    """
    gpus = _gpus() if wanted and "SLURM_JOB_ID" not in os.environ else []
    if not gpus:
        yield
        return
    with locked(LEASES, gpus, at_most=1) as (gpu,):
        log.info("leased GPU %s of %s", gpu, ", ".join(gpus))
        os.environ[_VISIBLE] = gpu
        yield


def _gpus() -> list[str]:
    """GPUs that this process may use, by the names that CUDA takes; asking CUDA itself would fix its choice."""
    if (visible := os.environ.get(_VISIBLE)) is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    return [str(number) for number, _ in enumerate(_DRIVER.glob("*"))]
