"""What a network says of its training samples, and how its last hidden layer holds them apart."""

import torch
from sklearn.metrics import davies_bouldin_score
from torch import Tensor
from torch.func import grad, hessian, vmap

from gengap import losses, seeding
from gengap.engine.activations import OUTPUT, activation_names, activations_of_one
from gengap.engine.stack import State, network_state
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": (
        "Confidence, calibration, mixup, Fisher-Rao norm; clusters, rank and dimension of the last hidden layer."
    ),
    "reads": ("samples",),
    "batchnorm": ("running", "exact"),
    "quantities": {
        "output_entropy": {
            "label": "output entropy",
            "meaning": "Mean entropy of the predicted class probabilities [nats].",
            "rescaling_invariant": True,
        },
        "mean_confidence": {
            "label": "mean confidence",
            "meaning": "Mean probability of the predicted class.",
            "rescaling_invariant": True,
        },
        "calibration_error": {
            "label": "calibration error",
            "meaning": "Expected calibration error on the training samples, in 15 bins of confidence.",
            "rescaling_invariant": True,
        },
        "mixup_error": {
            "label": "error on mixed images",
            "meaning": "Share of averages of two training images of one class that are not given this class.",
            "rescaling_invariant": True,
        },
        "davies_bouldin_index": {
            "label": "Davies-Bouldin index",
            "meaning": (
                "How much the classes overlap in the last hidden layer: mean over classes of the worst ratio of "
                "widths to distance."
            ),
            "rescaling_invariant": True,
        },
        "davies_bouldin_mixup": {
            "label": "Davies-Bouldin x mixup",
            "meaning": "Davies-Bouldin index times the error on mixed images.",
            "rescaling_invariant": True,
        },
        "within_class_variability": {
            "label": "within-class variability",
            "symbol": "\\mathrm{NC1}",
            "meaning": "tr(S_W S_B^+) / C: covariance within classes over that of the class means.",
            "rescaling_invariant": True,
        },
        "effective_rank": {
            "label": "effective rank",
            "meaning": "Exponential of the entropy of the singular values of the last hidden layer's centred outputs.",
            "rescaling_invariant": True,
        },
        "participation_ratio": {
            "label": "participation ratio",
            "meaning": (
                "(sum of the covariance's eigenvalues)^2 over the sum of their squares, of the last hidden layer."
            ),
            "rescaling_invariant": True,
        },
        "intrinsic_dimension": {
            "label": "intrinsic dimension",
            "meaning": (
                "Dimension of the last hidden layer's outputs from the ratio of the distances to two nearest "
                "neighbours."
            ),
            "rescaling_invariant": True,
        },
        "fisher_rao_norm": {
            "label": "Fisher-Rao norm",
            "symbol": "\\|\\theta\\|_{fr}",
            "meaning": "d times the root mean square of <dl/df, f>.",
            "rescaling_invariant": True,
        },
        "relative_flatness": {
            "label": "relative flatness",
            "symbol": "\\kappa",
            "meaning": (
                "Sum over pairs of output units of <w_j, w_k> tr(H_jk), H the Hessian in the output layer's weights."
            ),
            "rescaling_invariant": True,
        },
    },
    "picture": {"quantity": "effective_rank", "settings": {"samples": 1000}},
}

BINS = 15


