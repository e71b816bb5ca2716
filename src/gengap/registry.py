"""Every name a study may use, in one table per kind.

A new dataset, label rule, model, init, loss, probe, simulation, figure or table is one new file and one line here. The
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
        batchnorm: Of a probe, the BatchNorm modes in which it means something.
        teacher: Of a label rule, whether a network labels; of a loss or a probe, whether it needs one that did.
        images: Of a dataset, train and test images, channels, height and width, classes; empty: its settings say.
        simulation: Of a figure, the simulation that it shows; empty: it shows networks.
        references: Of a table, whether it compares with published numbers.
        mem_mb: Of a simulation, the memory that one job asks for.
    """

    module: str
    summary: str
    options: tuple[str, ...] = ()
    batchnorm: tuple[str, ...] = ("running", "batch", "exact")
    teacher: bool = False
    images: tuple[int, ...] = ()
    simulation: str = ""
    mem_mb: int = 2000
    references: bool = False


_STORED = ("image_size", "standardize")
_TEACHER = (
    "teacher_width",
    "teacher_head",
    "teacher_seed",
    "teacher_tries",
    "teacher_batchnorm",
    "margin",
    "minority_share",
)

REGISTRY: dict[str, dict[str, Entry]] = {
    "dataset": {
        "cifar10": Entry(
            "gengap.datasets.cifar10",
            "CIFAR-10: 60,000 colour photographs, 10 classes.",
            _STORED,
            images=(50_000, 10_000, 3, 32, 10),
        ),
        "cifar100": Entry(
            "gengap.datasets.cifar100",
            "CIFAR-100: 60,000 colour photographs, 100 classes.",
            _STORED,
            images=(50_000, 10_000, 3, 32, 100),
        ),
        "mnist": Entry(
            "gengap.datasets.mnist",
            "MNIST: 70,000 handwritten digits, 28 x 28.",
            _STORED,
            images=(60_000, 10_000, 1, 28, 10),
        ),
        "fashion_mnist": Entry(
            "gengap.datasets.fashion_mnist",
            "Fashion-MNIST: 70,000 garments, 28 x 28.",
            _STORED,
            images=(60_000, 10_000, 1, 28, 10),
        ),
        "digits": Entry(
            "gengap.datasets.digits",
            "scikit-learn's 1,797 handwritten digits, 8 x 8.",
            _STORED,
            images=(1_442, 355, 1, 8, 10),
        ),
        "gaussian": Entry(
            "gengap.datasets.gaussian",
            "Images of independent normal pixels, drawn on the spot; stored, or streamed without end.",
            ("image_size", "channels", "n_train", "n_test", "std", "stream", "data_seed"),
        ),
    },
    "labels": {
        "original": Entry("gengap.labels.original", "The labels that the dataset came with."),
        "class_subset": Entry(
            "gengap.labels.class_subset", "The images of some classes, e.g. two for a binary task.", ("classes",)
        ),
        "teacher": Entry(
            "gengap.labels.teacher",
            "The sign of a small random network; samples inside the margin are dropped (Song 2019, appendix A).",
            _TEACHER,
            teacher=True,
        ),
        "distinct_teacher": Entry(
            "gengap.labels.distinct_teacher",
            "A fully connected teacher whose weights make its nodes differ (Luck Matters 2019); no image is dropped.",
            ("teacher_width", "teacher_depth", "teacher_outputs", "teacher_seed"),
            teacher=True,
        ),
    },
    "model": {
        "song": Entry("gengap.models.song", "Two residual blocks of equal width (Song 2019).", ("head",)),
        "mlp": Entry(
            "gengap.models.mlp", "Fully connected hidden layers of one width.", ("depth", "batchnorm", "activation")
        ),
        "lenet": Entry(
            "gengap.models.lenet",
            "LeNet-5 with max-pools, the classical one at width 6 (LeCun 1998).",
            ("batchnorm", "activation"),
        ),
        "vgg": Entry(
            "gengap.models.vgg",
            "VGG-11, -13, -16 or -19 with BatchNorm, a global mean and one linear layer; the published width is 64.",
            ("depth",),
        ),
        "resnet": Entry(
            "gengap.models.resnet",
            "Residual network for CIFAR, depth 6 n + 2, shortcuts without parameters; the published width is 16 "
            "(He 2016, section 4.2).",
            ("depth",),
        ),
        "wide_resnet": Entry(
            "gengap.models.wide_resnet",
            "Pre-activated wide residual network, depth 6 n + 4 (Zagoruyko and Komodakis 2016).",
            ("depth",),
        ),
        "keskar_fc": Entry(
            "gengap.models.keskar_fc",
            "An mlp with BatchNorm before every ReLU; F1 at width 512, F2 at depth 7 as well (Keskar 2017).",
            ("depth",),
        ),
        "keskar_conv": Entry(
            "gengap.models.keskar_conv",
            "Two 5 x 5 convolutions and two dense layers with dropout; C1 and C3 at width 64 (Keskar 2017).",
        ),
        "keskar_vgg": Entry(
            "gengap.models.keskar_vgg",
            "VGG-16's convolutions with dropout and a dense layer; C2 and C4 at width 64 (Keskar 2017).",
        ),
    },
    "init": {
        "default": Entry("gengap.inits.default", "PyTorch's own initialisation of each layer."),
        "he": Entry("gengap.inits.he", "Normal with variance 2 / fan_in, biases 0 (He et al. 2015)."),
        "xavier": Entry("gengap.inits.xavier", "Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."),
        "normal": Entry("gengap.inits.normal", "Every parameter standard normal, BatchNorm's and biases included."),
        "balanced:geo": Entry(
            "gengap.inits.balanced",
            "As `he`, then hidden layers rescaled to equal gradients, their geometric mean: with BatchNorm behind "
            "each, the same function (Song 2019).",
        ),
        "balanced:out": Entry("gengap.inits.balanced", "As `balanced:geo`, to the gradient of the output layer."),
        "balanced:max": Entry("gengap.inits.balanced", "As `balanced:geo`, to their largest gradient."),
        "balanced:min": Entry("gengap.inits.balanced", "As `balanced:geo`, to their smallest gradient."),
        "balanced:geo+gamma": Entry(
            "gengap.inits.balanced",
            "As `balanced:geo`, and the output layer's gradient too, through the scales of the BatchNorm before it.",
        ),
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
        "distillation": Entry(
            "gengap.losses.distillation",
            "Squared error to the teacher's outputs, mean over them; with `temperature`, divergence of soft classes.",
            ("temperature",),
            teacher=True,
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
        "inverse_lipschitz": Entry(
            "gengap.training.schedules.inverse_lipschitz",
            "`optimizer.lr` divided by L, the largest eigenvalue of the loss's Hessian, measured as training goes on "
            "(Song 2019).",
            ("refresh_steps", "max_lr"),
        ),
    },
    "probe": {
        "performance": Entry("gengap.probes.performance", "Loss, accuracy and balanced accuracy on both splits."),
        "gradient": Entry(
            "gengap.probes.gradient",
            "Gradient norm of the training loss, whole and by layer, and its max/min ratio.",
            ("samples",),
        ),
        "distance": Entry("gengap.probes.distance", "Weight norm and distance from the start."),
        "norms": Entry(
            "gengap.probes.norms",
            "Spectral norms, stable ranks and the path norm.",
            batchnorm=("running", "exact"),
        ),
        "margin": Entry(
            "gengap.probes.margin",
            "Output margins, and first-order distances to the decision boundary.",
            ("samples",),
            batchnorm=("running", "exact"),
        ),
        "near_rank": Entry(
            "gengap.probes.near_rank",
            "Small singular values of every layer's activations, in each mode of the HOSVD (Oyedotun).",
            ("draws", "control_size"),
        ),
        "batchnorm_bias": Entry(
            "gengap.probes.batchnorm_bias", "Share of negative BatchNorm biases (Luck Matters, figure 6)."
        ),
        "layer_reset": Entry(
            "gengap.probes.layer_reset",
            "Test error when one layer goes back to an earlier checkpoint, or is drawn afresh (Zhang 2019).",
            ("samples", "draws"),
        ),
        "landscape": Entry(
            "gengap.probes.landscape",
            "Loss and gradient along a batch's gradient, and internal covariate shift (Santurkar 2018).",
            ("draws", "points"),
        ),
        "gradient_noise": Entry(
            "gengap.probes.gradient_noise",
            "Covariance of single-sample gradients, and the noise scale (McCandlish 2018).",
            ("samples",),
            batchnorm=("running", "exact"),
        ),
        "node_correlation": Entry(
            "gengap.probes.node_correlation",
            "Correlation of the student's nodes with the teacher's, and the ranks of the winners (Luck Matters 2019).",
            ("samples", "draws"),
            batchnorm=("running", "exact"),
            teacher=True,
        ),
        "backward_coupling": Entry(
            "gengap.probes.backward_coupling",
            "How nodes of student and teacher act on the same outputs: H* and beta* (Luck Matters 2019).",
            ("samples",),
            batchnorm=("running", "exact"),
            teacher=True,
        ),
        "hessian_spectrum": Entry(
            "gengap.probes.hessian_spectrum",
            "Every eigenvalue of the training loss's Hessian, up to 5,000 parameters.",
            ("samples",),
        ),
        "hessian_extremes": Entry(
            "gengap.probes.hessian_extremes",
            "Both ends, trace and density of the Hessian's spectrum, by products with vectors.",
            ("samples", "draws", "points"),
        ),
        "sharpness": Entry(
            "gengap.probes.sharpness",
            "Largest rise of the training loss in a small box around the weights (Keskar 2017).",
            ("samples", "draws", "iterations"),
        ),
        "path": Entry(
            "gengap.probes.path",
            "Loss and accuracy along the line between two checkpoints (Keskar 2017).",
            ("samples", "points", "from_epoch"),
        ),
    },
    "simulation": {
        "random_matrix": Entry(
            "gengap.simulations.random_matrix",
            "Smallest and all singular values of matrices of independent entries (Oyedotun et al., appendix A.1).",
            ("distribution", "rows", "columns", "spectrum_values"),
        ),
        "linear_gradient": Entry(
            "gengap.simulations.linear_gradient",
            "Largest over smallest layer gradient of a deep linear network at its start (Song 2019, Fig. 4.3).",
            ("depth", "width", "input_size", "output_size", "batch_size"),
        ),
        "resnet34_gradient": Entry(
            "gengap.simulations.resnet34_gradient",
            "Layer gradients of ResNet-34 at its start, with and without BatchNorm and skips (Song 2019, Fig. 4.4).",
            ("dataset", "norm", "block", "batch_size"),
            mem_mb=6000,
        ),
    },
    "figure": {
        "smallest_singular_value": Entry(
            "gengap.figures.smallest_singular_value",
            "Smallest singular value against the matrix's shape.",
            simulation="random_matrix",
        ),
        "singular_value_distribution": Entry(
            "gengap.figures.singular_value_distribution",
            "Distribution of all singular values, a panel per size of the matrix.",
            simulation="random_matrix",
        ),
        "gradient_ratio_by_width": Entry(
            "gengap.figures.gradient_ratio_by_width",
            "Inequality of a linear network's layer gradients against width.",
            simulation="linear_gradient",
        ),
        "gradient_by_depth": Entry(
            "gengap.figures.gradient_by_depth",
            "Layer gradients of ResNet-34 along its depth, a line per variant.",
            simulation="resnet34_gradient",
        ),
        "accuracy_by_width": Entry("gengap.figures.accuracy_by_width", "Final accuracy against width."),
        "learning_curves": Entry("gengap.figures.learning_curves", "Loss and accuracy while training."),
        "training_cost": Entry(
            "gengap.figures.training_cost", "Learning curves, curvature and learning rate against gradient evaluations."
        ),
        "curvature": Entry(
            "gengap.figures.curvature", "Ends of the Hessian's spectrum, and all of it, while training."
        ),
        "gradient_norm": Entry("gengap.figures.gradient_norm", "Norm of the full gradient while training."),
        "gradient_balance": Entry(
            "gengap.figures.gradient_balance", "Gradient norm of each layer at the start, and their max/min ratio."
        ),
        "layer_gradients_by_group": Entry(
            "gengap.figures.layer_gradients_by_group",
            "As `layer_gradients`, for up to nine groups, with all of their ratios in one panel.",
        ),
        "layer_gradients": Entry("gengap.figures.layer_gradients", "Gradient norm of each layer, first epochs."),
        "layer_reset": Entry("gengap.figures.layer_reset", "Test error after a layer's reset, layer by checkpoint."),
        "near_rank_by_batch_size": Entry(
            "gengap.figures.near_rank_by_batch_size", "Small singular values of the activations against the batch size."
        ),
        "near_rank_controls": Entry(
            "gengap.figures.near_rank_controls",
            "Small singular values against the batch size, counted in six ways, before and after training.",
        ),
        "path": Entry("gengap.figures.path", "Loss and accuracy along the line between two checkpoints."),
    },
    "table": {
        "closest": Entry(
            "gengap.tables.closest", "Where a source is silent: the settings closest to its numbers.", references=True
        ),
        "draws": Entry("gengap.tables.draws", "Mean, median and variance over a simulation's draws."),
        "equal_cost": Entry("gengap.tables.equal_cost", "Losses and accuracies after equal gradient evaluations."),
        "curvature_agreement": Entry(
            "gengap.tables.curvature_agreement", "Ends of the Hessian's spectrum by Lanczos' method against all of it."
        ),
        "paired_effects": Entry(
            "gengap.tables.paired_effects",
            "Every value of one axis, `init` if it varies, against its first: paired differences and tests.",
        ),
        "final_performance": Entry("gengap.tables.final_performance", "Final losses and accuracies, over seeds."),
        "errors_and_losses": Entry(
            "gengap.tables.errors_and_losses", "Final errors, losses, the L2 penalty and their sums, over seeds."
        ),
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
