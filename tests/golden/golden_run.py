"""What the golden run computes: tiny data, networks, measurements and draws, each as names with numbers.

write_golden.py stores them in golden.json; test_golden.py compares.
"""

import hashlib
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from gengap import datasets, labels, probes, registry, simulations, training, versions
from gengap.engine import weights as checkpoints
from gengap.files import paths, storage
from gengap.studies.packing import dataset_key, labels_key, packs
from gengap.studies.reading import read_yaml
from gengap.studies.settings import Cell, Dataset
from gengap.studies.simulation import Point
from gengap.studies.study import Probe, load_study

HERE = Path(__file__).parent
FILE = HERE / "golden.json"
# The constant in gengap.versions that says of each kind whether its numbers may have changed.
CONSTANTS = {"data": "DATA", "training": "TRAINING", "probes": "PROBES", "simulations": "SIMULATIONS"}
# Raw datasets that are read where the data root has them; its path, from the root.
RAW = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw", "cifar10": "cifar10-jpeg.tar.xz"}
Numbers = dict[str, float | str]


def compute(folder: Path, names_of_probes: Collection[str]) -> dict[str, Numbers]:
    """Everything but the raw datasets, by kind and name; numbers that are not finite are text."""
    found: dict[str, Numbers] = {kind: {} for kind in CONSTANTS}
    for name in ("networks", "probes"):
        study = load_study(HERE / f"{name}.yaml")
        for pack, names in packs(study).items():
            cells = {name: study.cells[name] for name in names}
            data = _data(folder, cells[names[0]], found["data"])
            weights, history = folder / f"{name}-{pack}.weights.h5", folder / f"{name}-{pack}.history.h5"
            training.train_pack(cells, data, weights, history, training.RunOptions(device="cpu", compile_step="off"))
            found["training"] |= _trained(weights, history)
            if name == "probes":
                for probe in names_of_probes:
                    found["probes"] |= _measured(probe, cells, weights, data, folder / f"{probe}.h5")
    for name, point in read_yaml(HERE / "simulations.yaml").items():
        output = folder / f"{name}.h5"
        simulations.simulate_point(name, Point.model_validate(point), output, device="cpu")
        found["simulations"] |= _table(output, "draws", name)
    return found


def compute_raw(folder: Path) -> dict[str, Numbers]:
    """Summaries of the prepared images, by dataset and variant, of each raw dataset that the data root has."""
    root = paths.data_root("data/raw")
    found: dict[str, Numbers] = {}
    for name in (name for name, path in RAW.items() if (root / path).exists()):
        prepared = folder / f"{name}.h5"
        datasets.prepare(Dataset(name=name, image_size=8), root, prepared)
        with storage.reading(prepared, "prepared") as file:
            numbers: Numbers = {}
            for split in ("train", "test"):
                images, classes = file[f"{split}_images"][:500], file[f"{split}_labels"][()]
                numbers |= {f"{split} images {key}": value for key, value in summary(images.astype(float)).items()}
                numbers[f"{split} labels digest"] = _digest(classes)
            found[f"{name} {file.attrs['variant']}"] = numbers
    return found


def _data(folder: Path, cell: Cell, found: Numbers) -> labels.LabelledData:
    """The labelled data of a cell, made at its first use, with digests of what is exact and a few of its numbers."""
    prepared = folder / f"{dataset_key(cell)}.h5"
    labelled = folder / f"{dataset_key(cell)}-{labels_key(cell)}.h5"
    if not prepared.exists():
        datasets.prepare(cell.dataset, paths.data_root("data/raw"), prepared)
    if not labelled.exists():
        labels.label(cell.labels, prepared, labelled)
    data = labels.read(prepared, labelled)
    name = f"{cell.dataset.name} {cell.labels.name}"
    for split in ("train", "test"):
        images, targets = getattr(data, f"{split}_images").double(), getattr(data, f"{split}_labels").double()
        for what, numbers in (("images", images), ("labels", targets)):
            found |= {f"{name} {split} {what} {key}": value for key, value in summary(numbers.numpy()).items()}
        found[f"{name} {split} labels digest"] = _digest(targets.numpy())
    return data


