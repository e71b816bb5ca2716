"""Statistics behind a convolution of the images, from their patches, against the convolution itself in float64."""

import pytest
import torch
from torch.nn.functional import conv2d

from gengap.engine import stack
from gengap.engine.cpu import exact_batchnorm, operators, patch_moments
from gengap.models import build
from gengap.studies.settings import Model

pytestmark = pytest.mark.skipif(not operators.supports(torch.zeros(1)), reason="no C++ compiler")


@pytest.mark.parametrize(
    ("n_images", "kernel", "stride", "padding", "dilation"),
    [(64, (3, 3), 1, 1, 1), (70, (3, 3), 2, 1, 1), (1, (1, 1), 2, 0, 1), (150, (2, 3), 1, 2, 2)],
)
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_they_are_those_of_what_the_convolution_makes(n_images, kernel, stride, padding, dilation, offset):
    generator = torch.Generator().manual_seed(n_images)
    images = offset + torch.randn(n_images, 3, 7, 9, generator=generator)
    weight, bias = torch.randn(2, 5, 3, *kernel, generator=generator), torch.randn(2, 5, generator=generator)
    geometry = (*kernel, stride, padding, dilation)
    state = {"layer.weight": weight, "layer.bias": bias}
    means, variances = patch_moments.statistics(
        patch_moments.PatchNorm("norm", "layer", geometry, folded=False), state, images
    )
    for place in range(2):
        own = weight[place].double(), bias[place].double()
        made = conv2d(images.double(), *own, stride=stride, padding=padding, dilation=dilation)
        torch.testing.assert_close(means[place], made.mean(dim=(0, 2, 3)))
        torch.testing.assert_close(variances[place], made.var(dim=(0, 2, 3), correction=0), rtol=1e-6, atol=1e-6)


def test_the_first_norms_of_a_network_need_no_pass():
    arch = stack.architecture(build(Model(width=4), (3, 8, 8), 1))
    made, _ = exact_batchnorm._measuring(arch, (3, 8, 8))
    assert [known.norm for known in made.patch_norms] == ["block1.bn1", "block1.shortcut_bn"]
    assert not {known.norm for known in made.patch_norms} & set(made.norms)


def test_images_changed_in_place_are_measured_again():
    images = torch.randn(70, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    norm = patch_moments.PatchNorm("norm", "layer", (3, 3, 1, 1, 1), folded=False)
    state = {"layer.weight": torch.ones(1, 2, 3, 3, 3), "layer.bias": torch.zeros(1, 2)}
    before, again = (patch_moments.statistics(norm, state, images) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(before, again, strict=True))
    images.mul_(2)
    _, variance = patch_moments.statistics(norm, state, images)
    torch.testing.assert_close(variance, 4 * before[1])
    fresh = patch_moments.statistics(norm, state, images.clone())
    assert torch.equal(variance, fresh[1])
