"""The sections of a cell's settings: every key with its type, default, range and meaning.

These models are the single source of the checks, the defaults, the reference page and the editors' schema.
A default is left out of a cell's identity, so a new key whose default changes nothing keeps old results valid.
"""

from typing import Annotated, Literal

from pydantic import Field

from gengap.studies.schema import (
    ClassName,
    Component,
    Count,
    Decay,
    Depth,
    Epochs,
    Fraction,
    Fractions,
    NotNegative,
    Positive,
    Seed,
    Settings,
)


class Dataset(Component):
    """Which images, and how they are prepared."""

    kind = "dataset"
    name: str = Field("gaussian", description="Registered dataset.")
    image_size: Count | None = Field(
        None, description="Height and width in pixels after rescaling by area average; null keeps the original size."
    )
    standardize: Literal["pool", "train", "none"] = Field(
        "train", description="Which images give the per-channel mean and standard deviation: train, train + test, none."
    )
    channels: Count = Field(3, description="Channels of a Gaussian image.")
    n_train: Count = Field(50_000, description="Gaussian images to draw for training; with `stream`, in every epoch.")
    n_test: Count = Field(10_000, description="Gaussian images to draw for testing.")
    std: Positive = Field(1.0, description="Standard deviation of a Gaussian pixel.")
    stream: bool = Field(
        False, description="Draw new Gaussian training images for every step and store none; a teacher labels them."
    )
    data_seed: Seed = Field(0, description="Seed of the Gaussian images.")


class Labels(Component):
    """Which labels, and which samples are kept."""

    kind = "labels"
    name: str = Field("original", description="Registered label rule.")
    train_size: Count | None = Field(None, description="Training samples kept; null keeps all.")
    test_size: Count | None = Field(None, description="Test samples kept; null keeps all.")
    classes: Annotated[tuple[ClassName, ...], Field(strict=False, min_length=2)] | None = Field(
        None, description="Classes kept, by name or number; the order is that of the new labels."
    )
    teacher_width: Count = Field(4, description="Width of the teacher network.")
    teacher_head: Literal["hidden", "linear"] = Field("hidden", description="As `head` of the model, for the teacher.")
    teacher_depth: Depth | None = Field(None, description="As `depth` of the model, for a teacher of distinct nodes.")
    teacher_outputs: Count = Field(10, description="Outputs of a teacher of distinct nodes; 1 labels by sign.")
    teacher_seed: Seed = Field(0, description="First teacher seed to try.")
    teacher_tries: Count = Field(20, description="How many teacher seeds to try, counting up from the first.")
    teacher_batchnorm: Literal["fresh", "calibrated"] = Field(
        "fresh",
        description="fresh: mean 0 and variance 1, output shifted by its median; "
        "calibrated: statistics of all images, output scaled so that two thirds pass the margin.",
    )
    margin: NotNegative = Field(1.0, description="Samples with |teacher output| below it are dropped.")
    minority_share: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.45, description="Smallest accepted share of the rarer class."
    )


class Model(Component):
    """Which network."""

    kind = "model"
    name: str = Field("song", description="Registered model.")
    width: Count = Field(
        4,
        description="Channels or units of the first hidden layer, the others in proportion; of wide_resnet, channels "
        "of the first stage: 16 k for WRN-16-k.",
    )
    head: Literal["hidden", "linear"] = Field(
        "hidden", description="hidden: a fully connected layer before the output; linear: none."
    )
    depth: Depth | None = Field(
        None,
        description="Hidden layers of mlp, plain_conv and keskar_fc; blocks of vit; the number in the name VGG-16, "
        "ResNet-20 or WRN-16-4; null: 2 for mlp, 4 for plain_conv, 5 for keskar_fc, 6 for vit, 16 for vgg and "
        "wide_resnet, 20 for resnet.",
    )
    batchnorm: Literal["none", "before", "after"] = Field(
        "none",
        description="BatchNorm, or what `norm` says, in every hidden layer: none, before the activation, after it.",
    )
    norm: Literal["batch", "layer", "group", "none"] = Field(
        "batch",
        description="What normalises, wherever the model does: BatchNorm; LayerNorm, over all channels and pixels of "
        "an image; GroupNorm; or nothing.",
    )
    group_size: Count = Field(
        16, description="Most channels that GroupNorm normalises together: the largest number that divides all of them."
    )
    activation: Literal["relu", "identity"] = Field(
        "relu", description="Of every hidden layer; identity makes it linear (max-pools stay)."
    )


class Init(Component):
    """How the weights start."""

    kind = "init"
    name: str = Field("he", description="Registered initialisation rule.")


class Loss(Component):
    """What training minimises, without any penalty."""

    kind = "loss"
    name: str = Field("smooth_hinge", description="Registered loss.")
    power: Positive = Field(2.0, description="Exponent p of the smooth hinge.")
    temperature: Positive | None = Field(
        None, description="Distillation compares classes softened by this temperature; null: outputs, squared error."
    )


class Optimizer(Component):
    """How a gradient becomes a step."""

    kind = "optimizer"
    name: str = Field("sgd", description="Registered optimiser.")
    lr: Positive = Field(0.1, description="Learning rate at the start.")
    momentum: Decay = Field(0.9, description="Momentum.")
    nesterov: bool = Field(False, description="Nesterov's form of momentum.")
    momentum_correction: bool = Field(
        True,
        description="Whether a new learning rate holds for the velocity of sgd too, as in PyTorch (Goyal et al. 2017, "
        "equations 9 and 11), or for new gradients alone (equation 10).",
    )
    beta1: Decay = Field(0.9, description="Decay of Adam's average gradient, per step.")
    beta2: Decay = Field(0.999, description="Decay of Adam's average squared gradient, per step.")
    eps: Positive | None = Field(
        None,
        description="Added to the divisor of a step; null: as in PyTorch, 1e-8 for adam and adamw, 1e-10 for adagrad.",
    )
    weight_decay: NotNegative = Field(
        0.0,
        description="Coefficient d of the L2 penalty d/2 |theta|^2, added to the gradient and never to a loss; adamw "
        "multiplies the weights by 1 - d lr instead.",
    )