def measure(context: ProbeContext) -> list[Measurement]:
    """Measure outputs and last hidden layer on training samples.

    Predicted probabilities are the softmax of the outputs, whatever the loss; a single output f stands for the logits
    ``-f / 2`` and ``f / 2``. The last hidden layer is the last activation, flattened: h of a sample.

    * calibration error: ``sum_b n_b / n |accuracy_b - confidence_b|`` over 15 bins of the confidence;
    * mixup: of every sample and another of its class, drawn from the cell's stream, the average of both images;
    * Davies-Bouldin: ``1/C sum_a max_b (s_a + s_b) / |mu_a - mu_b|``, s the mean distance of h from its class mean mu;
    * effective rank: ``exp(-sum p_i log p_i)``, ``p_i`` singular values of the centred h over their sum;
    * intrinsic dimension: ``n / sum log(r_2 / r_1)``, with r_1 and r_2 the distances to the two nearest samples
      (TwoNN);
    * Fisher-Rao norm: ``d sqrt(mean <dl/df, f>^2)``, d the number of layers; equal to the quadratic form of the Fisher
      matrix at theta for networks of ReLUs without biases and BatchNorm;
    * relative flatness: of the output layer with weights w_k, ``sum_jk <w_j, w_k> tr(H_jk)``; there
      ``tr(H_jk) = mean d^2 l / df_j df_k |h|^2``.

    Where a class has no spread, or samples coincide, what is divided by 0 is infinite or not a number.

    Args:
        context: K networks and their data; see `ProbeContext`. ``options.samples`` training images are read.

    Returns:
        The quantities of the table, each ``[K]``, float64.

    Raises:
        ValueError: If the network has no activation between its layers, or all samples are of one class.

    Cost: two forward passes, the distances between all samples, and the singular values of the last hidden layer.

    Source: Natekar and Sharma (2020), arXiv:2012.02775 (Davies-Bouldin, mixup); Papyan et al. (2020),
    arXiv:2008.08186 (NC1);
    Roy and Vetterli (2007), EUSIPCO; Facco et al. (2017), Scientific Reports 7, 12140; Liang et al. (2019),
    arXiv:1711.01530, theorem 3.1; Petzka et al. (2021), arXiv:2001.00939, definition 3; Guo et al. (2017),
    arXiv:1706.04599.
    """
    parts = [_of_one(context, place) for place in range(len(context.cells))]
    return [Measurement(name, torch.stack([part[name] for part in parts]).cpu()) for name in parts[0]]


def _of_one(context: ProbeContext, place: int) -> dict[str, Tensor]:
    """All quantities of one network, float64."""
    images, targets = context.probe_images()
    state = {name: value.double() for name, value in network_state(context.state, place).items()}
    f, h = _outputs_and_hidden(context, state, images)
    classes = losses.classes(targets)
    number = classes.unique(return_inverse=True)[1]
    if int(number.max()) == 0:
        raise ValueError("all training samples read are of one class. Set the probe's `samples` higher")
    probabilities = class_probabilities(f)
    confidence, predicted = probabilities.max(dim=1)
    labels = (classes > 0).long() if f.shape[1] == 1 else classes.long()
    partner = same_class_partners(number, context.cells[place].seed)
    mixed, _ = _outputs_and_hidden(context, state, (images + images[partner]) / 2)
    mixup = (class_probabilities(mixed).argmax(dim=1) != labels).double().mean()
    overlap = torch.tensor(float(davies_bouldin_score(h.cpu().numpy(), number.cpu().numpy())), dtype=torch.float64)
    return {
        "output_entropy": torch.special.entr(probabilities).sum(dim=1).mean(),
        "mean_confidence": confidence.mean(),
        "calibration_error": calibration_error(confidence, predicted == labels),
        "mixup_error": mixup,
        "davies_bouldin_index": overlap,
        "davies_bouldin_mixup": overlap * mixup.cpu(),
        "within_class_variability": within_class_variability(h, number),
        **spectrum(h),
        "intrinsic_dimension": intrinsic_dimension(h),
        **_curvatures(context, state, f, h, targets),
    }


