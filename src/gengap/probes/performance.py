"""Loss, accuracy and balanced accuracy on the training and the test set."""

from gengap.engine import evaluation
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Loss, accuracy and balanced accuracy on both splits, and on further test sets of the rule `patches`.",
    "uses": (
        "train_loss",
        "train_accuracy",
        "train_balanced_accuracy",
        "test_loss",
        "test_accuracy",
        "test_balanced_accuracy",
    ),
    "quantities": {
        "clean_loss": {
            "label": "loss on clean test images",
            "meaning": "Mean loss on the test images before the label rule `patches` changed them.",
        },
        "clean_accuracy": {
            "label": "accuracy on clean test images",
            "unit": "%",
            "meaning": "Accuracy on the test images before the label rule `patches` changed them.",
        },
        "patch_only_loss": {
            "label": "loss on patches alone",
            "meaning": "Mean loss on blank images with patches of random classes, of the label rule `patches`.",
        },
        "patch_only_accuracy": {
            "label": "accuracy on patches alone",
            "unit": "%",
            "meaning": "Accuracy on blank images with patches of random classes, of the label rule `patches`.",
        },
    },
    "picture": {
        "quantity": "test_accuracy",
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Evaluate every network on both splits, and on the further test sets of the label rule `patches`.

    Accuracy is the share of samples classified correctly; balanced accuracy is its mean over classes,
    ``1/C sum_c 1/N_c sum_{i: y_i = c} [correct_i]``, which a network that ignores its input holds at 1/C.

    Cost: one evaluation of both sets.

    Args:
        context: K networks and their data; see `ProbeContext`.

    Returns:
        ``train_loss``, ``train_accuracy``, ``train_balanced_accuracy``, ``test_loss``, ``test_accuracy`` and
        ``test_balanced_accuracy``, each ``[K]``, float64. Losses are means of the data loss, without penalty;
        accuracies are fractions. With the label rule `patches`, whose test images are mixed like its training images,
        ``clean_loss`` and ``clean_accuracy``, ``patch_only_loss`` and ``patch_only_accuracy`` too.

    Source: Song (2019), table 4.1; balanced accuracy after Brodersen et al. (2010).
    """
    splits = {
        "train": (context.train_images, context.train_targets),
        "test": (context.test_images, context.test_targets),
    }
    measured = []
    for split, (images, targets) in {**splits, **context.test_sets}.items():
        outputs = evaluation.all_outputs(context.arch, context.state, images, context.batchnorm, BATCH_SIZE)
        performance = evaluation.performance(outputs, targets, context.loss)
        names = ("loss", "accuracy", "balanced_accuracy") if split in splits else ("loss", "accuracy")
        measured += [Measurement(f"{split}_{name}", performance[name]) for name in names]
    return measured