class Schedule(Component):
    """How the learning rate changes."""

    kind = "schedule"
    name: str = Field("constant", description="Registered schedule.")
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="Multiplier at each drop.")
    milestones: Fractions = Field((0.5, 0.75), description="When to drop, as fractions of `training.epochs`.")
    patience: Count = Field(20, description="Epochs without a rise before a drop.")
    threshold: Fraction = Field(0.001, description="Smallest rise in train accuracy that counts.")
    max_drops: Count = Field(3, description="Training stops at the plateau after this many drops.")
    refresh_steps: Count = Field(50, description="Steps between measurements of the curvature L.")
    max_lr: Positive = Field(10.0, description="Largest learning rate that the division by L may give.")
    final: Fraction = Field(
        0.0, description="Last multiplier of the learning rate, at the end of `training.epochs` or of a cycle."
    )
    warm_up: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0,
        description="Epochs, or a part of one, in which the learning rate rises from step to step along a straight "
        "line up to what the schedule says; 0: none.",
    )
    warm_up_start: Fraction = Field(0.0, description="Share of the learning rate with which a warm-up starts.")


class Training(Settings):
    """The loop."""

    batch_size: Count | Literal["full"] = Field(128, description="Samples per step; full: the whole training set.")
    switch_epoch: Count | None = Field(
        None, description="After so many epochs, batches have `switch_batch_size` samples; null never switches."
    )
    switch_batch_size: Count = Field(128, description="Samples per step after `switch_epoch`.")
    restart_at_switch: bool = Field(
        False,
        description="Whether weights, BatchNorm statistics and optimiser start again at `switch_epoch` as they were "
        "before training: two trainings from one start, in one cell.",
    )
    epochs: Count = Field(30, description="Most epochs to train.")
    stop_accuracy: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Stop once train accuracy reaches it at the end of an epoch; null never stops."
    )
    stop_loss: NotNegative | None = Field(
        None, description="Stop once train loss, without any penalty, is this low at the end of an epoch; null never."
    )
    augmentation: Literal["none", "flip", "flip_crop"] = Field(
        "none",
        description="Random changes of every training image at every use. flip: mirrored left and right half of the "
        "time; flip_crop: also shifted by up to 4 pixels each way, with zeros moving in.",
    )
    noise_std: NotNegative = Field(
        0.0, description="Standard deviation of the noise before every ReLU, only in training; 0: no noise."
    )
    noise_mode: Literal["shared", "unit", "affine"] = Field(
        "shared",
        description="shared: one H x W field per layer and step, the same for all samples and channels (one number "
        "after a linear layer); unit: each sample's every unit has its own; affine: at every step each unit is "
        "multiplied by a gain, uniform from 1 to 1 plus half the level, and shifted by up to the level either way; "
        "each sample's gain and shift are off these by a fifth of the level (Santurkar 2018).",
    )
    noise_factor: Fraction = Field(1.0, description="Multiplier of the noise at each of `noise_milestones`.")
    noise_milestones: Fractions = Field(
        (0.5,), description="When to multiply the noise, as fractions of `training.epochs`."
    )
    step_batchnorm: Literal["batch", "exact"] = Field(
        "batch",
        description="BatchNorm statistics in the training steps. batch: those of the batch, and the gradient flows "
        "through them; exact: those of the whole training set, measured at the start of every epoch and held constant; "
        "the running statistics are then these.",
    )
    statistics_steps: Count | None = Field(
        None, description="With `step_batchnorm: exact`, steps after which an epoch measures them again; null: never."
    )
    batchnorm: Literal["running", "batch", "exact"] = Field(
        "running", description="BatchNorm statistics for the accuracies and losses recorded while training."
    )
    evaluate_every: Count = Field(1, description="Epochs between evaluations on the whole train and test set.")
    snapshots: Epochs = Field(
        (0, 1, 2, 5, 10, 20, 50, 100, 200),
        description="Epochs, fractions allowed, or a range such as 0..9, at which the weights are kept; first and last "
        "always are.",
    )
    dtype: Literal["float32", "float64", "bfloat16", "tf32"] = Field(
        "float32",
        description="Precision of weights and arithmetic. bfloat16: weights, BatchNorm statistics and all that is "
        "measured stay float32; convolutions and matrix products of the training steps are in bfloat16 (for GPUs). "
        "tf32: the same, but products of the steps round their factors to TensorFloat-32; as float32 on a CPU.",
    )

    subspace: Count | None = Field(
        None,
        description="Train so many numbers theta_d, of which the weights are theta_0 + P theta_d with a random P of "
        "columns of norm 1 (Li et al. 2018); null trains the weights. The L2 penalty is that of the weights.",
    )
    projection: Literal["dense", "sparse", "fastfood"] = Field(
        "sparse",
        description="P of `subspace`. dense: normal numbers; sparse: in every column sqrt(D) normal numbers at random "
        "places, of D; fastfood: products of random signs, a permutation, normal numbers and Hadamard matrices, never "
        "stored.",
    )

    @property
    def weights_dtype(self) -> Literal["float32", "float64"]:
        """Precision of the weights and of everything measured."""
        return "float64" if self.dtype == "float64" else "float32"
