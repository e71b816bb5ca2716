"""Our training against a plain loop on the same data: do both end at the same accuracy? ``python -m bench.agreement``.

    python -m bench.agreement                                   the study's own settings, a full run of VGG-16
    python -m bench.agreement --epochs 60 --candidates all      which setting moves the accuracy
    python -m bench.agreement --width 4 --images 4096 --epochs 3 --candidates float32    seconds on a CPU

The settings are those of the study `near_rank_vgg` at batch 1,024, and candidates that differ from them in one. Every
network is evaluated three times: with BatchNorm's running statistics, those of batches of 1,000, and those of all
training images. Where both programs agree and a printed accuracy is out of reach, the cause is in data or settings.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench import rows
from gengap import datasets, inits, labels, models, training
from gengap.engine import evaluation, stack
from gengap.files import paths
from gengap.labels import LabelledData
from gengap.studies.settings import Cell
from gengap.training import cell_result

STUDY: dict[str, dict[str, Any]] = {
    "dataset": {"name": "cifar10", "standardize": "train"},
    "model": {"name": "vgg", "depth": 16, "width": 64},
    "init": {"name": "he"},
    "loss": {"name": "cross_entropy"},
    "optimizer": {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
    "schedule": {"name": "multistep", "factor": 0.1, "milestones": [0.5, 0.75, 0.9]},
    "training": {"batch_size": 1024, "epochs": 200, "augmentation": "flip_crop", "dtype": "bfloat16"},
}
CANDIDATES: dict[str, dict[str, dict[str, Any]]] = {
    "study": {},
    "float32": {"training": {"dtype": "float32"}},
    "batch_128": {"training": {"batch_size": 128}},
    "decay_5e-4": {"optimizer": {"weight_decay": 5e-4}},
    "decay_0": {"optimizer": {"weight_decay": 0.0}},
    "lr_0.02": {"optimizer": {"lr": 0.02}},
    "warm_up": {"schedule": {"warm_up": 5.0}},
    "no_augmentation": {"training": {"augmentation": "none"}},
    "flip": {"training": {"augmentation": "flip"}},
}
MODES = ("running", "batch", "exact")
EVALUATED = 1000  # images per batch of an evaluation

Accuracies = dict[str, float]  # test accuracy [%] by mode of evaluation


def run(
    cells: Sequence[Cell], data: LabelledData, device: str, name: str, programs: Sequence[Callable[..., Accuracies]]
) -> Iterator[rows.Row]:
    """Train every cell with both programs; a row per mode of evaluation.

    Args:
        cells: They differ in seed.
        data: Their labelled data.
        device: Where.
        name: Of the case.
        programs: Ours, then the other.
    """
    pairs = [tuple(program(cell, data, device) for program in programs) for cell in cells]
    for mode in MODES:
        yield rows.row(
            f"agreement/{name},evaluation={mode}",
            "plain loop",
            [(one[mode], other[mode]) for one, other in pairs],
            unit="% right",
        )


def ours(cell: Cell, data: LabelledData, device: str) -> Accuracies:
    """Train as a study does, and evaluate the last weights."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "weights.h5", Path(folder) / "history.h5"
        training.train_pack({"cell": cell}, data, *files, training.RunOptions(device=device))
        (last,) = (
            result.checkpoints[result.epochs_trained] for result in cell_result.read({"cell": cell}, *files).values()
        )
    arch = stack.architecture(models.build(cell.model, shape(data), data.n_classes))
    state = {name: value[None].to(device) for name, value in last.items()}
    images, test = data.train_images.to(device), data.test_images.to(device)

    def accuracy(mode: str) -> float:
        ready = evaluation.for_mode(arch, state, images, mode)
        return percent_right(evaluation.all_outputs(arch, ready, test, mode, EVALUATED)[0], data.test_labels)

    return {mode: accuracy(mode) for mode in MODES}


def plain_loop(cell: Cell, data: LabelledData, device: str) -> Accuracies:
    """The same settings as anyone would write them with PyTorch; nothing of ours but the module and its init."""
    settings, optimizer, schedule = cell.training, cell.optimizer, cell.schedule
    torch.manual_seed(cell.seed)
    net = models.build(cell.model, shape(data), data.n_classes)
    inits.initialise(net, cell.init, torch.Generator().manual_seed(cell.seed))
    net = net.to(device)
    images, targets = data.train_images.to(device), data.train_labels.to(device)
    sgd = torch.optim.SGD(net.parameters(), optimizer.lr, optimizer.momentum, weight_decay=optimizer.weight_decay)
    drops = [round(milestone * settings.epochs) for milestone in schedule.milestones]
    n_steps = -(-len(images) // settings.batch_size)

    for epoch in range(settings.epochs):
        dropped = schedule.factor ** sum(epoch >= drop for drop in drops)
        for step, index in enumerate(torch.randperm(len(images), device=device).split(settings.batch_size)):
            warm = min(1.0, (epoch + step / n_steps) / schedule.warm_up) if schedule.warm_up else 1.0
            sgd.param_groups[0]["lr"] = optimizer.lr * dropped * warm
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=settings.dtype == "bfloat16"):
                loss = nn.functional.cross_entropy(net(moved(images[index], settings.augmentation)), targets[index])
            sgd.zero_grad()
            loss.backward()
            sgd.step()

    return {mode: _plain_accuracy(net, images, data, mode) for mode in MODES}


