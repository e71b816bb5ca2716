"""The operators as PyTorch sees them: schemas, shapes for tracing, and a check of every argument."""

import pytest
import torch
from torch.library import opcheck

from gengap import models
from gengap.engine import stack
from gengap.engine.cpu import exact_batchnorm, operators, sparse
from gengap.engine.cpu.program import KINDS
from gengap.engine.evaluation.inference import inference
from gengap.engine.fused.program import program as training_program
from gengap.engine.graph.network_graph import shaped
from gengap.studies.settings import Model

pytestmark = pytest.mark.skipif(not operators.available(), reason="no C++ compiler")


def conv_arguments(*pack):
    x, weight, bias = torch.randn(*pack, 5, 4, 3, 16), torch.randn(*pack, 6, 3, 3, 2), torch.randn(*pack, 6)
    return x, weight, bias, 2, 1, 1


def programs():
    """A program that evaluates, and one that measures, of the same network; with images and random weights."""
    arch = stack.architecture(models.build(Model(width=4), (3, 8, 8), 2))
    evaluating = inference(arch, (3, 8, 8)).program
    measuring, _ = exact_batchnorm._measuring(arch, (3, 8, 8))
    return evaluating, measuring, torch.randn(70, 3, 8, 8)


def steps_of(program):
    """Its instructions, each as 16 numbers."""
    return list(zip(*[iter(program.instructions)] * 16, strict=True))


def instruction(kind, read, channels, out, size=8):
    """One instruction on a map of `size` x `size` pixels, which writes the first map after the images."""
    return KINDS.index(kind), read, 0, 192, 0, 0, 0, size, size, channels, out, 1, 1, 1, 0, 1


def n_weights(program):
    """Weights of one network that a program reads: where the last of them ends."""
    return max(
        step[6] + (step[10] if KINDS[step[0]] == "convolve" else step[9])
        for step in steps_of(program)
        if KINDS[step[0]] in ("convolve", "scale", "measure")
    )


def evaluate_arguments():
    program, _, images = programs()
    weights = torch.randn(2, n_weights(program))
    return images, weights, list(program.instructions), program.buffer_size, program.n_outputs


def statistics_arguments():
    _, program, images = programs()
    weights = torch.rand(2, n_weights(program)) + 0.5
    n_features = sum(step[9] for step in steps_of(program) if KINDS[step[0]] == "measure")
    scratch = torch.zeros(program.kept_size * 128 * 2)
    sizes = program.buffer_size, program.kept_size, program.n_outputs, n_features
    return images, weights, scratch, list(program.instructions), *sizes, 1e-5


def pass_arguments():
    """Images, weights and the rest for `train_forward`; gradients and what it computed for `train_backward`."""
    arch = stack.architecture(models.build(Model(name="lenet", batchnorm="before"), (3, 28, 28), 2))
    made = training_program(shaped(arch.training, (3, 28, 28)))
    batches, weights = torch.randn(2, 28, 28, 3, 16), torch.randn(2, made.n_weights) / 10
    return batches, weights, made.text, made.size, made.n_features, 1e-5


def with_number(program, place, number):
    numbers = program.split()
    numbers[place] = str(number)
    return " ".join(numbers)


def backward_arguments():
    batches, weights, instructions, *_, eps = given = pass_arguments()
    maps, statistics = torch.ops.gengap.train_forward(*given)
    return torch.randn(2, 2, 16), batches, maps, statistics, weights, instructions, eps


def sparse_arguments():
    """Perceptrons 6 - 5 - 3 of which some weights are left, in two blocks; the second has fewer."""
    network = sparse.Perceptron(("one", "two"), (6, 5, 3))
    left = {"one.weight": torch.rand(2, 5, 6) > 0.5, "two.weight": torch.rand(2, 3, 5) > 0.5}
    left["one.weight"][1, 2:] = False
    where = sparse.sparsity(network, left)
    images, weights, biases = torch.randn(2, 2, 6, 32), torch.randn(where.places.shape), torch.randn(2, 8)
    return images, weights, biases, where.columns, where.starts, network.widths


def sparse_backward_arguments():
    images, *others = given = sparse_arguments()
    return torch.randn(2, 2, 3, 32), images, torch.ops.gengap.sparse_forward(*given), *others


def with_start(starts, place, start):
    starts = starts.clone()
    starts[1, place] = start
    return starts


def arguments_of(name, *pack):
    torch.manual_seed(0)
    x, weight, bias, *geometry = conv_arguments(*pack)
    y_gradient, features = torch.randn(*pack, 3, 3, 6, 16), [torch.rand(*pack, 3) for _ in range(3)]
    return {
        "gather": lambda: (torch.randint(9, (2, 32)), torch.randn(9, 3, 4, 5)),
        "conv2d": lambda: (x, weight, bias, *geometry),
        "conv2d_backward_input": lambda: (y_gradient, x, weight, *geometry),
        "conv2d_backward_weight": lambda: (y_gradient, x, weight, *geometry),
        "batch_norm": lambda: (x, *features[:2], 1e-5),
        "batch_norm_backward": lambda: (torch.randn_like(x), x, *features, 1e-5),
        "train_forward": pass_arguments,
        "train_backward": backward_arguments,
        "sparse_forward": sparse_arguments,
        "sparse_backward": sparse_backward_arguments,
        "evaluate": evaluate_arguments,
        "exact_statistics": statistics_arguments,
        "patch_moments": lambda: (torch.randn(70, 2, 5, 6), 3, 2, 1, 1, 1),
    }[name]()


