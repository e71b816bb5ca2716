"""Every name a study may use, in one table per kind.

A new dataset, label rule, model, init, loss, probe, figure or table is one new file and one line here. The
tables name modules as text, so that the workflow can check a study without importing torch.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

from gengap.errors import UserError, unknown_name


@dataclass(frozen=True)
class Entry:
    """One registered name.

    Attributes:
        module: The module that implements it; imported only when it is used.
        summary: One sentence for the reference page.
        options: The settings beside ``name`` that it reads; setting any other is an error.
    """

    module: str
    summary: str
    options: tuple[str, ...] = ()


_STORED = ("image_size", "standardize")
_TEACHER = (
    "teacher_width",
    "teacher_seed",
    "teacher_tries",
    "teacher_batchnorm",
    "margin",
    "minority_share",
)

REGISTRY: dict[str, dict[str, Entry]] = {
    "dataset": {
        "cifar10": Entry("gengap.datasets.cifar10", "CIFAR-10: 60,000 colour photographs, 10 classes.", _STORED),
        "cifar100": Entry("gengap.datasets.cifar100", "CIFAR-100: 60,000 colour photographs, 100 classes.", _STORED),
        "mnist": Entry("gengap.datasets.mnist", "MNIST: 70,000 handwritten digits, 28 x 28.", _STORED),
        "fashion_mnist": Entry("gengap.datasets.fashion_mnist", "Fashion-MNIST: 70,000 garments, 28 x 28.", _STORED),
        "digits": Entry("gengap.datasets.digits", "scikit-learn's 1,797 handwritten digits, 8 x 8.", _STORED),
        "gaussian": Entry(
            "gengap.datasets.gaussian",
            "Images of independent normal pixels, drawn on the spot; stored, or streamed without end.",
            ("image_size", "channels", "n_train", "n_test", "std", "stream", "data_seed"),
        ),
    },
    "labels": {
        "original": Entry("gengap.labels.original", "The labels that the dataset came with."),
        "teacher": Entry(
            "gengap.labels.teacher",
            "The sign of a small random network; samples inside the margin are dropped (Song 2019, appendix A).",
            _TEACHER,
        ),
    },
    "model": {
        "song": Entry("gengap.models.song", "Two residual blocks of equal width (Song 2019).", ("head",)),
    },
    "init": {
        "default": Entry("gengap.inits.default", "PyTorch's own initialisation of each layer."),
        "he": Entry("gengap.inits.he", "Normal with variance 2 / fan_in, biases 0 (He et al. 2015)."),
        "xavier": Entry("gengap.inits.xavier", "Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."),
        "normal": Entry("gengap.inits.normal", "Every parameter standard normal, BatchNorm's and biases included."),
    },
    "loss": {
        "smooth_hinge": Entry("gengap.losses.smooth_hinge", "max(0, 1 - y f)^p for labels -1 and +1.", ("power",)),
        "cross_entropy": Entry(
            "gengap.losses.cross_entropy",
            "Softmax cross-entropy; the logistic loss where the network has one output.",
        ),
        "squared": Entry(
            "gengap.losses.squared",
            "Squared error, mean over the outputs: to one-hot targets; to -1 and +1 where the network has one output.",
        ),
    },
    "optimizer": {
        "sgd": Entry(
            "gengap.training.optimizers.sgd",
            "Stochastic gradient descent, with momentum as in torch.optim.SGD.",
            ("lr", "momentum", "nesterov", "weight_decay"),
        ),
        "adam": Entry(
            "gengap.training.optimizers.adam",
            "Adam as in torch.optim.Adam (Kingma and Ba 2015).",
            ("lr", "beta1", "beta2", "eps", "weight_decay"),
        ),
        "adagrad": Entry(
            "gengap.training.optimizers.adagrad",
            "Adagrad as in torch.optim.Adagrad (Duchi, Hazan and Singer 2011).",
            ("lr", "eps", "weight_decay"),
        ),
    },
    "schedule": {
        "constant": Entry("gengap.training.schedules.constant", "The learning rate never changes."),
        "multistep": Entry(
            "gengap.training.schedules.multistep",
            "Multiply by `factor` at each of `milestones`, given as fractions of `training.epochs`.",
            ("factor", "milestones"),
        ),
        "plateau": Entry(
            "gengap.training.schedules.plateau",
            "Multiply by `factor` when train accuracy has not risen by `threshold` for `patience` epochs.",
            ("factor", "patience", "threshold", "max_drops"),
        ),
        "cosine": Entry(
            "gengap.training.schedules.cosine", "Half a cosine from 1 to `final` over `training.epochs`.", ("final",)
        ),
        "linear": Entry(
            "gengap.training.schedules.linear", "A straight line from 1 to `final` over `training.epochs`.", ("final",)
        ),
    },
    "probe": {
        "performance": Entry("gengap.probes.performance", "Loss, accuracy and balanced accuracy on both splits."),
        "gradient": Entry(
            "gengap.probes.gradient", "Gradient norm of the training loss, whole and by layer, and its max/min ratio."
        ),
        "distance": Entry("gengap.probes.distance", "Weight norm and distance from the start."),
    },
    "figure": {
        "accuracy_by_width": Entry("gengap.figures.accuracy_by_width", "Final accuracy against width."),
        "learning_curves": Entry("gengap.figures.learning_curves", "Loss and accuracy while training."),
        "gradient_norm": Entry("gengap.figures.gradient_norm", "Norm of the full gradient while training."),
        "layer_gradients": Entry("gengap.figures.layer_gradients", "Gradient norm of each layer, first epochs."),
    },
    "table": {
        "final_performance": Entry("gengap.tables.final_performance", "Final losses and accuracies, over seeds."),
    },
}


def check(kind: str, name: str, *, where: str = "") -> Entry:
    """Return the entry of a name, or raise a `UserError` that lists the names of that kind."""
    table = REGISTRY[kind]
    if name not in table:
        raise unknown_name(kind, name, table, where=where)
    return table[name]


def load(kind: str, name: str) -> ModuleType:
    """Import the module that implements a registered name."""
    entry = check(kind, name)
    try:
        return importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"the {kind} '{name}' needs the package '{error.name}'. Install it, or run `make env`."
        ) from error