@torch.no_grad()
def _plain_accuracy(net: nn.Module, images: Tensor, data: LabelledData, mode: str) -> float:
    """Evaluate as PyTorch does it; `exact` by averaging the statistics of batches of training images."""
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.momentum = 0.0 if mode == "batch" else None  # None: the mean over all batches
        if mode == "exact":
            layer.reset_running_stats()
    net.train(mode != "running")
    if mode == "exact":
        for batch in images.split(EVALUATED):
            net(batch)
        net.eval()
    outputs = torch.cat([net(batch) for batch in data.test_images.to(images.device).split(EVALUATED)])
    return percent_right(outputs, data.test_labels)


def moved(images: Tensor, kind: str) -> Tensor:
    """Each image of a batch shifted by up to 4 pixels each way, and mirrored half of the time."""
    if kind == "none":
        return images
    count, _, height, width = images.shape
    if kind == "flip_crop":
        padded = nn.functional.pad(images, (4, 4, 4, 4))
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [N, C, 9, 9, H, W], a view
        down, right = torch.randint(9, (2, count), device=images.device)
        images = windows[torch.arange(count, device=images.device), :, down, right]
    mirrored = torch.rand(count, device=images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def percent_right(outputs: Tensor, targets: Tensor) -> float:
    """Share of images whose largest output is their class [%]."""
    return 100 * float((outputs.argmax(dim=1).cpu() == targets).double().mean())


def shape(data: LabelledData) -> tuple[int, int, int]:
    """``(channels, height, width)`` of an image."""
    channels, height, width = data.train_images.shape[1:]
    return channels, height, width


def settings_of(candidate: str, *, width: int, epochs: int, images: int, seed: int) -> Cell:
    """A candidate's cell.

    Args:
        candidate: One of `CANDIDATES`.
        width: Of the network; 64 as published.
        epochs: Of training; drops of the learning rate follow.
        images: For training; 0 for all.
        seed: The cell's.
    """
    sections = {name: {**section, **CANDIDATES[candidate].get(name, {})} for name, section in STUDY.items()}
    sections["model"]["width"] = width
    sections["training"] |= {"epochs": epochs, "evaluate_every": epochs, "snapshots": [0]}
    if images:
        sections["labels"] = {"train_size": images, "test_size": max(100, images // 5)}
    return Cell.model_validate({**sections, "seed": seed})


def read(cell: Cell, folder: Path) -> LabelledData:
    """The cell's data, prepared and labelled in a folder as the workflow does it."""
    prepared, labelled = folder / "prepared.h5", folder / "labelled.h5"
    datasets.prepare(cell.dataset, paths.data_root(""), prepared)
    labels.label(cell.labels, prepared, labelled)
    return labels.read(prepared, labelled)


def main() -> None:
    """Run the candidates, print their rows as they come, write bench/results/agreement.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--candidates", default="study", help=f"all, or some of: {','.join(CANDIDATES)}")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--images", type=int, default=0, help="training images; 0 for all")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    chosen = list(CANDIDATES) if options.candidates == "all" else options.candidates.split(",")
    if unknown := set(chosen) - set(CANDIDATES):
        parser.error(
            f"--candidates: {', '.join(sorted(unknown))} is unknown. Choose from: all, {', '.join(CANDIDATES)}."
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = {"width": options.width, "epochs": options.epochs, "images": options.images}
    with tempfile.TemporaryDirectory() as folder:
        data = read(settings_of("study", **sizes, seed=0), Path(folder))
    for candidate in chosen:
        cells = [settings_of(candidate, **sizes, seed=seed) for seed in range(options.seeds)]
        name = f"vgg-16,{candidate}," + ",".join(f"{key}={value}" for key, value in sizes.items())
        found = list(run(cells, data, device, name, (ours, plain_loop)))
        print(rows.show(found), flush=True)
        rows.write("agreement", rows.joined(rows.read("agreement"), found))


if __name__ == "__main__":
    main()
