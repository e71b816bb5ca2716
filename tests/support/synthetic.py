"""A study whose measurements are made up, so that every mean and interval is known; files go through the real code."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from gengap.evidence import collect, measurements
from gengap.files import arrays, storage
from gengap.quantities import QUANTITIES
from gengap.studies.packing import packs
from gengap.studies.study import Study, load_study

LAYERS = ("block1.conv1", "block1.conv2", "block1.shortcut", "block2.conv1", "block2.conv2", "block2.shortcut")
LAYERS += ("hidden.linear", "output")
SNAPSHOTS = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 15.0, 20.0)
RESET_EPOCHS = (0.0, 1.0, 2.0, 5.0, 10.0)
GRID = {"model.width": [4, 16, 64], "init": ["he"], "seed": [0, 1, 2, 3, 4]}


def study(folder: Path, grid: Mapping = GRID, *, reduced: bool = False, name: str = "made_up", **keys) -> Study:
    """A study with this grid, read from a file as a user's is."""
    content = {"title": "Made up", "question": "Does it work?", "source": "None (2026)", "grid": grid}
    content |= {"reduced": {"base": {"training.epochs": 20}}, **keys}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_study(path, reduced=reduced)


def curve(cell, seed: int, epoch: float) -> dict[str, float]:
    """Plausible learning: wider is better on the training set, and hardly so on the test set."""
    width = cell.model.width
    noise = np.random.default_rng([seed, width, int(epoch * 100)]).normal(0, 1)
    skill = (1 - np.exp(-(epoch + 0.2) * (0.3 + 0.1 * np.log2(width)))) * (1 + 0.02 * np.sin(seed))
    error = 0.5 - skill * (0.5 - 0.45 / width - 0.001 * (seed % 5))
    train = min(1.0, 1 - error + 0.004 * noise)
    test = min(train, 0.86 + 0.01 * np.log2(width)) - 0.01 - 0.002 * seed
    return {
        "train_accuracy": train,
        "test_accuracy": test,
        "train_loss": 3.2 * (1 - train) + 1e-4,
        "test_loss": 3.4 * (1 - test) * (1 + 0.02 * width * skill),
    }


def gradients(cell, seed: int, epoch: float) -> dict[str, float]:
    """Layer gradient norms of which none vanishes at width 4, and all do at width 64."""
    rng = np.random.default_rng([7, seed, cell.model.width, int(epoch * 100)])
    decay = np.exp(-epoch * np.log2(cell.model.width) / 12)
    return {layer: float(decay * 0.9**k * rng.lognormal(-k * 0.3, 0.3)) for k, layer in enumerate(LAYERS)}


def resets(cell, seed: int) -> dict[str, list[float]]:
    """Test error after each layer's reset to `RESET_EPOCHS`, and last redrawn: the first layers matter most."""
    rng = np.random.default_rng([8, seed, cell.model.width])
    decay = np.array([*np.exp(-np.array(RESET_EPOCHS) / 3), 1.5])
    return {
        layer: (0.15 + 0.3 / (1 + place) * decay + 0.01 * rng.random(len(decay))).tolist()
        for place, layer in enumerate(LAYERS)
    }


def reset_rows(name: str, cell, ended: float) -> list[tuple]:
    """What the probe ``layer_reset`` measures as numbers, in the columns of measurements."""
    found = resets(cell, cell.seed)
    rise = float(np.mean([errors[0] for errors in found.values()]) - 0.15)
    fresh = [(layer, "test_error_after_rerandomization", errors[-1]) for layer, errors in found.items()]
    listed = [*fresh, ("", "error_rise_after_reset", rise)]
    return [(name, ended, layer, quantity, value, "exact", "layer_reset") for layer, quantity, value in listed]


def reset_arrays(cells: list[tuple]) -> list[arrays.Array]:
    """What it measures as arrays, of (name, cell, last epoch)."""
    rows = pd.DataFrame([(name, ended) for name, _, ended in cells], columns=["cell", "epoch"])
    made = {("reset_epoch", ""): np.tile(RESET_EPOCHS, (len(cells), 1))}
    for layer in LAYERS:
        errors = [resets(cell, cell.seed)[layer][:-1] for _, cell, _ in cells]
        made["test_error_after_reset", layer] = np.array(errors)
    return [arrays.Array(*key, ("epoch",), "exact", "layer_reset", rows, values) for key, values in made.items()]


def path_arrays(cells: list[tuple]) -> list[arrays.Array]:
    """What the probe ``path`` measures as arrays, of (name, cell, last epoch): the loss has its valley at 1."""
    rows = pd.DataFrame([(name, ended) for name, _, ended in cells], columns=["cell", "epoch"])
    made = {"path_position": np.tile(np.linspace(-1, 2, 25), (len(cells), 1))}
    far = np.square(made["path_position"] - 1)
    for split, least in (("train", 0.01), ("test", 0.4)):
        noise = np.array([[(1 + 0.2 * np.sin(cell.seed)) * cell.model.width / 4] for _, cell, _ in cells])
        made[f"{split}_loss_along_path"] = least + far * noise
        made[f"{split}_accuracy_along_path"] = 0.5 + 0.45 * np.exp(-far * noise - least)
    return [arrays.Array(name, "", ("position",), "exact", "path", rows, values) for name, values in made.items()]


