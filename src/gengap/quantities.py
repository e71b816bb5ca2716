"""The measured numbers: name, symbol, unit and meaning, written once. Axis labels, tables and docs read them here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """One measured number.

    Attributes:
        name: Column value in the tables, e.g. ``"train_loss"``.
        label: Words for an axis.
        symbol: Mathtext without dollar signs, or empty.
        unit: ``"1"`` for a pure number, ``"%"`` where figures and tables show percent of a stored fraction.
        meaning: One sentence.
    """

    name: str
    label: str
    symbol: str
    unit: str
    meaning: str

    @property
    def axis(self) -> str:
        """The axis label: words, symbol and unit."""
        symbol = f" ${self.symbol}$" if self.symbol else ""
        unit = f" [{self.unit}]" if self.unit != "1" else ""
        return f"{self.label}{symbol}{unit}"

    @property
    def scale(self) -> float:
        """What a stored value is multiplied by for display."""
        return 100.0 if self.unit == "%" else 1.0


_ALL = (
    Quantity("train_loss", "train loss", "", "1", "Mean data loss over the training set, without any penalty."),
    Quantity("test_loss", "test loss", "", "1", "Mean data loss over the test set, without any penalty."),
    Quantity("train_accuracy", "train accuracy", "", "%", "Share of training samples classified correctly."),
    Quantity("test_accuracy", "test accuracy", "", "%", "Share of test samples classified correctly."),
    Quantity(
        "train_balanced_accuracy",
        "train balanced accuracy",
        "",
        "%",
        "Mean over classes of the accuracy within a class.",
    ),
    Quantity(
        "test_balanced_accuracy", "test balanced accuracy", "", "%", "Mean over classes of the accuracy within a class."
    ),
    Quantity("generalization_gap", "generalization gap", "", "%", "Train accuracy minus test accuracy."),
    Quantity(
        "l2_penalty",
        "L2 penalty",
        r"\frac{d}{2}\|\theta\|^2",
        "1",
        "Half the weight decay times the squared weight norm.",
    ),
    Quantity("lr", "learning rate", r"\eta", "1", "Step size in force at the end of the epoch."),
    Quantity(
        "gradient_norm",
        "gradient norm",
        r"\|\nabla L\|_2",
        "1",
        "Euclidean norm of the gradient of the mean training loss over all parameters.",
    ),
    Quantity(
        "layer_gradient_norm",
        "layer gradient norm",
        r"g_l",
        "1",
        "Frobenius norm of the gradient with respect to one layer's weight tensor; biases excluded.",
    ),
    Quantity(
        "relative_layer_gradient_norm",
        "relative layer gradient norm",
        r"g_l/\|W_l\|",
        "1",
        "Layer gradient norm divided by the norm of that layer's weights.",
    ),
    Quantity(
        "rms_layer_gradient",
        "root mean square layer gradient",
        r"g_l/\sqrt{n_l}",
        "1",
        "Layer gradient norm divided by the square root of the layer's number of weights.",
    ),
    Quantity(
        "gradient_ratio",
        "largest / smallest layer gradient norm",
        r"\max_l g_l / \min_l g_l",
        "1",
        "Ratio of the largest to the smallest layer gradient norm.",
    ),
    Quantity("weight_norm", "weight norm", r"\|\theta\|_2", "1", "Euclidean norm of all parameters."),
    Quantity(
        "layer_weight_norm", "layer weight norm", r"\|W_l\|_F", "1", "Frobenius norm of one layer's weight tensor."
    ),
    Quantity(
        "distance_from_start",
        "distance from the start",
        r"\|\theta-\theta_0\|_2",
        "1",
        "Euclidean distance of all parameters from their initial values.",
    ),
    Quantity(
        "layer_distance_from_start",
        "layer distance from the start",
        r"\|W_l-W_{l,0}\|_F",
        "1",
        "Frobenius distance of one layer's weights from their initial values.",
    ),
)

QUANTITIES: dict[str, Quantity] = {quantity.name: quantity for quantity in _ALL}
