"""Where the arithmetic runs."""

import torch

from gengap.errors import UserError


def choose(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device; ``auto`` takes the GPU if there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: '{name}' is unknown. Choose from: auto, cpu, cuda.")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device: 'cuda' was asked for, and PyTorch finds no GPU. Use device: auto or cpu.")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


def describe(device: torch.device) -> str:
    """Name of the device, for the record."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
