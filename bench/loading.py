"""Reading a study of 100,000 networks into pandas: `gengap.load` and what one asks for next.

python -m bench.loading             writes a made-up study into a temporary folder, reads it, removes it
python -m bench.loading --cells N   of another size
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import gengap
from gengap import layout
from gengap.evidence.collect import HISTORY, MEASUREMENTS
from gengap.files import storage

WIDTHS, RATES = (4, 8, 16, 32, 64), tuple(0.001 * 2.0**power for power in range(10))
RECORDED = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
EPOCHS = range(3)
REPEATS = 3


def write(folder: Path, n_cells: int) -> None:
    """Write the measurements of a made-up study: five widths, ten rates, seeds; curves of three epochs."""
    generator = np.random.default_rng(0)
    seeds = n_cells // (len(WIDTHS) * len(RATES))
    axes = pd.MultiIndex.from_product([WIDTHS, RATES, range(seeds)], names=["width", "lr", "seed"]).to_frame(
        index=False
    )
    names = [f"width={w},lr={r:g},seed={s}" for w, r, s in axes.itertuples(index=False)]
    packs = [f"width={w}_pack={s // 64}" for w, s in zip(axes.width, axes.seed, strict=True)]
    finals = {name: generator.random(len(axes)) for name in (*RECORDED, "gradient_norm", "hessian_largest")}
    cells = axes.assign(cell=names, pack=packs, status="finished", stopped_by="epochs", epochs_trained=10.0, **finals)
    rows = len(cells) * len(EPOCHS)
    history = pd.concat(
        pd.DataFrame(
            {
                "cell": np.repeat(names, len(EPOCHS)),
                "epoch": np.tile(np.array(EPOCHS, float), len(cells)),
                "quantity": name,
                "value": generator.random(rows),
                "batchnorm": "running",
            }
        )
        for name in RECORDED
    )
    measured = pd.concat(
        pd.DataFrame({"cell": names, "epoch": epoch, "layer": "", "quantity": name, "batchnorm": "exact"}).assign(
            value=generator.random(len(names)), probe="performance"
        )
        for epoch in (0.0, 10.0)
        for name in RECORDED
    )
    with storage.writing(layout.measurements_in(folder), "measurements", {}) as file:
        file.attrs["study"] = json.dumps({"title": "Made up", "axes": ["width", "lr", "seed"]})
        for name, table in (("cells", cells), ("history", history[HISTORY]), ("measurements", measured[MEASUREMENTS])):
            storage.write_table(file, name, table.reset_index(drop=True))


def seconds(work: Callable[[], object]) -> float:
    """The median time of some repeats."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Write, read, and print a line for each question."""
    parser = argparse.ArgumentParser(description="Read a study of many networks.")
    parser.add_argument("--cells", type=int, default=100_000, help="networks (default: 100,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "made_up"
        write(folder, options.cells)
        results = gengap.load(folder)
        size = layout.measurements_in(folder).stat().st_size / 2**20
        print(f"{len(results.cells):,} networks, {size:,.0f} MiB; median of {REPEATS}")
        apart = ["width", "lr"]
        for told, work in {
            "load(folder)": lambda: gengap.load(folder),
            "compare(x, y, by=...)": lambda: results.compare("width", "test_accuracy", by="lr"),
            "load(folder).history": lambda: gengap.load(folder).history,
            "curves(quantity, by=...), after .history": lambda: results.curves("test_loss", by=apart),
            "measure(probe, epoch=...), after .measurements": lambda: results.measure("performance", epoch=10),
        }.items():
            print(f"{seconds(work):8.2f} s  {told}", flush=True)


if __name__ == "__main__":
    main()
