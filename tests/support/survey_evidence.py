"""Made-up evidence of four studies of the survey, with numbers that are known."""

import dataclasses
import itertools

import numpy as np
import pandas as pd

from gengap.evidence.measurements import Evidence
from gengap.files.arrays import Array

SEEDS = range(5)
EPOCHS = (0.0, 1.0, 2.0, 4.0)
HIDDEN = ("linear1", "linear2", "linear3", "output")


@dataclasses.dataclass(frozen=True)
class Given(Evidence):
    """Evidence whose arrays are given instead of read."""

    found: tuple[Array, ...] = ()

    def arrays(self, quantity):
        return [array for array in self.found if array.quantity == quantity]


def evidence(cells, axes, *, rows=(), history=(), found=()):
    frame = pd.DataFrame([{"status": "finished", "n_parameters": 10, **cell} for cell in cells])
    columns = ["cell", "epoch", "layer", "quantity", "value", "batchnorm", "probe"]
    return Given(
        study={
            "name": "made_up",
            "axes": [*axes, "seed"],
            "reduced": False,
            "fixed": {},
            "data": {"mnist": {"n_classes": 10}},
        },
        cells=frame,
        history=pd.DataFrame(history, columns=["cell", "epoch", "quantity", "value", "batchnorm"]),
        measurements=pd.DataFrame(rows, columns=columns),
        failures=pd.DataFrame(),
        path=None,
        found=tuple(found),
    )


# Data of a cell: rule, share, permutation, epochs to interpolation, test error.
DATA = (
    ("random_labels", "0.0", "None", 10, 0.1),
    ("random_labels", "0.5", "None", 20, 0.5),
    ("random_labels", "1.0", "None", 40, 0.9),
    ("noise_images", "1.0", "None", 5, 0.9),
    ("permuted_pixels", "None", "one", 15, 0.2),
    ("permuted_pixels", "None", "each", 30, 0.8),
)


def fitting(*, never=(), dead=(), stuck=()):
    """Two networks on six kinds of data; the second takes twice as long.

    Args:
        never: Names of cells that never interpolate; they were trained for 100 epochs.
        dead: Names of cells that died.
        stuck: Names of cells that learned nothing.
    """
    cells, history = [], []
    for arm, slower in (("mlp", 1), ("alexnet", 2)):
        for rule, share, permutation, epochs, error in DATA:
            for seed in SEEDS:
                cell = f"{arm}-{rule}-{share}-{permutation}-{seed}"
                reached = np.nan if cell in never or cell in stuck else float(slower * epochs + seed)
                status = "dead" if cell in dead else "stuck" if cell in stuck else "finished"
                cells.append(
                    {
                        "cell": cell,
                        "status": status,
                        "arm": arm,
                        "labels": rule,
                        "random_share": share,
                        "permutation": permutation,
                        "seed": seed,
                        "interpolation_epoch": reached,
                        "epochs_trained": 100.0,
                        "train_error": 0.9 if cell in stuck else 0.02 if cell in never else 0.0,
                        "test_error": error + 0.001 * seed,
                    }
                )
                history += [(cell, float(t), "train_loss", np.exp(-t / epochs / slower), "running") for t in (0, 5, 50)]
    return evidence(cells, ["arm", "labels", "random_share", "permutation"], history=history)


