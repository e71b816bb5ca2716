"""The peers, as their users write them. Each trains Song's network on resident random data and returns samples/s."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.utils.data import DataLoader, Dataset, TensorDataset

from bench.processes import side_by_side
from gengap import models
from gengap.studies.settings import Model
from gengap.training import cuda_graph


def data(n_samples: int, device: str = "cpu", size: int = 8) -> tuple[Tensor, Tensor]:
    """Random images and labels -1 and +1."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(n_samples, 3, size, size, generator=generator)
    labels = torch.randn(n_samples, generator=generator).sign()
    return images.to(device), labels.to(device)


def network(width: int, device: str) -> nn.Module:
    """Song's network, as an ordinary module."""
    return models.build(Model(width=width), (3, 8, 8), 1).to(device)


def hinge(outputs: Tensor, labels: Tensor) -> Tensor:
    """Squared hinge loss."""
    return (1 - labels * outputs[:, 0]).clamp(min=0).square().mean()


def dataloader_loop(width: int, batch_size: int, n_steps: int, device: str = "cpu") -> Callable[[], float]:
    """(a) A plain PyTorch loop with a DataLoader, one network at a time."""
    images, labels = data(batch_size * n_steps)
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True)
    net = network(width, device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def run() -> float:
        begin = time.perf_counter()
        for x, y in loader:
            optimizer.zero_grad()
            hinge(net(x.to(device)), y.to(device)).backward()
            optimizer.step()
        wait(device)
        return batch_size * n_steps / (time.perf_counter() - begin)

    return run


def resident_loop(width: int, batch_size: int, n_steps: int, device: str = "cpu") -> Callable[[], float]:
    """(b) The same loop with index gathers on a resident tensor."""
    net = network(width, device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    return resident_loop_of(net, optimizer, hinge, *data(batch_size * n_steps, device), batch_size)


def resident_loop_of(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    batch_size: int,
) -> Callable[[], float]:
    """The same of any network, on tensors that are already there."""
    device = images.device

    def run() -> float:
        begin = time.perf_counter()
        for index in torch.randperm(len(images), device=device).split(batch_size):
            optimizer.zero_grad()
            loss(net(images[index]), labels[index]).backward()
            optimizer.step()
        wait(device)
        return len(images) / (time.perf_counter() - begin)

    return run


def ensemble_loop(
    width: int, batch_size: int, n_steps: int, pack: int, device: str = "cpu", *, compiled: bool = False
) -> Callable[[], float]:
    """(c) `torch.func` model ensembling as in PyTorch's tutorial, with every network's own data order."""
    images, labels = data(batch_size * n_steps, device)
    nets = [network(width, device) for _ in range(pack)]
    for net in nets:
        torch.func.replace_all_batch_norm_modules_(net)
    params, buffers = stack_module_state(nets)
    base = nets[0].to("meta")
    momentum = {name: torch.zeros_like(value) for name, value in params.items()}

    def loss(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return hinge(functional_call(base, (p, b), (x,)), y)

    gradient = torch.compile(vmap(grad(loss)), dynamic=False) if compiled else vmap(grad(loss))

    def run() -> float:
        nonlocal params
        begin = time.perf_counter()
        orders = torch.stack([torch.randperm(len(images), device=device) for _ in range(pack)])
        for index in orders.split(batch_size, dim=1):
            gradients = gradient(params, buffers, images[index], labels[index])
            with torch.no_grad():
                for name, value in gradients.items():
                    momentum[name] = 0.9 * momentum[name] + value
                params = {name: value - 0.01 * momentum[name] for name, value in params.items()}
        wait(device)
        return pack * batch_size * n_steps / (time.perf_counter() - begin)

    return run


def process_loop(
    width: int, batch_size: int, n_steps: int, processes: int
) -> AbstractContextManager[Callable[[], float]]:
    """(d) One process per core, each with its own plain loop and one thread."""
    arguments, samples = (width, batch_size, n_steps), batch_size * n_steps
    one_thread = {"prepare": torch.set_num_threads, "given": (1,)}
    return side_by_side(_one_process, *arguments, processes=processes, samples=samples, **one_thread)


def _one_process(width: int, batch_size: int, n_steps: int) -> float:
    return dataloader_loop(width, batch_size, n_steps)()


class Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Images shifted by up to 4 pixels and mirrored half of the time, as torchvision's transforms do it."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        height, width = self.images.shape[2:]
        padded = nn.functional.pad(self.images[index], (4, 4, 4, 4))
        down, right = torch.randint(9, (2,)).tolist()
        image = padded[:, down : down + height, right : right + width]
        return image.flip(2) if torch.rand(()) < 0.5 else image, self.labels[index]


def workers_loop(
    net: nn.Module, images: Tensor, labels: Tensor, batch_size: int, device: str, *, workers: int, mixed: bool
) -> Callable[[], float]:
    """The loop of a script that trains one large network: DataLoader workers augment, the GPU trains.

    Args:
        net: An ordinary module.
        images: On the processor.
        labels: Classes.
        batch_size: Samples per step.
        device: Where the network is trained.
        workers: Processes of the DataLoader.
        mixed: Whether convolutions are in bfloat16 and laid out channels last; else float32 as PyTorch has it.
    """
    layout = torch.channels_last if mixed else torch.contiguous_format
    net = net.to(device).to(memory_format=layout)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(
        Augmented(images, labels),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=device != "cpu",
        persistent_workers=workers > 0,
    )

    def run() -> float:
        begin = time.perf_counter()
        for x, y in loader:
            x = x.to(device, non_blocking=True, memory_format=layout)
            y = y.to(device, non_blocking=True)
            optimizer.zero_grad()
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
                loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
        wait(device)
        return len(images) / (time.perf_counter() - begin)

    return run


def recorded_loop(
    net: nn.Module, images: Tensor, labels: Tensor, batch_size: int, *, compiled: bool
) -> Callable[[], float]:
    """An expert's loop over one large network: resident images, bfloat16, channels last, one CUDA graph per step.

    Flips and crops are drawn once per epoch and made on the device. On a processor nothing is recorded.

    Args:
        net: An ordinary module.
        images: On the device where the network is trained.
        labels: The same.
        batch_size: Samples per step; they divide the images.
        compiled: Whether `torch.compile` compiles the module and the augmentation.
    """
    device = images.device
    net = net.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    padded = nn.functional.pad(images, (4, 4, 4, 4)).contiguous(memory_format=torch.channels_last)
    size, channels = torch.arange(images.shape[2], device=device), torch.arange(images.shape[1], device=device)
    samples = torch.arange(batch_size, device=device)
    shifts = torch.zeros(len(images), 2, dtype=torch.int64, device=device)
    flips = torch.zeros(len(images), dtype=torch.bool, device=device)

    def augmented() -> Tensor:
        rows = size + shifts[samples, :1]
        columns = torch.where(flips[samples, None], size.flip(0), size) + shifts[samples, 1:]
        across = channels[None, :, None, None]
        x = padded[samples[:, None, None, None], across, rows[:, None, :, None], columns[:, None, None, :]]
        return x.contiguous(memory_format=torch.channels_last)

    batch, forward = augmented, net.__call__
    if compiled:
        batch, forward = torch.compile(augmented, dynamic=False), torch.compile(net, dynamic=False)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            loss = nn.functional.cross_entropy(forward(batch()), labels[samples])
        loss.backward()
        optimizer.step()

    replay = cuda_graph.recorded(step) if device.type == "cuda" else step

    def run() -> float:
        begin = time.perf_counter()
        shifts.random_(9)
        flips.random_(2)
        for index in torch.randperm(len(images), device=device).split(batch_size):
            samples.copy_(index)
            replay()
        wait(device)
        return len(images) / (time.perf_counter() - begin)

    return run


def wait(device: str | torch.device) -> None:
    """Wait until the GPU has done all that was asked of it."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
