"""Parameter counts that papers and other code state, and the layouts of the models that options change."""

import pytest
import torch
import torchvision
from torch import nn

from gengap import models
from gengap.errors import UserError
from gengap.models.alexnet import LocalResponseNorm
from gengap.studies.settings import Model

MNIST, CIFAR, CROPPED = (1, 28, 28), (3, 32, 32), (3, 28, 28)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def kinds(network):
    return [type(layer).__name__ for layer in network]


@pytest.mark.parametrize(
    ("options", "image_shape", "n_outputs", "expected"),
    [
        ({"name": "wide_resnet", "depth": 16, "width": 160}, CIFAR, 10, 17_116_634),
        ({"name": "wide_resnet", "depth": 16, "width": 160}, CIFAR, 100, 17_174_324),
        ({"name": "wide_resnet", "depth": 16, "width": 64}, CIFAR, 10, 2_748_890),
        ({"name": "wide_resnet", "depth": 28, "width": 16}, CIFAR, 10, 369_498),
        ({"name": "resnet", "depth": 20, "width": 16}, CIFAR, 10, 269_722),
        ({"name": "resnet", "depth": 44, "width": 16}, CIFAR, 10, 658_586),
        ({"name": "resnet", "depth": 56, "width": 16}, CIFAR, 10, 853_018),
        ({"name": "keskar_fc", "width": 512}, MNIST, 10, 1_462_794),
        ({"name": "keskar_fc", "width": 512, "depth": 7}, (1, 1, 360), 1973, 2_780_085),
        ({"name": "keskar_conv", "width": 64}, CIFAR, 10, 1_757_834),
        ({"name": "keskar_conv", "width": 64}, CIFAR, 100, 1_775_204),
        ({"name": "keskar_vgg", "width": 64}, CIFAR, 10, 14_991_946),
        ({"name": "keskar_vgg", "width": 64}, CIFAR, 100, 15_038_116),
        ({"name": "frankle_conv", "width": 64, "depth": 2}, CIFAR, 10, 4_300_992 + 650),  # biases
        ({"name": "frankle_conv", "width": 64, "depth": 4}, CIFAR, 10, 2_425_024 + 906),  # biases
        ({"name": "frankle_conv", "width": 64, "depth": 6}, CIFAR, 10, 2_261_184 + 1418),  # biases
        ({"name": "alexnet", "width": 64}, CROPPED, 10, 1_387_786),
        ({"name": "inception", "width": 96, "norm": "none"}, CROPPED, 10, 1_649_402),
        ({"name": "inception", "width": 96}, CROPPED, 10, 1_651_114),
        ({"name": "mlp", "width": 512, "depth": 1}, CROPPED, 10, 1_209_866),
        ({"name": "mlp", "width": 512, "depth": 3}, CROPPED, 10, 1_735_178),
        ({"name": "lenet", "width": 6}, MNIST, 10, 44_426),
        ({"name": "patch_conv", "width": 4}, MNIST, 10, 4 * 26 + 10 * 5),
        ({"name": "lenet", "width": 6}, CIFAR, 10, 62_006),
        ({"name": "mlp", "width": 200}, MNIST, 10, 199_210),
        ({"name": "mlp", "width": 400, "depth": 5}, MNIST, 10, 959_610),
        ({"name": "mlp", "width": 200}, CIFAR, 10, 656_810),
        ({"name": "mlp", "width": 50, "depth": 1}, MNIST, 10, 39_760),
        ({"name": "mlp", "width": 50, "proportions": [1, 1.5, 2, 2.5]}, (20, 1, 1), 100, 37_700),
        ({"name": "mlp", "width": 500, "proportions": [1, 1.5, 2, 2.5]}, (20, 1, 1), 100, 2_513_600),
        ({"name": "plain_conv", "width": 64}, (1, 16, 16), 100, 521_124),
        ({"name": "plain_conv", "width": 640}, (1, 16, 16), 100, 15_163_620),
        ({"name": "plain_conv", "width": 64}, CIFAR, 10, 481_226),
        ({"name": "plain_conv", "width": 640}, CIFAR, 10, 14_765_450),
    ],
)
def test_parameter_counts_are_those_published(options, image_shape, n_outputs, expected):
    with torch.device("meta"):
        assert count(models.build(Model.model_validate(options), image_shape, n_outputs)) == expected


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_vgg_of_width_64_has_torchvisions_convolutions(depth):
    with torch.device("meta"):
        ours = models.build(Model(name="vgg", width=64, depth=depth), CIFAR, 10)
        theirs = getattr(torchvision.models, f"vgg{depth}_bn")().features
    assert kinds(ours)[:-3] == kinds(theirs)
    shapes = [value.shape for value in theirs.parameters()]
    assert [value.shape for value in ours.parameters()] == [*shapes, (10, 512), (10,)]


def test_the_other_widths_are_in_proportion():
    lenet = models.build(Model(name="lenet", width=20), MNIST, 10)
    widths = [layer.weight.shape[0] for layer in lenet if isinstance(layer, (nn.Conv2d, nn.Linear))]
    assert widths == [20, 53, 400, 280, 10]
    vgg = models.build(Model(name="vgg", width=3, depth=11), MNIST, 10)
    widths = [layer.weight.shape[0] for layer in vgg if isinstance(layer, nn.Conv2d)]
    assert widths == [3, 6, 12, 12, 24, 24, 24, 24]


