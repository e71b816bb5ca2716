"""What only a job used to tell, after other jobs had run: teachers, probes' options, figures' axes, simulations."""

import pytest

from gengap.errors import UserError
from gengap.studies import machine
from gengap.studies.project import load_project

GAUSSIAN = "name: gaussian, n_train: 400, n_test: 100, image_size: "


@pytest.mark.parametrize(
    ("size", "labels", "words"),
    [
        (
            4,
            "teacher_model: plain_conv",
            "the teacher: labels.teacher_model: 'plain_conv' needs images of at least 9 x 9 pixels",
        ),
        (4, "teacher_depth: 3, teacher_proportions: [1, 2]", "the teacher: labels.teacher_depth: 3 hidden layers, and"),
        (
            1,
            "teacher_width: 200",
            "layer 'linear1' of the teacher has 200 nodes, and with 3 inputs there are only",
        ),
    ],
)
def test_a_teacher_that_cannot_be_built_is_refused(edited, refused, size, labels, words):
    study = edited(
        ("name: digits, image_size: 4", f"{GAUSSIAN}{size}"),
        ("{train_size: 200", f"{{name: distinct_teacher, {labels}, train_size: 200"),
    )
    assert words in refused(study)


def test_a_teacher_larger_than_the_memory_is_refused(edited, loaded):
    project = loaded(
        edited(
            ("name: digits, image_size: 4", f"{GAUSSIAN}8"),
            ("{train_size: 200", "{name: distinct_teacher, teacher_width: 10000000, train_size: 200"),
        )
    )
    with pytest.raises(UserError, match=r"study\.yaml: cell .*: the teacher has .* weights, which take .* TB"):
        machine.check(project.studies, project.store)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "[performance]",
            "[performance, {name: path, points: 24}]",
            "probes[1].points: 24 is not allowed: choose from",
        ),
        ("snapshots: [0, 1]", "subspace: 139", "training.subspace: 139 is more than the 138 weights of 'mlp'"),
        (
            "grid: {",
            "grid: {optimizer: [sgd_unit_rows], training.subspace: [20], ",
            "optimizer.name: sgd_unit_rows divides each node's weights by their norm",
        ),
        ("snapshots: [0, 1]", "step_batchnorm: exact", "exact changes nothing, since no network has a BatchNorm layer"),
        ("grid: {", "grid: {schedule.warm_up_start: [0.5], ", "changes nothing, since schedule.warm_up is 0"),
        (
            "tables:",
            "until: {quantity: speed, half_width: 1.0}\ntables:",
            "until.quantity: unknown final value",
        ),
        (
            "tables:",
            "until: {quantity: test_accuracy, half_width: 1.0, most: 1}\ntables:",
            "until.most: 1 is fewer than the 2 seeds of the grid. Raise it, or remove seeds.",
        ),
        ("[learning_curves]", "[scoreboard]", "scoreboard: the grid has 1 configurations, and at least 8 are needed"),
        ("[final_performance]", "[scoreboard_equal_loss]", "scoreboard: the grid has 1 configurations"),
        (
            "[performance]",
            "[performance, {name: corrupted_performance, corruptions: [jpeg, jpeg]}]",
            "'jpeg' appears twice",
        ),
        ("[learning_curves]", "[label_noise]", "'label_noise' needs at least 3 values of labels.random_share"),
        ("[final_performance]", "[sharpness_contrasts]", "'sharpness_contrasts' needs at least 2 values of"),
    ],
)
def test_what_a_probe_or_a_figure_needs_is_asked_first(edited, refused, old, new, words):
    assert words in refused(edited((old, new)))


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("lottery, teacher_nodes: 11", "point base: teacher_nodes: 11 nodes cannot be orthogonal with 10 inputs"),
        (
            "random_features, dataset: digits, samples: 2000",
            "point base: samples: 'digits' has 1,442 train images, and 2,000 are",
        ),
        ("random_forest, dataset: gaussian", "dataset: the images of 'gaussian' come without labels. Choose another"),
        (
            "resnet34_gradient, dataset: cifar100",
            "dataset: 'cifar100' has 50,000 training images of",
        ),
    ],
)
def test_a_simulation_that_cannot_be_drawn_is_refused(project, edited, base, words):
    (project / "config/studies/study.yaml").write_text(edited())
    (project / "config/simulations/draws.yaml").write_text(f"title: t\nbase: {{simulation: {base}}}\n")
    with pytest.raises(UserError) as caught:
        load_project()
    assert "config/simulations/draws.yaml: " in str(caught.value)
    assert words in str(caught.value)