def starts(n_starts=40, n_samples=200):
    """Starts on true data, of which a quarter of the samples is always right and a quarter always wrong; and on noise.

    Five networks of either kind are measured later too: on true data half of what was right at first stays so.
    """
    rng = np.random.default_rng(0)
    easy = np.repeat([0.0, 1.0, 0.5, 0.5], n_samples // 4)
    cells, names, vectors = [], [], []
    for share, p in (("0.0", easy), ("1.0", np.full(n_samples, 0.9))):
        for seed in range(n_starts):
            name = f"one-{share}-{seed}"
            cells.append({"cell": name, "arm": "one_epoch", "random_share": share, "seed": seed, "status": "stuck"})
            names.append((name, 1.0))
            vectors.append((rng.random(n_samples) < p).astype(float))
        for seed in SEEDS:
            name = f"long-{share}-{seed}"
            cells.append({"cell": name, "arm": "to_zero_error", "random_share": share, "seed": seed})
            first = np.tile([0.0, 1.0], n_samples // 2) if share == "0.0" else np.ones(n_samples)
            later = np.tile([0.0, 1.0, 1.0, 1.0], n_samples // 4) if share == "0.0" else np.zeros(n_samples)
            for epoch, vector in ((1.0, first), (3.0, later), (9.0, np.zeros(n_samples))):
                names.append((name, epoch))
                vectors.append(vector)
    cells = [{**cell, "labels": "random_labels", "example_error_mean": 0.5} for cell in cells]
    rows = pd.DataFrame(names, columns=["cell", "epoch"])
    found = Array("example_error", "", ("example",), "exact", "example_errors", rows, np.stack(vectors))
    return evidence(cells, ["arm", "labels", "random_share"], found=[found])


def layered(depths=(1, 2, 4)):
    """Perceptrons whose first layer alone matters: its reset costs 40 points, a redrawn layer 60, at any depth."""
    cells, rows, found = [], [], []
    for depth in depths:
        layers = [f"linear{place}" for place in range(1, depth + 1)] + ["output"]
        for seed in SEEDS:
            cell, own = f"{depth}-{seed}", 0.1 + 0.001 * seed
            errors = {layer: [own + (0.4 if layer == "linear1" else 0.0), own] for layer in layers}
            rise = np.mean([error[0] for error in errors.values()]) - own
            cells.append({"cell": cell, "depth": str(depth), "width": "8", "seed": seed})
            cells[-1] |= {"error_rise_after_reset": rise, "error_rise_after_rerandomization": 0.6}
            rows.append((cell, 4.0, "", "error_rise_after_reset", rise, "exact", "layer_reset"))
            at = pd.DataFrame({"cell": [cell], "epoch": [4.0]})
            found.append(Array("reset_epoch", "", ("epoch",), "exact", "layer_reset", at, np.array([[0.0, 4.0]])))
            for layer in layers:
                values = np.array([errors[layer]])
                found.append(Array("test_error_after_reset", layer, ("epoch",), "exact", "layer_reset", at, values))
                redrawn = (cell, 4.0, layer, "test_error_after_rerandomization", own + 0.6, "exact", "layer_reset")
                rows.append(redrawn)
    return evidence(cells, ["depth", "width"], rows=rows, found=found)


def landscapes(rates=()):
    """Without BatchNorm range, gradient change and smoothness are ten times as large; the cosine is 0.9, not 0.5.

    Args:
        rates: Learning rates of a second axis, along which nothing changes.
    """
    cells, rows = [], []
    arms = (("plain", 10, 0.9, 0.7), ("batchnorm", 1, 0.5, 0.8), ("noisy", 2, 0.2, 0.75))
    for rate, (arm, factor, cosine, accuracy), seed in itertools.product(rates or [None], arms, SEEDS):
        cell = f"{arm}-{rate}-{seed}"
        cells.append({"cell": cell, "arm": arm, "seed": seed, "test_accuracy": accuracy + 0.001 * seed})
        cells[-1] |= {"effective_smoothness": factor} | ({"lr": rate} if rate else {})
        for epoch in EPOCHS:
            whole = {"lowest_loss_along_gradient": 1.0, "highest_loss_along_gradient": 1.0 + 0.1 * factor}
            whole |= {"largest_gradient_change": 3.0 * factor, "effective_smoothness": 1.0 * factor}
            rows += [(cell, epoch, "", name, value, "batch", "landscape") for name, value in whole.items()]
            for layer in HIDDEN:
                shift = {"covariate_shift": 1.0 + seed, "covariate_shift_cosine": cosine}
                rows += [(cell, epoch, layer, name, value, "batch", "landscape") for name, value in shift.items()]
    return evidence(cells, ["arm", "lr"] if rates else ["arm"], rows=rows)


def moving(speeds):
    """Networks whose layers' inputs have a median that rises by a speed per epoch, by arm; half of 68 % is 1 wide."""
    found = []
    for (arm, speed), seed, layer in itertools.product(speeds.items(), SEEDS, HIDDEN):
        at = pd.DataFrame({"cell": f"{arm}-None-{seed}", "epoch": EPOCHS})
        values = (speed * np.array(EPOCHS)[:, None] + np.array([-2.0, -1, 0, 1, 2]))[:, None, :].repeat(4, axis=1)
        dims = ("node", "quantile")
        found.append(Array("pre_activation_quantiles", layer, dims, "batch", "pre_activations", at, values))
    return dataclasses.replace(landscapes(), found=tuple(found))


def distributions(rates=()):
    """One node of three layers: without BatchNorm its median is the epoch, with it 0; the second seed's are 100 more.

    Args:
        rates: Learning rates of a second axis, along which nothing changes.
    """
    cells, found = [], []
    for rate, arm, seed in itertools.product(rates or [None], ("plain", "batchnorm", "noisy"), (0, 1)):
        cell = f"{arm}-{rate}-{seed}"
        cells.append({"cell": cell, "arm": arm, "seed": seed} | ({"lr": rate} if rate else {}))
        at = pd.DataFrame({"cell": cell, "epoch": EPOCHS})
        for number, layer in enumerate(HIDDEN[:-1]):
            medians = 100 * seed + 10 * (number - 1) + np.array(EPOCHS if arm == "plain" else (0.0,) * len(EPOCHS))
            values = (medians[:, None] + np.array([-2.0, -1, 0, 1, 2]))[:, None, :].repeat(4, axis=1)
            dims = ("node", "quantile")
            found.append(Array("pre_activation_quantiles", layer, dims, "batch", "pre_activations", at, values))
    return evidence(cells, ["arm", "lr"] if rates else ["arm"], found=found)
