"""The Hessian's spectrum against closed forms, finite differences, column-by-column products and PyHessian."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from gengap import models
from gengap.engine import evaluation, stack
from gengap.engine.hessian import full, repeated_hvp
from gengap.engine.objective import Objective
from gengap.probes import hessian_extremes, hessian_spectrum
from gengap.probes.context import ProbeContext
from gengap.studies.settings import Cell, Loss
from gengap.studies.study import Probe

F64 = torch.float64
HINGE = Loss(power=2.0)


def make_subject(batchnorm="exact", *, width=2, seeds=(0, 3), loss=HINGE, count=60, name="hessian_extremes", **options):
    """Networks moved away from their start, where some are dead, on random images."""
    cells = tuple(Cell.model_validate({"model": {"width": width}, "seed": seed}) for seed in seeds)
    arch = stack.architecture(models.build(cells[0].model, (3, 8, 8), 1))
    state = stack.initial_state(cells, (3, 8, 8), 1, dtype=F64, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    for parameter in arch.parameters:
        state[parameter] += 0.3 * torch.randn(state[parameter].shape, generator=generator, dtype=F64)
    images = torch.randn(count, 3, 8, 8, generator=generator, dtype=F64)
    targets = torch.randn(count, generator=generator).sign().long()
    return subject_of(arch, state, cells, images, targets, loss, batchnorm, name, **options)


def subject_of(arch, state, cells, images, targets, loss, batchnorm, name, **options):
    return ProbeContext(
        arch=arch,
        state=evaluation.for_mode(arch, state, images, batchnorm),
        start=state,
        batchnorm=batchnorm,
        loss=loss,
        cells=cells,
        train_images=images,
        train_targets=targets,
        test_images=images,
        test_targets=targets,
        options=Probe(name=name, batchnorm=batchnorm, **options),
        measured_at=(0.0,) * len(cells),
        epochs=(0.0,),
        saved=lambda epoch: state,
    )


def matrix_of(subject, place):
    return full.full_hessian(objective_of(subject, place), seed=0).matrix


def objective_of(subject, place):
    """Of one network, on all training images."""
    return Objective(
        subject.arch,
        stack.take(subject.state, [place]),
        subject.train_images,
        subject.train_targets,
        subject.loss,
        through_batch=subject.batchnorm == "batch",
    )


def by_name(measured):
    return {one.quantity: one.values for one in measured}


@pytest.mark.parametrize("batchnorm", ["running", "batch", "exact"])
def test_hessian_equals_finite_differences_of_the_gradient(batchnorm):
    """Central differences along 20 random directions, with so small a step that no sample crosses a kink.

    A random direction joins all columns, so that an error in any of them shows.
    """
    subject = make_subject(batchnorm, count=12)
    step = 1e-6
    objective = objective_of(subject, 0)
    sizes = [objective.state[name].numel() for name in subject.arch.parameters]
    directions = torch.randn(20, sum(sizes), generator=torch.Generator().manual_seed(2), dtype=F64)
    rows = []
    for direction in directions:
        ends = []
        for sign in (1, -1):
            moves = zip(subject.arch.parameters, direction.split(sizes), strict=True)
            moved = {name: objective.state[name] + sign * step * d.view_as(objective.state[name]) for name, d in moves}
            gradient = objective.at({**objective.state, **moved}).gradient()
            ends.append(torch.cat([value.flatten() for value in gradient.values()]))
        rows.append((ends[0] - ends[1]) / (2 * step))
    torch.testing.assert_close(directions @ matrix_of(subject, 0), torch.stack(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss", [HINGE, Loss(name="cross_entropy"), Loss(power=3.0)])
def test_both_ways_to_the_hessian_agree(loss):
    """Layer by layer, and one product per parameter."""
    subject = make_subject("exact", loss=loss)
    objective = objective_of(subject, 0)
    by_layers, by_columns = full._by_layers(objective), full._by_columns(objective)
    torch.testing.assert_close(by_layers, by_columns, rtol=1e-10, atol=1e-9)


class Classifier(nn.Module):
    """Softmax regression, or with an activation that is not piecewise linear."""

    def __init__(self, hidden):
        super().__init__()
        self.hidden = nn.Linear(4, 3) if hidden else nn.Identity()
        self.activation = torch.tanh if hidden else nn.Identity()
        self.output = nn.Linear(3 if hidden else 4, 3)

    def forward(self, x):
        return self.output(self.activation(self.hidden(x.flatten(1))))


def classifier_subject(hidden, dtype=F64, name="hessian_spectrum", **options):
    arch = stack.architecture(Classifier(hidden))
    generator = torch.Generator().manual_seed(0)
    network = Classifier(hidden)
    state = {
        name: torch.randn(2, *value.shape, generator=generator, dtype=dtype)
        for name, value in network.named_parameters()
    }
    images = torch.randn(50, 1, 2, 2, generator=generator, dtype=dtype)
    targets = torch.randint(3, (50,), generator=generator)
    cells = (Cell(seed=0), Cell(seed=1))
    loss = Loss(name="cross_entropy")
    return subject_of(arch, state, cells, images, targets, loss, "exact", name, **options)


def softmax_regression_hessian(subject, place):
    """Mean of ``(diag p - p p^T)`` kron ``x x^T``, x with a last 1 for the bias, in the order weight, bias."""
    x = torch.cat([subject.train_images.flatten(1), torch.ones(len(subject.train_images), 1)], dim=1).double()
    weight, bias = (subject.state[f"output.{name}"][place].double() for name in ("weight", "bias"))
    p = torch.softmax(x[:, :-1] @ weight.T + bias, dim=1)
    bend = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    full = torch.einsum("ncd,ni,nj->cidj", bend, x, x) / len(x)
    order = torch.arange(15).view(3, 5)
    order = torch.cat([order[:, :4].flatten(), order[:, 4]])
    return full.reshape(15, 15)[order][:, order]


def test_softmax_regression_has_its_closed_form():
    subject = classifier_subject(hidden=False)
    found = by_name(hessian_spectrum.measure(subject))
    for place in (0, 1):
        expected = softmax_regression_hessian(subject, place)
        torch.testing.assert_close(matrix_of(subject, place), expected, rtol=1e-12, atol=1e-14)
        values = torch.linalg.eigvalsh(expected)
        torch.testing.assert_close(found["hessian_eigenvalues"][place], values, rtol=1e-9, atol=1e-14)
        assert found["hessian_largest"][place].item() == pytest.approx(values[-1].item())
        assert found["hessian_trace"][place].item() == pytest.approx(values.sum().item())
        # Convex; a constant added to all logits of a feature changes no probability.
        assert found["hessian_negative_count"][place] == 0
        assert found["hessian_null_count"][place] == 5


def test_float32_weights_are_measured_in_float64():
    subject = classifier_subject(hidden=False, dtype=torch.float32)
    found = by_name(hessian_spectrum.measure(subject))["hessian_eigenvalues"]
    expected = torch.linalg.eigvalsh(softmax_regression_hessian(subject, 1))
    torch.testing.assert_close(found[1], expected, rtol=1e-9, atol=1e-14)


def test_network_that_is_not_piecewise_linear_is_measured_by_columns():
    """The layers' formula leaves out tanh's own second derivative; the check notices."""
    subject = classifier_subject(hidden=True)
    objective = objective_of(subject, 0)
    columns, wrong = full._by_columns(objective) / 50, full._by_layers(objective) / 50
    assert (wrong - columns).norm() > 0.01 * columns.norm()
    torch.testing.assert_close(matrix_of(subject, 0), columns, rtol=1e-10, atol=1e-12)
    assert by_name(hessian_spectrum.measure(subject))["hessian_error"].max() < 1e-12


def test_biases_before_batchnorm_are_null_directions():
    """Seven layers of width 4: 28 directions. Others, of dead units, may be null too."""
    subject = make_subject("batch", width=4, seeds=(0,), count=20)
    matrix = matrix_of(subject, 0)
    sizes = [subject.state[name][0].numel() for name in subject.arch.parameters]
    rows = torch.arange(sum(sizes)).split(sizes)
    before = [
        row
        for name, row in zip(subject.arch.parameters, rows, strict=True)
        if name.endswith(("conv1.bias", "conv2.bias", "shortcut.bias", "linear.bias"))
    ]
    assert sum(len(row) for row in before) == 28
    assert matrix[torch.cat(before)].abs().max() < 1e-12 * matrix.abs().max()
    assert by_name(hessian_spectrum.measure(subject))["hessian_null_count"] >= 28


def test_dead_network_has_the_hessian_of_a_constant():
    """Output b for all: the loss (1 - y b)^2 bends along b only, by 2."""
    subject = make_subject("running", seeds=(0,))
    subject.state["output.weight"].zero_()
    subject.state["output.bias"].zero_()
    subject.state["hidden.bn.bias"].fill_(-100.0)
    found = by_name(hessian_spectrum.measure(subject))
    assert found["hessian_largest"].item() == pytest.approx(2)
    assert found["hessian_null_count"].item() == subject.arch.n_parameters - 1


def test_fitted_network_has_no_curvature():
    """Beyond the hinge's margin the loss is 0 for every sample, and so is the Hessian."""
    subject = make_subject("running", seeds=(0,))
    subject.state["output.weight"].zero_()
    subject.state["output.bias"].fill_(2.0)
    subject.train_targets.fill_(1)
    found = by_name(hessian_spectrum.measure(subject))
    assert found["hessian_eigenvalues"].abs().max() == 0
    assert found["hessian_error"] == 0


