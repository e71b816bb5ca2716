"""The benchmark of compiling, at toy size."""

import pytest

from bench import compilation
from gengap import models
from gengap.engine import stack
from gengap.studies.settings import Model
from gengap.training.compilation import pays


@pytest.mark.parametrize("width", compilation.WIDTHS)
def test_the_shortest_job_that_is_compiled(width):
    arch = stack.architecture(models.build(Model(width=width), (3, 8, 8), 1))
    sizes = {"n_networks": compilation.PACK, "batch_size": compilation.BATCH_SIZE, "image_area": 64}
    steps = compilation.N_TRAIN // compilation.BATCH_SIZE
    epochs = compilation.shortest(width)
    assert pays(arch, n_steps=epochs * steps, **sizes)
    assert not pays(arch, n_steps=(epochs - 1) * steps, **sizes)


@pytest.mark.thorough
def test_a_job_runs_in_a_process_of_its_own(tmp_path):
    assert compilation.seconds(4, 1, "off", tmp_path) > 0
