"""The tangent kernel against gradients of single outputs, and Laplace's evidence against linear regression."""

import math

import pytest
import torch
from subjects import by_name, one_network, subject
from torch.nn import functional

from gengap.probes import tangent_kernel


def jacobians(made, place, count):
    """``[n, n_outputs, P]`` by one backward pass per output."""
    network = one_network(made, place).eval()
    rows = []
    for x in made.train_images[:count]:
        outputs = network(x[None])[0]
        rows.append(
            torch.stack(
                [
                    torch.cat([g.flatten() for g in torch.autograd.grad(o, network.parameters(), retain_graph=True)])
                    for o in outputs
                ]
            )
        )
    return torch.stack(rows), network(made.train_images[:count]).detach()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_traces_and_alignment_are_those_of_single_gradients(n_classes):
    made = subject({"name": "tangent_kernel", "kernel_samples": 12}, n_classes=n_classes)
    found = by_name(tangent_kernel.measure(made))
    for place in (0, 1):
        rows, outputs = jacobians(made, place, 12)
        targets = made.train_targets[:12]
        kernel = torch.einsum("iop,jop->ij", rows, rows)
        if n_classes == 2:
            p = outputs[:, 0].sigmoid()
            fisher = (p * (1 - p) * rows[:, 0].square().sum(1)).mean()
            slopes = (p - (targets > 0).double())[:, None]
        else:
            p = outputs.softmax(1)
            expected = [
                sum(
                    p[i, y] * ((p[i] - functional.one_hot(torch.tensor(y), 3)) @ rows[i]).square().sum()
                    for y in range(3)
                )
                for i in range(12)
            ]
            fisher = torch.stack(expected).mean()
            slopes = p - functional.one_hot(targets, 3)
        second = torch.einsum("io,iop->ip", slopes, rows).square().sum(1).mean()
        assert found["tangent_kernel_trace", ""][place].item() == pytest.approx(kernel.trace().item() / 12)
        assert found["fisher_trace", ""][place].item() == pytest.approx(fisher.item())
        assert found["gradient_second_moment", ""][place].item() == pytest.approx(second.item())
        assert found["information_ratio", ""][place].item() == pytest.approx((second / fisher).item())
        centre = torch.eye(12, dtype=torch.float64) - 1 / 12
        same = (targets[:, None] == targets).double()
        a, b = centre @ kernel @ centre, centre @ same @ centre
        cosine = (a * b).sum() / a.norm() / b.norm()
        assert found["tangent_kernel_alignment", ""][place].item() == pytest.approx(cosine.item())


def test_a_kernel_that_knows_the_labels_is_aligned():
    labels = torch.tensor([[1.0], [1], [-1], [-1]], dtype=torch.float64)
    same = (labels @ labels.T > 0).double()
    assert tangent_kernel.alignment(labels @ labels.T, same).item() == pytest.approx(1)
    assert tangent_kernel.effective_rank(labels @ labels.T).item() == pytest.approx(1)
    assert tangent_kernel.effective_rank(torch.eye(5, dtype=torch.float64)).item() == pytest.approx(5)


def test_evidence_of_a_gaussian_model_is_exact():
    """y ~ N(theta, 1), theta ~ N(0, 1/a): the loss is quadratic, and Laplace's method exact, at the best a.

    log p(y) = -|y - m|^2 / 2 - a m^2 / 2 - log((n + a) / a) / 2 without the constant, with m the posterior mean.
    """
    y = torch.tensor([1.0, 2.0, 1.5], dtype=torch.float64)
    best = 0.5
    mean = float(y.sum() / (3 + best))
    loss = float((y - mean).square().sum() / 2)

    def exact(a):
        return -loss - a * mean**2 / 2 - math.log((3 + a) / a) / 2

    grid = [10 ** (e / 500) for e in range(-3000, 3001)]
    found = tangent_kernel.evidence(torch.tensor([3.0], dtype=torch.float64), mean**2, loss)
    assert found == pytest.approx(max(exact(a) for a in grid), abs=1e-5)


def test_the_root_of_the_outputs_hessian():
    matrices = torch.diag_embed(torch.tensor([[4.0, 9.0]], dtype=torch.float64))
    assert torch.allclose(tangent_kernel.matrix_root(matrices) @ tangent_kernel.matrix_root(matrices), matrices)


def test_evidence_counts_the_samples_that_are_not_in_the_kernel():
    """With all samples in the kernel, the Gauss-Newton matrix is the whole one."""
    made = subject(
        {"name": "tangent_kernel", "kernel_samples": 40}, {"model": {"name": "mlp", "width": 3}}, n_classes=3
    )
    rows, outputs = jacobians(made, 0, 40)
    p = outputs.softmax(1)
    second = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    matrix = torch.einsum("iop,iok,ikq->pq", rows, second, rows)
    loss = functional.cross_entropy(outputs, made.train_targets, reduction="sum").item()
    squared = sum(value[0].square().sum().item() for value in made.state.values())
    expected = tangent_kernel.evidence(torch.linalg.eigvalsh(matrix).clamp(min=0), squared, loss) / 40
    assert by_name(tangent_kernel.measure(made))["laplace_evidence", ""][0].item() == pytest.approx(expected)
