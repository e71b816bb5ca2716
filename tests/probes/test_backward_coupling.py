"""Couplings against Jacobians taken node by node, the authors' recursion, and the gradient that they are made of."""

import dataclasses

import pytest
import torch
from subjects import by_name, subject

from gengap import models
from gengap.engine import stack
from gengap.probes import backward_coupling
from gengap.probes.backward_coupling import couplings
from gengap.probes.context import Teacher
from gengap.studies.settings import Model

LAYERS = ("linear1_relu", "linear2_relu")
SHAPE = (1, 2, 2)
N_OUTPUTS = 3


def made(batchnorm="none", n_train=15, **options):
    """Two students of width 5 and a teacher of width 3, two hidden layers and three outputs each, in float64."""
    settings = {"model": {"name": "mlp", "width": 5, "depth": 2, "batchnorm": batchnorm}}
    students = subject(
        {"name": "backward_coupling", **options}, settings, n_train=n_train, n_classes=N_OUTPUTS, shape=SHAPE
    )
    arch = stack.architecture(models.build(Model(name="mlp", width=3, depth=2), SHAPE, N_OUTPUTS))
    generator = torch.Generator().manual_seed(5)
    shapes = {name: parameter.shape for name, parameter in arch.training.named_parameters()}
    state = {name: torch.randn(1, *shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    return dataclasses.replace(students, teacher=Teacher(arch, state))


def as_sequence(subject, state, place, n_layers=3):
    """Weights and biases of one network, from the image to the outputs."""
    names = ("linear1", "linear2", "output")[:n_layers]
    return [(state[f"{name}.weight"][place], state[f"{name}.bias"][place]) for name in names]


def forward(weights, x):
    """One sample's values before and behind every ReLU, and the outputs: written out, nothing shared with the probe."""
    before, after = [], []
    for weight, bias in weights[:-1]:
        before.append(weight @ x + bias)
        x = before[-1].clamp(min=0)
        after.append(x)
    return before, after, weights[-1][0] @ x + weights[-1][1]


def recursion(ours, theirs, x):
    """H and beta of one sample as in the authors' code: weights with the bias and a constant node appended."""

    def augmented(weight, bias):
        last = torch.zeros(1, weight.shape[1] + 1, dtype=weight.dtype)
        last[0, -1] = 1
        return torch.cat([torch.cat([weight, bias[:, None]], dim=1), last])

    one = torch.ones(1, dtype=x.dtype)
    gates = [[torch.cat([(v > 0).double(), one]) for v in forward(w, x)[0]] for w in (ours, theirs)]
    H = torch.eye(len(ours[-1][1]) + 1, dtype=x.dtype)
    found = []
    for layer in (2, 1):
        beta = augmented(*ours[layer]).T @ H @ augmented(*theirs[layer])
        H = beta * gates[0][layer - 1][:, None] * gates[1][layer - 1]
        found.append((beta[:-1, :-1].T, H[:-1, :-1].T))  # [teacher nodes, student nodes], constant nodes left out
    return found[::-1]


def test_couplings_are_the_authors_recursion(monkeypatch):
    monkeypatch.setattr(backward_coupling, "_BUDGET", 200)  # several samples per call, and a smaller last call
    one = made()
    found = couplings(one.arch, one.state, one.teacher, one.train_images)
    theirs = as_sequence(one, one.teacher.state, 0)
    for place in range(2):
        ours = as_sequence(one, one.state, place)
        samples = [recursion(ours, theirs, image.flatten()) for image in one.train_images]
        for number, layer in enumerate(LAYERS):
            for kind in range(2):
                expected = torch.stack([sample[number][kind] for sample in samples]).mean(dim=0)
                torch.testing.assert_close(found[layer][kind, place], expected, rtol=1e-12, atol=1e-12)


def test_couplings_are_products_of_brute_force_jacobians():
    """Every node of both networks moved by hand, one output at a time."""
    one = made(n_train=4)
    found = couplings(one.arch, one.state, one.teacher, one.train_images)
    ours, theirs = as_sequence(one, one.state, 1), as_sequence(one, one.teacher.state, 0)
    step = 1e-6

    def derivatives(weights, x):
        """Central differences of the outputs by the second layer's nodes, then by what enters them."""
        values, nodes = forward(weights, x)[:2]
        last, bias = weights[-1]
        columns = [[], []]
        for node in range(len(nodes[1])):
            move = torch.zeros_like(nodes[1])
            move[node] = step
            behind = [last @ (nodes[1] + sign * move) + bias for sign in (1, -1)]
            before = [last @ (values[1] + sign * move).clamp(min=0) + bias for sign in (1, -1)]
            for kind, (up, down) in enumerate((behind, before)):
                columns[kind].append((up - down) / (2 * step))
        return [torch.stack(column, dim=1) for column in columns]

    total = [torch.zeros(3, 5, dtype=torch.float64) for _ in range(2)]
    for image in one.train_images:
        student, teacher = derivatives(ours, image.flatten()), derivatives(theirs, image.flatten())
        for kind in range(2):
            total[kind] += teacher[kind].T @ student[kind] / len(one.train_images)
    for kind in range(2):
        torch.testing.assert_close(found["linear2_relu"][kind, 1], total[kind], rtol=1e-6, atol=1e-8)


def test_the_gradient_at_a_hidden_node_is_the_difference_of_couplings():
    """Without biases: dL/dz = H f - H* f* for L = |y - y*|^2 / 2, z what enters the student's nodes f, one sample."""
    one = made(n_train=1)
    for state in (one.state, one.teacher.state):
        state.update({name: torch.zeros_like(value) for name, value in state.items() if name.endswith("bias")})
    x = one.train_images[0].flatten()
    ours, theirs = as_sequence(one, one.state, 0), as_sequence(one, one.teacher.state, 0)
    itself = Teacher(one.arch, stack.take(one.state, [0]))
    with_teacher = couplings(one.arch, one.state, one.teacher, one.train_images)
    with_itself = couplings(one.arch, one.state, itself, one.train_images)
    f = forward(ours, x)[1]
    _, f_teacher, y_teacher = forward(theirs, x)
    for number, layer in enumerate(LAYERS):
        entering = forward(ours, x)[0][number].clone().requires_grad_()
        values = entering.clamp(min=0)
        for weight, _ in ours[number + 1 : -1]:
            values = (weight @ values).clamp(min=0)
        loss = (ours[-1][0] @ values - y_teacher).square().sum() / 2
        (gradient,) = torch.autograd.grad(loss, entering)
        H_teacher, H_itself = with_teacher[layer][1, 0], with_itself[layer][1, 0]
        torch.testing.assert_close(H_itself.T @ f[number] - H_teacher.T @ f_teacher[number], gradient)
        assert gradient.abs().max() > 1e-3


def test_batchnorm_counts_as_its_linear_map():
    """Folded into the weights around it, BatchNorm changes no coupling."""
    one = made("after")
    found = couplings(one.arch, one.state, one.teacher, one.train_images)
    state, plain = one.state, made()
    folded = {name: value.clone() for name, value in state.items() if "bn" not in name}
    for layer, above in (("linear1", "linear2"), ("linear2", "output")):
        scale = state[f"{layer}_bn.weight"] / (state[f"{layer}_bn.running_var"] + 1e-5).sqrt()
        shift = state[f"{layer}_bn.bias"] - scale * state[f"{layer}_bn.running_mean"]
        folded[f"{above}.bias"] += (state[f"{above}.weight"] @ shift.unsqueeze(2)).squeeze(2)
        folded[f"{above}.weight"] *= scale.unsqueeze(1)
    expected = couplings(plain.arch, folded, plain.teacher, plain.train_images)
    for layer in LAYERS:
        torch.testing.assert_close(found[layer], expected[layer])


def test_contrast_of_a_known_block():
    values = torch.tensor([[1.0, 2.0, 9.0], [-4.0, 3.0, 9.0], [9.0, 9.0, 9.0]], dtype=torch.float64)
    best, live = torch.tensor([1, 0, 2]), torch.tensor([True, True, False])
    # The block's columns are students 1 and 0: [[2, 1], [3, -4]].
    assert backward_coupling._contrast(values, best, live).item() == pytest.approx(3 / 2)


def test_what_is_measured():
    one = made()
    found = by_name(backward_coupling.measure(one))
    expected = couplings(one.arch, one.state, one.teacher, one.train_images)
    for layer in LAYERS:
        assert torch.equal(found["coupling", layer], expected[layer][0])
        assert torch.equal(found["gated_coupling", layer], expected[layer][1])
        for quantity in ("coupling_contrast", "gated_coupling_contrast"):
            assert (found[quantity, layer] > 0).all()
    few = dataclasses.replace(one, options=one.options.model_copy(update={"samples": 4}))
    expected = couplings(one.arch, one.state, one.teacher, one.train_images[:4])
    assert torch.equal(by_name(backward_coupling.measure(few))["coupling", LAYERS[0]], expected[LAYERS[0]][0])


def test_convolutional_layers_are_left_out_or_refused():
    song = subject({"name": "backward_coupling"}, {"model": {"name": "song", "width": 3, "head": "hidden"}})
    teacher = Teacher(song.arch, stack.take(song.start, [0]))
    found = by_name(backward_coupling.measure(dataclasses.replace(song, teacher=teacher)))
    assert {layer for _, layer in found} == {"hidden.relu"}
    flat = subject({"name": "backward_coupling"}, {"model": {"name": "song", "width": 3, "head": "linear"}})
    with pytest.raises(ValueError, match=r"fully connected hidden layers.*there is none: choose model mlp"):
        backward_coupling.measure(dataclasses.replace(flat, teacher=teacher))


def test_other_outputs_are_refused():
    one = made()
    arch = stack.architecture(models.build(Model(name="mlp", width=3, depth=2), SHAPE, 1))
    state = {name: value[:, :1] if "output" in name else value for name, value in one.teacher.state.items()}
    with pytest.raises(ValueError, match="another number of outputs"):
        backward_coupling.measure(dataclasses.replace(one, teacher=Teacher(arch, state)))
