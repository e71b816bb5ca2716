"""Products with the Hessian, and what is made of them, against finite differences and dense linear algebra."""

import numpy as np
import pytest
import torch

from gengap.engine.hessian import lanczos
from gengap.engine.hessian.eigenvalues import largest_eigenvalue
from gengap.engine.hessian.full import full_hessian
from gengap.engine.objective import Objective
from gengap.engine.stack import take, unflatten
from gengap.studies.settings import Loss

LOSS = Loss(power=3.0)
MODES = pytest.mark.parametrize("through_batch", [False, True])


@pytest.fixture
def images(images):
    return images[:30]


@pytest.fixture
def state(arch, state):
    """Moved from the start, where two of the three are dead in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for name in arch.parameters:
        state[name] += 0.3 * torch.randn(state[name].shape, generator=generator, dtype=torch.float64)
    return state


@pytest.fixture
def targets():
    return torch.randn(30, generator=torch.Generator().manual_seed(2)).sign().long()


def random_vectors(arch, count=3):
    flat = torch.randn(count, arch.n_parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return unflatten(arch, flat)


@MODES
def test_product_equals_finite_differences_of_the_gradient(arch, state, images, targets, through_batch):
    """With batches of 12, 12 and 6 samples: sums are divided once, by all of them."""
    vectors = random_vectors(arch)
    objective = Objective(arch, state, images, targets, LOSS, through_batch, batch_size=12)
    found = objective.hvp(vectors)
    step = 1e-7
    ends = [
        objective.at(state | {name: state[name] + sign * step * vectors[name] for name in arch.parameters}).gradient()
        for sign in (1, -1)
    ]
    for name in arch.parameters:
        expected = (ends[0][name] - ends[1][name]) / (2 * step)
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-5)


@MODES
def test_largest_eigenvalue_is_the_largest_signed_one(arch, state, images, targets, through_batch):
    objective = Objective(arch, state, images, targets, LOSS, through_batch)
    found, products = largest_eigenvalue(objective, tolerance=1e-4, iterations=200, seeds=[0, 1, 5])
    whole = full_hessian(objective.at(take(state, [1])), seed=0)
    expected = torch.linalg.eigvalsh(whole.matrix)[-1]
    assert found[1].item() == pytest.approx(expected.item(), rel=1e-4)
    assert len(set(found.tolist())) == 3
    assert all(2 <= count <= 200 for count in products)


def test_largest_eigenvalue_does_not_depend_on_the_stack(arch, state, images, targets):
    objective = Objective(arch, state, images, targets, LOSS, through_batch=False)
    options = {"tolerance": 1e-3, "iterations": 50}
    together, products = largest_eigenvalue(objective, seeds=[0, 1, 5], **options)
    alone, own = largest_eigenvalue(objective.at(take(state, [2])), seeds=[5], **options)
    assert together[2].item() == alone[0].item()
    assert products[2:] == own


def test_diverged_network_gives_not_a_number_and_leaves_the_others(arch, state, images, targets):
    objective = Objective(arch, state, images, targets, LOSS, through_batch=False)
    options = {"tolerance": 1e-3, "iterations": 50, "seeds": [0, 1, 5]}
    whole, _ = largest_eigenvalue(objective, **options)
    state["output.weight"][1] = float("nan")
    found, _ = largest_eigenvalue(objective, **options)
    assert found[1].isnan()
    assert found[[0, 2]].tolist() == whole[[0, 2]].tolist()


def matrices(spectra):
    """Symmetric matrices of known spectra, ``[B, P, P]``."""
    spectra = torch.from_numpy(np.asarray(spectra))
    generator = torch.Generator().manual_seed(4)
    rotations, _ = torch.linalg.qr(torch.randn(*spectra.shape, spectra.shape[1], generator=generator).double())
    return rotations @ torch.diag_embed(spectra) @ rotations.mT


def test_lanczos_run_to_the_end_gives_the_whole_spectrum():
    spectrum = np.concatenate([-np.logspace(-3, 1, 20), np.logspace(-6, 3, 40)])
    dense = matrices([np.sort(spectrum)])
    start = lanczos.start_vectors([7], 1, 60)[0]
    found = lanczos.lanczos(lambda vectors: torch.einsum("bpq,bq->bp", dense, vectors), start, 60)
    values, weights, _ = found.ritz(0)
    np.testing.assert_allclose(values, np.sort(spectrum), atol=1e-10)
    assert weights.sum() == pytest.approx(1)


def test_lanczos_stops_at_an_invariant_space():
    """A matrix of rank 2 is known after 3 steps, one of rank 0 after 1; the third goes on by itself."""
    spectra = np.zeros((3, 30))
    spectra[0, :2] = 5, -3
    spectra[2] = np.arange(30)
    dense = matrices(spectra)
    start = lanczos.start_vectors([1, 2, 3], 1, 30)[:, 0]
    found = lanczos.lanczos(lambda vectors: torch.einsum("bpq,bq->bp", dense, vectors), start, 25)
    assert found.steps.tolist() == [3, 1, 25]
    np.testing.assert_allclose(found.ritz(0)[0], [-3, 0, 5], atol=1e-10)
    np.testing.assert_allclose(found.ritz(1)[0], [0], atol=1e-10)
    values, _, residuals = found.ritz(2)
    assert np.abs(values[-1] - 29) <= residuals[-1] + 1e-12
