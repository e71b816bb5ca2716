"""Loss, accuracy and balanced accuracy on the training and the test set."""

from gengap.engine import evaluation
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Loss, accuracy and balanced accuracy on both splits.",
    "uses": (
        "train_loss",
        "train_accuracy",
        "train_balanced_accuracy",
        "test_loss",
        "test_accuracy",
        "test_balanced_accuracy",
    ),
    "picture": {
        "quantity": "test_accuracy",
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Evaluate every network on both splits.

    Accuracy is the share of samples classified correctly; balanced accuracy is its mean over classes,
    ``1/C sum_c 1/N_c sum_{i: y_i = c} [correct_i]``, which a network that ignores its input holds at 1/C.

    Cost: one evaluation of both sets.

    Args:
        context: K networks and their data; see `ProbeContext`.

    Returns:
        ``train_loss``, ``train_accuracy``, ``train_balanced_accuracy``, ``test_loss``, ``test_accuracy`` and
        ``test_balanced_accuracy``, each ``[K]``, float64. Losses are means of the data loss, without penalty;
        accuracies are fractions.

    Source: Song (2019), table 4.1; balanced accuracy after Brodersen et al. (2010).
    """
    measured = []
    for split, images, targets in (
        ("train", context.train_images, context.train_targets),
        ("test", context.test_images, context.test_targets),
    ):
        outputs = evaluation.all_outputs(context.arch, context.state, images, context.batchnorm, BATCH_SIZE)
        performance = evaluation.performance(outputs, targets, context.loss)
        measured += [
            Measurement(f"{split}_{name}", performance[name]) for name in ("loss", "accuracy", "balanced_accuracy")
        ]
    return measured