@pytest.mark.parametrize("pack", [(), (2,)], ids=["one network", "pack"])
@pytest.mark.parametrize("name", operators._SHAPES)
def test_opcheck(name, pack):
    opcheck(getattr(torch.ops.gengap, name).default, arguments_of(name, *pack))


@pytest.mark.parametrize("name", ["conv2d", "batch_norm"])
def test_the_absent_bias_and_strided_maps(name):
    arguments = list(arguments_of(name, 2))
    expected = getattr(torch.ops.gengap, name)(*arguments)
    arguments[0] = arguments[0].transpose(1, 2).contiguous().transpose(1, 2)
    found = getattr(torch.ops.gengap, name)(*arguments)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    if name == "conv2d":
        arguments[2] = None
        opcheck(torch.ops.gengap.conv2d.default, tuple(arguments))


def replaced(name, place, value, *pack):
    arguments = list(arguments_of(name, *pack))
    arguments[place] = value(arguments[place]) if callable(value) else value
    return arguments


@pytest.mark.parametrize(
    ("name", "place", "value", "says"),
    [
        ("gather", 0, lambda index: index.int(), "index must be Long"),
        ("gather", 0, lambda index: index + 8, "out of range for 9 images"),
        ("gather", 0, lambda index: -1 - index, "out of range for 9 images"),
        ("gather", 0, lambda index: index[:, :7], "multiple of 16"),
        ("gather", 1, lambda images: images[0], "images must be .M, C, H, W."),
        ("conv2d", 0, lambda x: x.double(), "x must be Float, but is Double"),
        ("conv2d", 0, lambda x: x[..., :10], "x must have a multiple of 16 samples, but has 10"),
        ("conv2d", 0, lambda x: x[..., :0], "x must not be empty"),
        ("conv2d", 0, lambda x: x[0, 0], "x must be .K, H, W, C, B."),
        ("conv2d", 1, lambda weight: weight[0], "weight must be .K, D, C, h, w."),
        ("conv2d", 1, lambda weight: weight[:, :, :2], "weight must have shape .2, 6, 3, 3, 2."),
        ("conv2d", 1, lambda weight: weight[:1], "weight must have shape .2, 6, 3, 3, 2."),
        ("conv2d", 1, lambda weight: torch.ones(2, 6, 3, 9, 9), "does not fit on the padded map"),
        ("conv2d", 2, lambda bias: bias[:, :5], "bias must have shape .2, 6."),
        ("conv2d", 3, 0, "stride and dilation must be at least 1"),
        ("conv2d", 4, -1, "padding at least 0"),
        ("conv2d_backward_input", 0, lambda y: y[:, :2], "y_gradient must have shape"),
        ("conv2d_backward_weight", 0, lambda y: y[..., :0], "y_gradient must have shape"),
        ("batch_norm", 1, lambda weight: weight[:, :2], "weight must have shape .2, 3."),
        ("batch_norm", 2, lambda bias: bias.half(), "bias must be Float, but is Half"),
        ("batch_norm_backward", 0, lambda y: y[..., :-16], "y_gradient must have shape"),
        ("batch_norm_backward", 3, lambda mean: mean[:1], "mean must have shape"),
        ("batch_norm_backward", 4, lambda variance: variance[:1], "variance must have shape"),
        ("train_forward", 0, lambda batches: batches[0], "batches must be .K, H, W, C, B."),
        ("train_forward", 0, lambda batches: batches[..., :8], "multiple of 16 samples"),
        ("train_forward", 0, lambda batches: batches[:, :14], "reads past the end of its maps"),
        ("train_forward", 1, lambda weights: weights[:1], "weights must be .K, numbers of a network."),
        ("train_forward", 1, lambda weights: weights[:, :-1], "reads past the end of its weights"),
        ("train_forward", 2, lambda program: program.rsplit(maxsplit=1)[0], "instructions of 20 numbers"),
        ("train_forward", 2, "", "instructions of 20 numbers"),
        ("train_forward", 2, lambda program: f"{program} x", "must be whole numbers"),
        ("train_forward", 2, lambda program: with_number(program, 0, 99), "unknown kind 99"),
        ("train_forward", 2, lambda program: with_number(program, 1, 7), "reads past the end of its maps"),
        ("train_forward", 2, lambda program: with_number(program, 3, 7), "writes past the end of its maps"),
        ("train_forward", 2, lambda program: with_number(program, 8, 0), "an empty map or kernel"),
        ("train_forward", 2, lambda program: with_number(program, 19, 7), "of another size than it says"),
        ("train_forward", 3, 8, "maps must hold an image"),
        ("train_forward", 4, 0, "measures past the last feature"),
        ("train_backward", 0, lambda gradients: gradients[:, :1], "the last instruction must compute the 1 outputs"),
        ("train_backward", 0, lambda gradients: gradients[0], "must be .K, numbers, B."),
        ("train_backward", 2, lambda maps: maps[:1], "maps must have shape"),
        ("train_backward", 3, lambda statistics: statistics[:, :1], "statistics must have shape"),
        ("sparse_forward", 0, lambda images: images[:, :, :5], "images must be .K, blocks, 6, a multiple of 16."),
        ("sparse_forward", 0, lambda images: images[..., :8], "images must be .K, blocks, 6, a multiple of 16."),
        ("sparse_forward", 0, lambda images: images[:, :0], "images must be .K, blocks, 6, a multiple of 16."),
        ("sparse_forward", 1, lambda weights: weights[0], "weights must be .K, n_weights."),
        ("sparse_forward", 1, lambda weights: weights[:, :-1], "columns must have shape"),
        ("sparse_forward", 2, lambda biases: biases[:, :-1], "biases must have shape .2, 8."),
        ("sparse_forward", 3, lambda columns: columns.long(), "columns must be Int, but is Long"),
        ("sparse_forward", 3, lambda columns: columns + 4, "columns of layer . must be from 0 to below"),
        ("sparse_forward", 3, lambda columns: columns - 5, "columns of layer . must be from 0 to below"),
        ("sparse_forward", 4, lambda starts: starts[:, :-1], "starts must have shape .2, 9."),
        ("sparse_forward", 4, lambda starts: with_start(starts, 0, 1), "starts must begin with 0"),
        ("sparse_forward", 4, lambda starts: with_start(starts, 4, -1), "starts must rise to at most"),
        ("sparse_forward", 4, lambda starts: with_start(starts, 8, 99), "starts must rise to at most"),
        ("sparse_forward", 5, (6,), "widths must be those of the image and of at least one layer"),
        ("sparse_forward", 5, (6, 0, 3), "widths must be those of the image and of at least one layer"),
        ("sparse_backward", 0, lambda gradients: gradients[:, :1], "output_gradients must have shape .2, 2, 3, 32."),
        ("sparse_backward", 1, lambda images: images[:1], "images must be .K, blocks, 6"),
        ("sparse_backward", 2, lambda maps: maps[:, :, 1:], "maps must have shape .2, 2, 8, 32."),
        ("evaluate", 0, lambda images: images.transpose(2, 3), "must be contiguous"),
        ("evaluate", 1, lambda weights: weights[:, :-1].contiguous(), "reads past the end of its weights"),
        ("evaluate", 2, lambda program: program[:-1], "instructions of 16 numbers"),
        ("evaluate", 2, lambda program: [99, *program[1:]], "unknown kind 99"),
        ("evaluate", 2, lambda program: [*program[:3], 10**6, *program[4:]], "writes past the end of its maps"),
        ("evaluate", 2, lambda program: [*program[:1], -1, *program[2:]], "reads past the end of its maps"),
        ("evaluate", 2, lambda program: [*program[:1], 10**6, *program[2:]], "reads past the end of its maps"),
        ("evaluate", 2, lambda program: [*program[:7], 0, *program[8:]], "an empty map or kernel"),
        ("evaluate", 2, lambda program: [*program[:5], 10**6, *program[6:]], "reads past the end of its weights"),
        ("evaluate", 2, lambda program: [*program[:6], 10**6, *program[7:]], "reads past the end of its weights"),
        ("evaluate", 2, lambda program: [*instruction("copy", 0, 3, 1), *program], "another size than it reads"),
        ("evaluate", 2, lambda program: [*program, *instruction("copy", 192, 1, 3)], "another size than it reads"),
        ("evaluate", 2, lambda program: [*instruction("pad", 0, 3, 1), *program], "more channels than it writes"),
        ("evaluate", 2, lambda program: [*instruction("max_pool", 0, 3, 1), *program], "more channels than it writes"),
        ("evaluate", 2, lambda program: [*program, *instruction("max_pool", 192, 1, 2, size=1)], "must compute 2 out"),
        ("evaluate", 3, lambda size: 8, "the buffer must hold an image"),
        ("evaluate", 4, lambda count: count + 1, "the last instruction must compute 3 outputs"),
        ("evaluate", 4, 0, "must have outputs"),
        ("evaluate", 2, [], "a program without instructions"),
        ("exact_statistics", 2, lambda scratch: scratch[:10], "scratch must hold"),
        ("exact_statistics", 7, lambda count: count + 1, "features, not"),
        ("patch_moments", 1, 8, "does not fit on the padded images"),
        ("patch_moments", 0, lambda images: images[:0], "not empty"),
    ],
)
def test_every_argument_is_checked(name, place, value, says):
    with pytest.raises((RuntimeError, IndexError), match=says):
        getattr(torch.ops.gengap, name)(*replaced(name, place, value, 2))
