"""Which training samples a network classifies wrongly, one by one."""

from torch.func import vmap

from gengap import losses
from gengap.engine import evaluation
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Which training samples are classified wrongly, one by one (Arpit 2017).",
    "reads": ("samples",),
    "quantities": {
        "example_error": {
            "label": "sample is classified wrongly",
            "symbol": "e_i",
            "meaning": "1 for a training sample that is classified wrongly, else 0; in the order of the training set.",
        },
        "example_error_mean": {
            "label": "share of these samples classified wrongly",
            "symbol": "\\langle e_i\\rangle_i",
            "unit": "%",
            "meaning": "Mean of `example_error` over the samples that the probe reads.",
        },
    },
    "picture": {
        "quantity": "example_error_mean",
        "settings": {"samples": 1000},
    },
}


def measure(context: ProbeContext) -> list[Measurement]:
    """For every training sample i of `samples`, whether the network classifies it wrongly: ``e_i`` is 1, else 0.

    Over networks that differ in their seed, the mean of ``e_i`` says how hard sample i is. If all samples were equally
    hard, these means over n networks would be binomial: that is the null to compare with.

    Cost: one evaluation of `samples` training images. An array of so many numbers is kept per checkpoint.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` limits the training images.

    Returns:
        float64: ``example_error`` ``[K, example]``, and its mean ``example_error_mean`` ``[K]``.

    Source: Arpit et al. (2017), arXiv:1706.05394, section 3.1, figure 1.
    """
    images, targets = context.probe_images()
    outputs = evaluation.all_outputs(context.arch, context.state, images, context.batchnorm, BATCH_SIZE)
    wrong = 1 - vmap(losses.correct(context.loss), in_dims=(0, None))(outputs, targets).double()
    return [
        Measurement("example_error", wrong, dims=("example",)),
        Measurement("example_error_mean", wrong.mean(dim=1)),
    ]