@pytest.mark.parametrize(
    ("batchnorm", "hidden"),
    [
        ("none", ["Linear", "ReLU"]),
        ("before", ["Linear", "BatchNorm1d", "ReLU"]),
        ("after", ["Linear", "ReLU", "BatchNorm1d"]),
    ],
)
def test_batchnorm_stands_where_it_is_asked_for(batchnorm, hidden):
    network = models.build(Model(name="mlp", depth=3, batchnorm=batchnorm), MNIST, 10)
    assert kinds(network) == ["Flatten", *hidden * 3, "Linear"]
    lenet = models.build(Model(name="lenet", width=6, batchnorm=batchnorm), MNIST, 10)
    assert kinds(lenet).count("BatchNorm2d") == kinds(lenet).count("BatchNorm1d") == (batchnorm != "none") * 2


def test_a_students_layers_are_as_many_times_its_teachers():
    for name, least in (("mlp", 1), ("plain_conv", 9)):
        sizes = []
        for width in (5, 50):
            model = Model.model_validate({"name": name, "width": width, "proportions": [1, 1.5, 2, 2.5]})
            network = models.build(model, (1, least, least), 2)
            sizes.append([layer.weight.shape[0] for layer in network if isinstance(layer, (nn.Conv2d, nn.Linear))])
        assert sizes == [[5, 8, 10, 13, 2], [50, 75, 100, 125, 2]]
    agreed = Model.model_validate({"name": "mlp", "depth": 2, "proportions": [1, 2]})
    assert kinds(models.build(agreed, MNIST, 10)).count("Linear") == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 3, "proportions": [1, 2]}, "model.depth: 3 hidden layers, and model.proportions has 2 numbers"),
        ({"proportions": [1, 0]}, "model.proportions: 0.0 is not allowed"),
        ({"proportions": [1, -2.5]}, "model.proportions: -2.5 is not allowed"),
        ({"proportions": [float("nan"), 1]}, "finite"),
    ],
)
def test_proportions_that_make_no_network_are_refused(options, message):
    with pytest.raises((UserError, ValueError), match=message):
        models.build(Model.model_validate({"name": "mlp", **options}), MNIST, 10)


def test_batchnorm_without_scales_has_no_parameters():
    network = models.build(Model.model_validate({"name": "mlp", "batchnorm": "after", "affine": False}), MNIST, 10)
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == {"linear1", "linear2", "output"}
    assert "linear1_bn.running_var" in network.state_dict()


def test_without_activation_an_mlp_is_linear():
    network = models.build(Model(name="mlp", depth=10, activation="identity"), (1, 4, 4), 3)
    one, other = torch.randn(2, 5, 1, 4, 4)
    origin = network(torch.zeros(1, 1, 4, 4))
    torch.testing.assert_close(network(one + other), network(one) + network(other) - origin, rtol=1e-4, atol=1e-5)
    lenet = models.build(Model(name="lenet", activation="identity"), MNIST, 3)
    assert "ReLU" not in kinds(lenet)
    assert kinds(lenet).count("MaxPool2d") == 2


def test_a_resnets_shortcut_keeps_its_input_in_the_middle_channels():
    """With weights 0 in its convolutions a block passes on the subsampled ReLU of its input, padded on both sides."""
    network = models.build(Model(name="resnet", width=4), CIFAR, 10).eval()
    block = network.stage2[0]
    for layer in (block.conv1, block.conv2):
        nn.init.zeros_(layer.weight)
    x = torch.randn(2, 4, 6, 6)
    expected = torch.zeros(2, 8, 3, 3)
    expected[:, 2:6] = x[:, :, ::2, ::2].relu()
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    ("name", "depth", "message"),
    [
        ("vgg", 12, "'vgg' has 11, 13, 16, 19 layers, not 12"),
        ("resnet", 18, "6 n \\+ 2 layers, .* not 18. The nearest is 20"),
        ("wide_resnet", 3, "6 n \\+ 4 layers, .* not 3. The nearest is 10"),
    ],
)
def test_a_depth_that_does_not_exist_is_refused(name, depth, message):
    with pytest.raises(UserError, match=f"model.depth: .*{message}"):
        models.build(Model(name=name, depth=depth), CIFAR, 10)


def test_local_response_normalization_is_pytorchs():
    """Whose alpha is divided by the size of the window."""
    x = torch.randn(2, 12, 3, 3, dtype=torch.float64)
    theirs = nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0)(x)
    torch.testing.assert_close(LocalResponseNorm()(x), theirs)


def test_dropout_of_alexnet_follows_both_dense_layers():
    network = models.build(Model(name="alexnet", width=4, dropout=0.5), MNIST, 10)
    names = list(dict(network.named_children()))
    dropped = [name for name in names if isinstance(getattr(network, name), nn.Dropout)]
    assert dropped == ["linear1_dropout", "linear2_dropout"]
    assert [names[names.index(name) - 1] for name in dropped] == ["linear1_relu", "linear2_relu"]
