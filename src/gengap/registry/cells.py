"""The names in a cell's settings: what a network is made of, learns from and is trained by."""

from gengap.registry.entry import Entry

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

CELLS: dict[str, dict[str, Entry]] = {
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
}
