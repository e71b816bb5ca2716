"""A stack computes what its networks compute one by one."""

import torch

from gengap.engine import stack
from gengap.studies.settings import Cell


def test_evaluation_outputs_equal_the_ordinary_modules(arch, state, images, network_of):
    together = stack.outputs(arch.evaluation, state, images)
    for place in range(3):
        torch.testing.assert_close(together[place], network_of(place).eval()(images), rtol=1e-12, atol=1e-12)


def test_training_outputs_and_running_statistics_equal_torchs(arch, state, images, network_of):
    for place in range(3):
        network = network_of(place).train()
        expected = network(images)
        one = {name: value[place] for name, value in state.items()}
        found, buffers = stack.outputs_and_buffers(arch, arch.training, one, images)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        for name, value in buffers.items():
            torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-12, atol=1e-12)


def test_initial_weights_depend_on_the_cell_alone():
    def first(seeds):
        cells = [Cell.model_validate({"seed": seed}) for seed in seeds]
        state = stack.initial_state(cells, (3, 8, 8), 1, dtype=torch.float32, device=torch.device("cpu"))
        return {name: value[0] for name, value in state.items()}

    alone, together = first([3]), first([3, 0, 9])
    assert all(torch.equal(alone[name], together[name]) for name in alone)