def _outputs_and_hidden(context: ProbeContext, state: State, images: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs ``[N, n_outputs]`` and the last activation ``[N, features]`` of one network."""
    names = activation_names(context.network)
    if not names:
        raise ValueError("the network has no ReLU, so it has no last hidden layer. Leave the probe out")
    outputs, hidden = [], []
    with torch.no_grad():
        for batch in images.split(BATCH_SIZE):
            seen = activations_of_one(context.network, names[-1:], state, batch.double())
            outputs.append(seen[OUTPUT])
            hidden.append(seen[names[-1]].flatten(1))
    return torch.cat(outputs), torch.cat(hidden)


def class_probabilities(outputs: Tensor) -> Tensor:
    """Softmax of the outputs ``[N, n_outputs]``; a single output stands for two logits that differ by it."""
    return (torch.cat([-outputs / 2, outputs / 2], dim=1) if outputs.shape[1] == 1 else outputs).softmax(dim=1)


def calibration_error(confidence: Tensor, correct: Tensor) -> Tensor:
    """Expected calibration error of confidences ``[N]``, in bins of equal width."""
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(BINS, dtype=torch.float64, device=bins.device).index_add_(0, bins, correct.double() - confidence)
    return gaps.abs().sum() / len(confidence)


def same_class_partners(number: Tensor, seed: int) -> Tensor:
    """For every sample another one of its class, in a random cycle; itself if it is alone."""
    stream = seeding.stream(seed, seeding.PROBE)
    partner = torch.arange(len(number), device=number.device)
    for one in range(int(number.max()) + 1):
        members = torch.nonzero(number == one)[:, 0]
        order = members[torch.from_numpy(stream.permutation(len(members))).to(members.device)]
        partner[order] = order.roll(1)
    return partner


def within_class_variability(h: Tensor, number: Tensor) -> Tensor:
    """``tr(S_W S_B^+) / C`` of features ``[N, features]`` with class numbers ``[N]``."""
    count = int(number.max()) + 1
    means = torch.stack([h[number == one].mean(dim=0) for one in range(count)])
    within = h - means[number]
    between = means - means.mean(dim=0)
    # tr(S_W S_B^+) = mean |S_B^{+1/2} within|^2: in the coordinates of S_B's own directions.
    _, values, directions = torch.linalg.svd(between, full_matrices=False)
    kept = values > 1e-10 * values.max()
    scaled = (within @ directions[kept].T) / (values[kept] / count**0.5)
    variability: Tensor = scaled.square().sum(dim=1).mean() / count
    return variability


def spectrum(h: Tensor) -> dict[str, Tensor]:
    """Effective rank and participation ratio of features ``[N, features]``."""
    values = torch.linalg.svdvals(h - h.mean(dim=0))
    squares = values.square()
    return {
        "effective_rank": torch.special.entr(values / values.sum()).sum().exp(),
        "participation_ratio": squares.sum().square() / squares.square().sum(),
    }


def intrinsic_dimension(h: Tensor) -> Tensor:
    """TwoNN's dimension of points ``[N, features]``; points that coincide with another are left out."""
    distances = torch.cdist(h, h, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.fill_diagonal_(torch.inf).topk(2, dim=1, largest=False).values
    apart = nearest[:, 0] > 0
    dimension: Tensor = apart.sum() / (nearest[apart, 1] / nearest[apart, 0]).log().sum()
    return dimension


def _curvatures(context: ProbeContext, state: State, f: Tensor, h: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Fisher-Rao norm and relative flatness, from the derivatives of the loss with respect to the outputs."""
    sample_losses = losses.sample_losses(context.loss)

    def loss_of(outputs: Tensor, target: Tensor) -> Tensor:
        return sample_losses(outputs[None], target[None])[0]

    along = (vmap(grad(loss_of))(f, targets) * f).sum(dim=1)
    weights = state[f"{context.arch.layers[-1]}.weight"].flatten(1)
    second = vmap(hessian(loss_of))(f, targets)
    traces = (second * h.square().sum(dim=1)[:, None, None]).mean(dim=0)
    return {
        "fisher_rao_norm": len(context.arch.layers) * along.square().mean().sqrt(),
        "relative_flatness": (weights @ weights.T * traces).sum(),
    }