def eigenvalues(cell, seed: int, epoch: float) -> np.ndarray:
    """A spectrum of 40 eigenvalues: few large ones, many near 0, some negative; the largest grows."""
    rng = np.random.default_rng([9, seed, cell.model.width, int(epoch * 100)])
    return np.sort(np.concatenate([-rng.exponential(0.1, 10), rng.exponential(0.5, 28), [0.0, 20 + epoch]]))


def curvature(cell, seed: int, epoch: float, *, error: float = 0.0) -> dict[str, float]:
    """Both ends of it, off by a relative error."""
    values = eigenvalues(cell, seed, epoch)
    ends = {"hessian_smallest": values[0], "hessian_largest": values[-1]}
    return {name: value * (1 + error) for name, value in ends.items()}


def spectrum_arrays(cells: list[tuple]) -> list[arrays.Array]:
    """What the probe ``hessian_spectrum`` measures as arrays, of (name, cell, last epoch)."""
    found = [(name, epoch, eigenvalues(cell, cell.seed, epoch)) for name, cell, last in cells for epoch in (0.0, last)]
    rows = pd.DataFrame([row[:2] for row in found], columns=["cell", "epoch"])
    values = np.stack([row[2] for row in found])
    return [arrays.Array("hessian_eigenvalues", "", ("eigenvalue",), "exact", "hessian_spectrum", rows, values)]


def counts(cell, seed: int, epoch: float) -> dict[str, float]:
    """Counts of small singular values, more of them in wide networks and after training."""
    rng = np.random.default_rng([10, seed, cell.model.width, int(epoch * 100)])
    names = [name for name in QUANTITIES if name.startswith("near_rank")]
    return {name: float(rng.integers(1, 10 * cell.model.width)) * (1 + epoch) / 200 for name in names}


NODE_LAYERS = ("linear1_relu", "linear2_relu")


def node_numbers(cell, seed: int, epoch: float) -> dict[str, dict[tuple[str, str], float]]:
    """What probes of nodes measure, by probe, layer and quantity: correlations rise, ranks fall, norms drift."""
    rng = np.random.default_rng([11, seed, cell.model.width, int(epoch * 100)])
    found: dict[str, dict[tuple[str, str], float]] = {"node_correlation": {}, "winners": {}, "node_norms": {}}
    found["batchnorm_bias"] = {}
    for place, layer in enumerate(NODE_LAYERS):
        noise, age = 0.01 * rng.random(), 1 - np.exp(-epoch / 4)
        found["node_correlation"] |= {
            (layer, "best_node_correlation"): 0.4 - 0.1 * place + 0.5 * age + noise,
            (layer, "best_node_correlation_by_chance"): 0.03 + noise,
            (layer, "final_winner_rank"): (0.1 + 0.1 * place) * (1 - age),
            (layer, "winner_start_rank"): (0.1 + 0.1 * place) * age,
        }
        for score, lead in (("correlation", 0.45), ("fan_in", 0.1), ("fan_out", 0.05), ("gradient", 0.2)):
            found["winners"][layer, f"winner_auc_by_{score}"] = 0.5 + lead + noise
        found["node_norms"][layer, "fan_in_norm_drift"] = float(cell.optimizer.lr**2 * (epoch + noise))
        found["batchnorm_bias"][layer, "negative_bias_share"] = 0.5 * age + 0.2 * place
    return found


def coupling_arrays(cells: list[tuple]) -> list[arrays.Array]:
    """What the probe ``backward_coupling`` measures as arrays, of (name, cell, last epoch)."""
    rows = pd.DataFrame(
        [(name, epoch) for name, _, ended in cells for epoch in (0.0, ended)], columns=["cell", "epoch"]
    )
    made = []
    for place, layer in enumerate(NODE_LAYERS):
        for quantity in ("coupling", "gated_coupling"):
            values = np.random.default_rng([12, place]).normal(size=(len(rows), 3, 12))
            made.append(arrays.Array(quantity, layer, ("teacher_node", "student_node"), "exact", "b", rows, values))
    return made


def correlation_arrays(cells: list[tuple]) -> list[arrays.Array]:
    """What the probe ``node_correlation`` measures as arrays."""
    rows = pd.DataFrame([(name, ended) for name, _, ended in cells], columns=["cell", "epoch"])
    dims = ("teacher_node", "student_node")
    return [
        arrays.Array("node_correlation", layer, dims, "exact", "node_correlation", rows, values)
        for place, layer in enumerate(NODE_LAYERS)
        for values in [np.random.default_rng([13, place]).uniform(-1, 1, size=(len(rows), 3, 12))]
    ]


