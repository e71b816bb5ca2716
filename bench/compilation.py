"""What compiling costs: the shortest job that is compiled against the same job uncompiled, and a second process.

python -m bench.compilation             every case, about 15 minutes on two cores
python -m bench.compilation --repeats 1

Every job is a process of its own with one thread, as the workflow's jobs are where there are more packs than cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from bench import peers, rows
from gengap import models, training
from gengap.engine import stack
from gengap.labels import LabelledData
from gengap.studies.settings import Cell
from gengap.training import step_choice

PACK, BATCH_SIZE, N_TRAIN, N_TEST = 16, 128, 6400, 640
WIDTHS = (4, 16, 64)


def shortest(width: int) -> int:
    """The fewest epochs for which `compile: auto` compiles."""
    epochs = 1
    while not compiles(width, epochs):
        epochs += 1
    return epochs


def compiles(width: int, epochs: int) -> bool:
    """Whether `compile: auto` compiles so many epochs."""
    cell = Cell.model_validate({"model": {"width": width}})
    arch = stack.architecture(models.build(cell.model, (3, 8, 8), 1))
    sizes = {"n_networks": PACK, "batch_size": BATCH_SIZE, "n_steps": epochs * (N_TRAIN // BATCH_SIZE)}
    return step_choice.pays_to_compile(arch, cell, (3, 8, 8), **sizes)


def job(width: int, epochs: int, compile_step: str) -> None:
    """Train one pack in this process, and print the seconds that it took."""
    torch.set_num_threads(1)
    (images, labels), (test_images, test_labels) = peers.data(N_TRAIN), peers.data(N_TEST)
    data = LabelledData(images, labels.long(), test_images, test_labels.long(), 2, "random")
    settings = {"model": {"width": width}, "training": {"epochs": epochs, "snapshots": []}, "optimizer": {"lr": 0.01}}
    cells = {str(seed): Cell.model_validate({**settings, "seed": seed}) for seed in range(PACK)}
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "weights.h5", Path(folder) / "history.h5"
        training.train_pack(cells, data, *files, training.RunOptions(device="cpu", compile_step=compile_step))
    print(time.perf_counter() - begin)


def seconds(width: int, epochs: int, compile_step: str, cache: Path) -> float:
    """Run one job in a process of its own, with its compiled code in `cache`."""
    command = [sys.executable, "-m", "bench.compilation", "--job", str(width), str(epochs), compile_step]
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def fresh(width: int, epochs: int, compile_step: str) -> float:
    """The same with no compiled code to begin with."""
    with tempfile.TemporaryDirectory() as folder:
        return seconds(width, epochs, compile_step, Path(folder))


def twice(width: int) -> tuple[float, float]:
    """A second process and the first one, each compiling for one epoch."""
    with tempfile.TemporaryDirectory() as folder:
        first = seconds(width, 1, "on", Path(folder))
        return seconds(width, 1, "on", Path(folder)), first


def main() -> None:
    """Run the cases, print the table, write bench/results/compilation.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--job", nargs=3, metavar=("WIDTH", "EPOCHS", "COMPILE"), help="one job in this process")
    options = parser.parse_args()
    if options.job:
        job(int(options.job[0]), int(options.job[1]), options.job[2])
        return
    found = []
    for width in WIDTHS:
        epochs = shortest(width)
        pairs = [(fresh(width, epochs, "auto"), fresh(width, epochs, "off")) for _ in range(options.repeats)]
        case = f"compile/auto,width={width},batch_size={BATCH_SIZE},pack={PACK},epochs={epochs}"
        found.append(rows.row(case, "the same job uncompiled", pairs, unit="s", less_is_better=True))
        print(rows.show(found[-1:]))
    pairs = [twice(WIDTHS[0]) for _ in range(options.repeats)]
    case = f"compile/second_process,width={WIDTHS[0]},batch_size={BATCH_SIZE},pack={PACK},epochs=1"
    found.append(rows.row(case, "the first process", pairs, unit="s", less_is_better=True))
    print(rows.show(found))
    rows.write("compilation", found)


if __name__ == "__main__":
    main()