def _trained(weights: Path, history: Path) -> Numbers:
    """The last weights and the last of every recorded quantity, of every cell."""
    found: Numbers = {}
    with storage.reading(history, "history") as file:
        facts, rows = storage.read_table(file, "cells"), storage.read_table(file, "history")
    for cell, own in rows.groupby("cell"):
        for quantity, values in own.groupby("quantity"):
            found[f"{cell} {quantity}"] = _number(values.sort_values("epoch")["value"].iloc[-1])
    found |= {f"{cell} status": status for cell, status in zip(facts["cell"], facts["status"], strict=True)}
    index = checkpoints.read_index(weights)
    last = index.index[index["epoch"] == index.groupby("cell")["epoch"].transform("max")]
    state = checkpoints.read_rows(weights, list(last))
    for place, cell in enumerate(index.loc[last, "cell"]):
        every = np.concatenate([np.ravel(state[name][place].double().numpy()) for name in sorted(state)])
        found |= {f"{cell} weights {key}": value for key, value in summary(every).items()}
    return found


def _measured(probe: str, cells: Mapping[str, Cell], weights: Path, data: labels.LabelledData, output: Path) -> Numbers:
    """What a probe measured, in the first BatchNorm mode that it can do."""
    mode = registry.REGISTRY["probe"][probe].batchnorm[0]
    probes.measure_pack(Probe(name=probe, batchnorm=mode), cells, weights, data, output, device="cpu")
    return _table(output, "probe", probe)


def _table(path: Path, kind: str, name: str) -> Numbers:
    """Means of the rows of a quantity and layer, and of its arrays."""
    found: Numbers = {}
    with storage.reading(path, kind) as file:
        rows = storage.read_table(file, "measurements")
        failures = storage.read_table(file, "failures")
        for (quantity, layer), own in rows.groupby(["quantity", "layer"], sort=False):
            found[f"{name} {quantity} {layer}".strip()] = _number(pd.Series(own["value"]).mean())
        arrays: list[tuple[str, np.ndarray]] = []
        if "arrays" in file:
            file["arrays"].visititems(
                lambda key, item: arrays.append((key, item[()])) if _is_array(item) else None  # type: ignore[func-returns-value]
            )
        for key, values in arrays:
            found |= {f"{name} {key} {what}": number for what, number in summary(values.astype(float)).items()}
    return found | {f"{name} failures": float(len(failures))}


def _is_array(item: object) -> bool:
    return isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and item.ndim > 1


def summary(values: np.ndarray) -> Numbers:
    """Size, norm, and a sum in which no two numbers can be exchanged unseen."""
    flat = np.ravel(values)
    flat = flat[np.isfinite(flat)]
    weights = np.cos(np.arange(flat.size) + 1.0)
    return {"size": float(flat.size), "norm": _number(np.linalg.norm(flat)), "sum": _number(flat @ weights)}


def _digest(labels: np.ndarray) -> str:
    """Of whole numbers, which no processor rounds."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()[:16]


def _number(value: float) -> float | str:
    return float(f"{value:.9g}") if math.isfinite(value) else str(value)


def differences(stored: Numbers, found: Numbers) -> dict[str, str]:
    """What of the stored numbers is missing or different, as name and sentence; what is new is no difference.

    A sum is compared at the scale of its norm: its terms cancel, their rounding does not.
    """
    told = {}
    for name, value in stored.items():
        own = found.get(name, "missing")
        same = own == value
        if not same and isinstance(own, float) and isinstance(value, float):
            scale = stored.get(f"{name.removesuffix(' sum')} norm", value) if name.endswith(" sum") else value
            same = abs(own - value) <= tolerance(name) * (abs(float(scale)) + 1e-6)
        if not same:
            told[name] = f"{name}: {value} before, {own} now"
    return told


def tolerance(name: str) -> float:
    """How far a number may be off, relative: another processor rounds differently.

    Images and first weights are drawn in float32, so all numbers carry that rounding. Training in float32 lets it grow,
    and where a search for a maximum ends is less certain than the maximum.
    """
    if "float32" in name:
        return 1e-2
    if name.startswith("sharpness "):
        return 1e-1 if "/values" in name else 1e-3
    return 1e-4


def probes_with(numbers: Numbers) -> list[str]:
    """The probes that have golden numbers: another one may be registered without any."""
    return [name for name in registry.REGISTRY["probe"] if any(key.split()[0] == name for key in numbers)]


def seal(kind: str, version: int, numbers: object) -> str:
    """Digest of a kind's stored numbers and the version that they are of: neither is edited without the other."""
    return hashlib.sha256(repr((kind, version, numbers)).encode()).hexdigest()[:16]


def versions_now() -> dict[str, int]:
    """The constants of gengap.versions."""
    return {constant: getattr(versions, constant) for constant in CONSTANTS.values()}