# Probes whose arrays are made up, of (name, cell, last epoch).
ARRAYS = {"layer_reset": reset_arrays, "path": path_arrays, "hessian_spectrum": spectrum_arrays}
ARRAYS |= {"backward_coupling": coupling_arrays, "node_correlation": correlation_arrays}
PROBES = ("performance", "gradient", "layer_reset", "path", "hessian_spectrum", "hessian_extremes", "near_rank")
PROBES += ("node_correlation", "winners", "node_norms", "batchnorm_bias", "backward_coupling")


def write(
    folder: Path,
    made: Study,
    *,
    values: Mapping[str, Mapping[str, float]] | None = None,
    status: Mapping[str, str] | None = None,
    epochs: Mapping[str, int] | None = None,
    probes: tuple[str, ...] = PROBES,
    snapshots: tuple[float, ...] = SNAPSHOTS,
) -> tuple[list[Path], list[Path]]:
    """Write a study's history and probe files.

    Args:
        folder: The study's folder of results.
        made: The study.
        values: Measured whole-network values that replace the made-up ones, per cell and quantity, at every epoch.
        status: Status of the cells that did not finish.
        epochs: Last epoch of the cells that stopped before epoch 20.
        probes: Which probes measured.
        snapshots: When they measured; the last epoch is added.
    """
    histories, probe_files = [], []
    for pack, names in packs(made).items():
        facts, history, rows = [], [], {probe: [] for probe in probes}
        for name in names:
            cell, ended = made.cells[name], (epochs or {}).get(name, 20)
            how = (status or {}).get(name, "finished")
            facts.append((name, how, "divergence" if how == "diverged" else "epochs", float(ended), 721, name))
            for epoch in range(ended + 1):
                found = curve(cell, cell.seed, epoch) | {"lr": 0.1}
                history += [(name, float(epoch), quantity, value, "running") for quantity, value in found.items()]
            for epoch in sorted({epoch for epoch in snapshots if epoch <= ended} | {float(ended)}):
                found = curve(cell, cell.seed, epoch)
                found |= {f"{split}_balanced_accuracy": found[f"{split}_accuracy"] for split in ("train", "test")}
                found |= {"clean_accuracy": found["test_accuracy"] - 0.05, "patch_only_accuracy": 0.3}
                layers = gradients(cell, cell.seed, epoch)
                whole = {"gradient_norm": np.hypot.reduce(list(layers.values()))}
                whole["gradient_ratio"] = max(layers.values()) / min(layers.values())
                by_probe = {"performance": found | (values or {}).get(name, {}), "gradient": whole}
                by_probe["hessian_extremes"] = curvature(cell, cell.seed, epoch, error=1e-4)
                if epoch in (0.0, float(ended)):
                    by_probe["near_rank"] = counts(cell, cell.seed, epoch)
                    negative = float((eigenvalues(cell, cell.seed, epoch) < 0).sum())
                    by_probe["hessian_spectrum"] = curvature(cell, cell.seed, epoch)
                    by_probe["hessian_spectrum"] |= {"hessian_negative_count": negative}
                for probe in probes:
                    own = by_probe.get(probe, {})
                    rows[probe] += [(name, epoch, "", q, float(v), "exact", probe) for q, v in own.items()]
                if "gradient" in probes:
                    rows["gradient"] += [
                        (name, epoch, layer, "layer_gradient_norm", value, "exact", "gradient")
                        for layer, value in layers.items()
                    ]
                for probe, own in node_numbers(cell, cell.seed, epoch).items():
                    if probe in probes:
                        rows[probe] += [(name, epoch, *key, float(v), "exact", probe) for key, v in own.items()]
            if "layer_reset" in probes:
                rows["layer_reset"] += reset_rows(name, cell, float(ended))
        path = folder / "packs" / pack / "history.h5"
        with storage.writing(path, "history", {}) as file:
            storage.write_table(file, "cells", pd.DataFrame(facts, columns=[*collect.FACTS, "identity"]))
            storage.write_table(file, "history", pd.DataFrame(history, columns=collect.HISTORY))
        histories.append(path)
        for probe in probes:
            path = folder / "packs" / pack / "probes" / f"{probe}.h5"
            with storage.writing(path, "probe", {}) as file:
                storage.write_table(file, "measurements", pd.DataFrame(rows[probe], columns=collect.MEASUREMENTS))
                storage.write_table(file, "failures", pd.DataFrame({"cell": [], "epoch": [], "why": []}))
                if probe in ARRAYS:
                    ended_cells = [(n, made.cells[n], float((epochs or {}).get(n, 20))) for n in names]
                    arrays.write(file, ARRAYS[probe](ended_cells))
            probe_files.append(path)
    return histories, probe_files


def collected(folder: Path, made: Study, facts: Mapping | None = None, **options) -> measurements.Evidence:
    """Write a study's files, collect them and read the measurements back; options as in `write`."""
    histories, probes = write(folder, made, **options)
    collect.collect(made, facts or {}, histories, probes, folder / "measurements.h5", folder / "cells.csv")
    return measurements.read(folder / "measurements.h5")
