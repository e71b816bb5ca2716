"""Corruptions by hand and by other programs, and the accuracy on corrupted test images."""

import colorsys
import dataclasses
import io

import numpy as np
import pytest
import subjects
import torch
from PIL import Image
from torchvision.transforms import functional as vision

from gengap.datasets import prepare
from gengap.engine import evaluation
from gengap.errors import UserError
from gengap.labels import label, read
from gengap.probes import corrupted_performance
from gengap.probes.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from gengap.studies.settings import Dataset, Labels
from gengap.studies.study import StudyFile
from gengap.studies.validation import validate

EIGHT_BITS = 1 / 255 + 1e-9  # what rounding down may take


@pytest.fixture(scope="module")
def pixels():
    """8-bit colour images of 50 x 3 x 32 x 32: smooth, with a dark corner."""
    generator = np.random.default_rng(0)
    coarse = torch.from_numpy(generator.random((50, 3, 5, 5)))
    smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear").numpy()
    smooth[:, :, :3, :3] = 0
    return np.rint(smooth * 255) / 255


def strength(name, severity):
    return CORRUPTIONS[name][1][severity - 1]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_stay_8_bits_in_range_and_are_the_same_again(name, pixels):
    for severity in SEVERITIES:
        found = corrupted(pixels, name, severity)
        assert found.shape == pixels.shape
        assert found.min() >= 0
        assert found.max() <= 1
        assert np.abs(found * 255 - np.rint(found * 255)).max() < 1e-9
        assert np.array_equal(found, corrupted(pixels, name, severity))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_more_severe_is_further_from_the_image(name, pixels):
    errors = [np.square(corrupted(pixels, name, severity) - pixels).mean() for severity in SEVERITIES]
    assert min(errors) > 0
    if name != "pixelate":  # which shifts smooth images by a part of a pixel, of some sizes more than of smaller ones
        assert errors == sorted(errors)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noises_have_their_moments(severity):
    grey = np.full((40, 3, 32, 32), 102 / 255)
    expected = {
        "gaussian_noise": strength("gaussian_noise", severity),
        "shot_noise": (0.4 / strength("shot_noise", severity)) ** 0.5,
        "speckle_noise": 0.4 * strength("speckle_noise", severity),
    }
    for name, std in expected.items():
        noise = corrupted(grey, name, severity) - grey
        assert noise.std() == pytest.approx(std, rel=0.03)  # rounded down to 1/255
        assert noise.mean() == pytest.approx(-0.5 / 255, abs=5 * std / noise.size**0.5)  # rounded down
    found = corrupted(grey, "impulse_noise", severity)
    share = strength("impulse_noise", severity)
    for value in (0, 1):
        assert abs((found == value).mean() - share / 2) < 4 * (share / 2 / found.size) ** 0.5
    assert set(np.unique(np.rint(found * 255))) == {0, 102, 255}


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_and_brightness_by_hand(severity, pixels):
    found = corrupted(pixels, "contrast", severity)
    mean = pixels.mean(axis=(2, 3), keepdims=True)
    expected = mean + strength("contrast", severity) * (pixels - mean)
    assert np.abs(found - expected + 0.5 / 255).max() <= 0.5 / 255 + 1e-8
    found = corrupted(pixels, "brightness", severity)
    added = strength("brightness", severity)
    for row, column in ((0, 0), (5, 9), (20, 31)):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixels[3, :, row, column])
        expected = colorsys.hsv_to_rgb(hue, saturation, min(1, value + added))
        assert found[3, :, row, column] == pytest.approx(np.array(expected) - 0.5 / 255, abs=0.5 / 255 + 1e-8)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_is_torchvisions(severity, pixels):
    sigma = strength("gaussian_blur", severity)
    wide = 2 * int(4 * sigma + 0.5) + 1  # as far as SciPy goes
    inner = slice(6, -6)  # the borders are continued differently
    expected = vision.gaussian_blur(torch.from_numpy(pixels), [wide, wide], [sigma, sigma]).numpy()
    found = corrupted(pixels, "gaussian_blur", severity)
    difference = (expected - found)[:, :, inner, inner]
    assert difference.min() > -1e-6
    assert difference.max() < EIGHT_BITS + 1e-6


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_and_pixelate_are_pillows(severity, pixels):
    image = Image.fromarray(np.rint(pixels[7].transpose(1, 2, 0) * 255).astype(np.uint8))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(strength("jpeg", severity)))
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1)
    assert np.array_equal(np.rint(corrupted(pixels, "jpeg", severity)[7] * 255), expected)
    side = int(32 * strength("pixelate", severity))
    small = image.resize((side, side), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX)
    expected = np.asarray(small).transpose(2, 0, 1)
    assert np.array_equal(np.rint(corrupted(pixels, "pixelate", severity)[7] * 255), expected)