def test_same_bits_whatever_the_pack():
    both = by_name(hessian_spectrum.measure(make_subject()))
    subject = make_subject()
    alone = dataclasses.replace(subject, state=stack.take(subject.state, [1]), cells=subject.cells[1:])
    for quantity, values in by_name(hessian_spectrum.measure(alone)).items():
        assert torch.equal(values[0], both[quantity][1])


def test_samples_limits_what_is_read():
    limited = by_name(hessian_spectrum.measure(make_subject("running", samples=20)))
    whole = make_subject("running")
    cut = dataclasses.replace(whole, train_images=whole.train_images[:20], train_targets=whole.train_targets[:20])
    assert torch.equal(limited["hessian_eigenvalues"], by_name(hessian_spectrum.measure(cut))["hessian_eigenvalues"])


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="hessian_extremes"):
        hessian_spectrum.measure(make_subject(width=14))
    broken = make_subject()
    broken.state["output.weight"][0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        hessian_spectrum.measure(broken)


@pytest.mark.parametrize(
    "batchnorm", ["running", *(pytest.param(mode, marks=pytest.mark.thorough) for mode in ("batch", "exact"))]
)
def test_extremes_agree_with_the_whole_spectrum(batchnorm):
    exact = by_name(hessian_spectrum.measure(make_subject(batchnorm)))
    found = by_name(hessian_extremes.measure(make_subject(batchnorm)))
    for quantity in ("hessian_largest", "hessian_smallest"):
        torch.testing.assert_close(found[quantity], exact[quantity], rtol=1e-3, atol=0)
        assert ((found[quantity] - exact[quantity]).abs() <= found[f"{quantity}_residual"] + 1e-9).all()
    off = (found["hessian_trace"] - exact["hessian_trace"]).abs()
    assert (off <= 5 * found["hessian_trace_standard_error"] + 1e-9).all()


def test_trace_is_unbiased_and_its_standard_error_right():
    """Over 60 seeds: the mean is the trace, and the spread is what each draw says it is."""
    spectrum = torch.cat([-torch.logspace(-2, 0, 20, dtype=F64), torch.logspace(-3, 2, 60, dtype=F64)])
    rotation, _ = torch.linalg.qr(torch.randn(80, 80, generator=torch.Generator().manual_seed(0), dtype=F64))
    dense = rotation @ torch.diag(spectrum) @ rotation.T
    found = []
    for seed in range(60):
        start = hessian_extremes.start_vectors([seed], 7, 80)[0]
        found.append(hessian_extremes._extremes(lambda vectors: vectors @ dense, start[:1], start[1:], 10))
    traces = np.array([one["hessian_trace"] for one in found])
    errors = np.array([one["hessian_trace_standard_error"] for one in found])
    expected = spectrum.sum().item()
    assert abs(traces.mean() - expected) <= 4 * traces.std() / 60**0.5 + 1e-9
    assert traces.std() == pytest.approx((errors**2).mean() ** 0.5, rel=0.25)


def test_density_counts_the_eigenvalues():
    """Its integral is 1, its mean the trace over P, and its shares those of the whole spectrum."""
    subject = make_subject("exact", seeds=(0,), name="hessian_extremes", draws=10)
    found = {name: values[0].numpy() for name, values in by_name(hessian_extremes.measure(subject)).items()}
    exact = by_name(hessian_spectrum.measure(subject))["hessian_eigenvalues"][0].numpy()
    at, density, error = (found[f"hessian_density{end}"] for end in ("_at", "", "_standard_error"))
    step = at[1] - at[0]
    assert density.sum() * step == pytest.approx(1, abs=1e-6)
    width = (exact[-1] - exact[0]) / 100
    bells = np.exp(-(((at[:, None] - exact) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
    assert (np.abs(density - bells.mean(axis=1)) <= 5 * error + 1e-3 * density.max()).all()


def test_pyhessian_finds_the_same():
    """In evaluation mode, on the same network and data; it returns the eigenvalue of largest magnitude."""
    pyhessian = pytest.importorskip("pyhessian")
    subject = make_subject("running", seeds=(0,))
    network = models.build(subject.cells[0].model, (3, 8, 8), 1).double()
    network.load_state_dict({name: value[0] for name, value in subject.state.items()}, strict=False)

    def hinge(outputs, targets):
        return (1 - targets * outputs[:, 0]).clamp(min=0).square().mean()

    torch.manual_seed(0)
    torch.set_default_dtype(F64)
    try:
        theirs = pyhessian.hessian(network, hinge, data=(subject.train_images, subject.train_targets), cuda=False)
        (largest,), _ = theirs.eigenvalues(maxIter=200, tol=1e-6)
        traces = theirs.trace(maxIter=100, tol=0)
    finally:
        torch.set_default_dtype(torch.float32)
    found = by_name(hessian_extremes.measure(subject))
    ends = [found["hessian_smallest"].item(), found["hessian_largest"].item()]
    assert largest == pytest.approx(max(ends, key=abs), rel=1e-3)
    assert abs(np.mean(traces) - found["hessian_trace"].item()) <= 4 * np.std(traces) / 10


def test_extremes_of_a_convex_loss():
    """The smallest eigenvalue is 0, of which no relative error can be had."""
    subject = classifier_subject(hidden=False, name="hessian_extremes")
    found = by_name(hessian_extremes.measure(subject))
    expected = torch.linalg.eigvalsh(softmax_regression_hessian(subject, 0))
    assert found["hessian_largest"][0].item() == pytest.approx(expected[-1].item(), rel=1e-3)
    assert found["hessian_smallest"][0].abs() < 1e-6 * expected[-1]


def test_products_are_the_same_whatever_is_kept(monkeypatch):
    subject = make_subject("running", seeds=(0,))
    vectors = torch.randn(3, subject.arch.n_parameters, dtype=F64)
    objective = dataclasses.replace(objective_of(subject, 0), batch_size=25)
    whole = repeated_hvp.repeated_product(objective)(vectors)
    monkeypatch.setattr(repeated_hvp, "KEPT_BYTES", 0)
    alone = repeated_hvp.repeated_product(objective)(vectors)
    torch.testing.assert_close(alone, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole, vectors @ matrix_of(subject, 0), rtol=1e-10, atol=1e-10)


def test_batches_too_large_for_columns_are_measured_without(monkeypatch):
    subject = make_subject("batch", seeds=(0,), count=20)
    vectors = torch.randn(1, subject.arch.n_parameters, dtype=F64)
    monkeypatch.setattr(repeated_hvp, "KEPT_BYTES", 0)
    found = repeated_hvp.repeated_product(objective_of(subject, 0))(vectors)
    torch.testing.assert_close(found, vectors @ matrix_of(subject, 0), rtol=1e-9, atol=1e-9)


def test_extremes_have_the_same_bits_whatever_the_pack():
    both = by_name(hessian_extremes.measure(make_subject(draws=2)))
    subject = make_subject(draws=2)
    alone = dataclasses.replace(subject, state=stack.take(subject.state, [1]), cells=subject.cells[1:])
    for quantity, values in by_name(hessian_extremes.measure(alone)).items():
        assert torch.equal(values[0], both[quantity][1])


def test_extremes_of_a_hessian_of_zeros():
    subject = make_subject("running", seeds=(0,))
    subject.state["output.weight"].zero_()
    subject.state["output.bias"].fill_(2.0)
    subject.train_targets.fill_(1)
    found = by_name(hessian_extremes.measure(subject))
    assert found["hessian_largest"] == found["hessian_smallest"] == found["hessian_trace"] == 0


def test_one_draw_is_refused():
    with pytest.raises(ValueError, match="draws"):
        hessian_extremes.measure(make_subject(name="hessian_extremes", draws=1))