def test_a_draw_larger_than_the_memory_is_refused(project, edited):
    (project / "config/studies/study.yaml").write_text(edited())
    text = "title: t\nbase: {simulation: random_matrix, rows: 1000000, columns: 1000000}\n"
    (project / "config/simulations/draws.yaml").write_text(text)
    with pytest.raises(UserError, match=r"draws\.yaml: point base: one draw of 'random_matrix' takes 16\.0 TB"):
        machine.check_simulations(load_project().simulations.values())


def test_a_job_asks_for_the_memory_of_its_draw(project, edited):
    (project / "config/studies/study.yaml").write_text(edited())
    text = "title: t\nbase: {simulation: random_matrix, columns: 20000}\ngrid: {rows: [10, 20000]}\n"
    (project / "config/simulations/draws.yaml").write_text(text)
    simulation = load_project().simulations["draws"]
    small, large = (machine.draw_bytes(simulation, point) for point in simulation.points.values())
    assert small == 2e9
    assert large > 20_000 * 20_000 * 8


def test_a_file_that_nobody_downloads_is_asked_for(project, edited, monkeypatch):
    monkeypatch.delenv("GENGAP_DATA_ROOT", raising=False)
    (project / "config/studies/study.yaml").write_text(edited())
    text = "title: t\nbase: {simulation: pretrained_biases}\ngrid: {weights: [vgg11_bn, vgg16_bn]}\n"
    (project / "config/simulations/biases.yaml").write_text(text)
    (project / "config/papers.yaml").write_text("paper: {source: s, studies: [study, biases]}\n")
    loaded = load_project()
    assert loaded.check_machine(["study"]) == []
    folder = project / "data/raw/torchvision"
    names = ("vgg11_bn-6002323d.pth", "vgg16_bn-6c64b313.pth")
    for asked in ("biases", "paper"):  # of a paper, all that is in it
        with pytest.raises(UserError, match=r"biases\.yaml: 'pretrained_biases' reads files that are not") as caught:
            loaded.check_machine([asked])
        assert all(f"/{name} to {folder / name}" in str(caught.value) for name in names)
    folder.mkdir(parents=True)
    (folder / names[0]).write_bytes(b"")
    with pytest.raises(UserError, match="reads a file that is not downloaded and missing") as caught:
        loaded.check_machine(["biases"])
    assert names[0] not in str(caught.value)
    (folder / names[1]).write_bytes(b"")
    assert loaded.check_machine(["biases"]) == []
    monkeypatch.setenv("GENGAP_DATA_ROOT", str(project / "elsewhere"))
    with pytest.raises(UserError, match=rf"{names[0]} to {project}/elsewhere/torchvision/"):
        loaded.check_machine(["biases"])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            "figures: [{name: measure_against_gap, panels: [weight_norm]}]",
            "figures: measure_against_gap: panels: no probe of this study measures 'weight_norm'. Add distance or",
        ),
        (
            "figures: [{name: measure_against_gap, panels: [train_loss, test_los]}]",
            "figures: measure_against_gap: panels: unknown quantity 'test_los'. Did you mean 'test_loss'? ",
        ),
        (
            "tables: [{name: explains, measures: [output_margin_mean]}]",
            "tables: explains: measures: unknown quantity 'output_margin_mean'. ",
        ),
        (
            "tables: [{name: explains, measures: [spectral_norm_product]}]",
            "tables: explains: measures: ",
        ),
    ],
)
def test_an_option_that_names_what_nobody_measures_is_refused(edited, refused, part, words):
    key = part.partition(":")[0]
    own = {"figures": "figures: [learning_curves]", "tables": "tables: [final_performance]"}[key]
    assert words in refused(edited((own, part)))


def test_an_option_may_name_what_follows_from_what_is_measured(edited, loaded):
    part = "figures: [{name: measure_against_gap, panels: [train_loss, test_error, generalization_gap]}]"
    loaded(edited(("figures: [learning_curves]", part)))