@pytest.mark.parametrize("channels", [1, 2])
def test_other_numbers_of_channels(channels):
    images = np.random.default_rng(0).random((4, channels, 8, 8))
    for name in CORRUPTIONS:
        assert corrupted(images, name, 3).shape == images.shape


def test_accuracy_is_that_of_each_network_on_the_corrupted_images():
    made = subjects.subject(
        {"name": "corrupted_performance", "corruptions": ["contrast", "gaussian_blur"]}, n_test=50, n_classes=3
    )
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    pixels = torch.rand(50, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def standardised(images):
        return (images - mean.double()[:, None, None]) / std.double()[:, None, None]

    made = dataclasses.replace(made, test_images=standardised(pixels), pixel_scale=(mean, std))
    found = subjects.by_name(corrupted_performance.measure(made))
    table, losses = torch.zeros(2, 2, 5, dtype=torch.float64), []
    for place, name in enumerate(("contrast", "gaussian_blur")):
        for severity in SEVERITIES:
            images = standardised(torch.from_numpy(corrupted(pixels.numpy(), name, severity)))
            outputs = evaluation.all_outputs(made.arch, made.state, images, "exact")
            table[:, place, severity - 1] = (outputs.argmax(dim=2) == made.test_targets).double().mean(dim=1)
            losses.append(torch.stack([torch.nn.functional.cross_entropy(each, made.test_targets) for each in outputs]))
    torch.testing.assert_close(found["accuracy_by_corruption", ""], table)
    torch.testing.assert_close(found["corrupted_accuracy", ""], table.mean(dim=(1, 2)))
    torch.testing.assert_close(found["corrupted_loss", ""], torch.stack(losses).mean(dim=0))


def test_one_severity():
    made = subjects.subject({"name": "corrupted_performance", "corruptions": ["contrast"], "severity": 4})
    whole = subjects.subject({"name": "corrupted_performance", "corruptions": ["contrast"]})
    one, every = (subjects.by_name(corrupted_performance.measure(each)) for each in (made, whole))
    assert one["accuracy_by_corruption", ""].shape == (2, 1, 1)
    torch.testing.assert_close(one["corrupted_accuracy", ""], every["accuracy_by_corruption", ""][:, 0, 3])


def test_the_scale_of_a_datasets_pixels_is_known(tmp_path):
    for options in ({}, {"standardize": "none"}, {"standardize": "pool"}):
        prepared, labelled = tmp_path / "p.h5", tmp_path / "l.h5"
        prepare(Dataset.model_validate({"name": "digits", **options}), tmp_path, prepared)
        label(Labels(), prepared, labelled)
        data = read(prepared, labelled)
        mean, std = data.pixel_scale
        pixels = data.test_images * std[:, None, None] + mean[:, None, None]
        assert pixels.min().item() == pytest.approx(0, abs=1e-6)
        assert pixels.max().item() == pytest.approx(1, abs=1e-6)


def test_unknown_corruptions_and_severities_are_refused():
    for options, said in (
        ({"corruptions": ["contrast", "frost"]}, "'gaussian_noise'"),
        ({"corruptions": []}, "must be a list of at least 1"),
        ({"severity": 6}, "a whole number from 1"),
    ):
        with pytest.raises(UserError, match=said):
            validate(
                StudyFile, {"title": "t", "probes": [{"name": "corrupted_performance", **options}]}, "study.yaml: "
            )
