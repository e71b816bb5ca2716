"""Settings that come to the same network are refused, and those that differ in one step are not."""

import pytest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            [("grid: {", "grid: {training.batch_size: [256, 512], ")],
            "training.batch_size is 256 and 512, and the training",
        ),
        ([("grid: {", "grid: {training.batch_size: [full, 200], ")], "train the same network"),
        ([("grid: {", "grid: {model.depth: [null, 2], ")], "model.depth is null and 2"),
        (
            [("grid: {", "grid: {dataset.image_size: [null, 8], "), ("{name: digits, image_size: 4}", "digits")],
            "null and 8",
        ),
        ([("grid: {", "grid: {labels.test_size: [null, 355], ")], "labels.test_size is null and 355"),
        (
            [("grid: {", "grid: {model.norm: [none, batch], model.batchnorm: [before, none], ")],
            "model.batchnorm is before and none, which comes to the same",
        ),
        (
            [("grid: {", "grid: {schedule: [constant, cosine], optimizer.momentum_correction: [true, false], ")],
            "optimizer.momentum_correction is true and false",
        ),
        (
            [("grid: {", "grid: {schedule: [constant, cosine], schedule.final: [1.0], ")],
            "schedule.name is constant and",
        ),
        ([("grid: {", "grid: {optimizer: [adam], optimizer.eps: [null, 1.0e-8], ")], "optimizer.eps is null and 1e-08"),
        (
            [("grid: {", "grid: {training.switch_epoch: [1], training.switch_batch_size: [300, 400], ")],
            "training.switch_batch_size is 300 and 400",
        ),
        ([("grid: {", "grid: {training.snapshots: [[0, 1], [1]], ")], "training.snapshots is 0.0+1.0 and 1.0"),
        ([("lr: [0.1]", "lr: [0.1, 0.100000000001]")], "optimizer.lr is 0.1 and 0.100000000001"),
        (
            [("grid: {", "grid: {optimizer.momentum: [0.5, 0.50000000001], ")],
            "optimizer.momentum is 0.5 and 0.50000000",
        ),
        ([("grid: {", "grid: {optimizer: [adam, adamw], ")], "optimizer.name is adam and adamw"),
        (
            [("grid: {", "grid: {schedule.warm_up: [0, 1], schedule.warm_up_start: [0.1, 0.2], ")],
            "schedule.warm_up_start is 0.1 and 0.2",
        ),
        ([("grid: {", "grid: {schedule: [plateau, constant], ")], "schedule.name is plateau and constant"),
        ([("grid: {", "grid: {schedule: [plateau], schedule.patience: [50, 60], ")], "schedule.patience is 50 and 60"),
        (
            [("grid: {", "grid: {schedule: [cyclical, constant], schedule.peak: [1.0], ")],
            "schedule.name is cyclical and constant",
        ),
        (
            [("grid: {", "grid: {schedule: [multistep], schedule.milestones: [[0.5, 0.75], [0.75, 0.5]], ")],
            "schedule.milestones is 0.5+0.75 and 0.75+0.5",
        ),
        (
            [("grid: {", "grid: {schedule: [multistep], schedule.milestones: [[0.5], [0.51]], ")],
            "schedule.milestones is 0.5 and 0.51",
        ),
        (
            [("grid: {", "grid: {schedule: [inverse_lipschitz], schedule.refresh_steps: [8, 9], ")],
            "schedule.refresh_steps is 8 and 9",
        ),
        (
            [
                ("grid: {", "grid: {training.noise_milestones: [[0.5], [0.52]], "),
                ("epochs: 2", "epochs: 2, noise_std: 0.1, noise_factor: 0.5"),
            ],
            "training.noise_milestones is 0.5 and 0.52",
        ),
        (
            [
                ("grid: {", "grid: {training.statistics_steps: [4, 9], "),
                ("width: 4", "width: 4, batchnorm: before"),
                ("epochs: 2", "epochs: 2, step_batchnorm: exact"),
            ],
            "training.statistics_steps is 4 and 9",
        ),
        ([("grid: {", "grid: {training.evaluate_every: [2, 5], ")], "training.evaluate_every is 2 and 5"),
        (
            [
                ("grid: {", "grid: {model.group_size: [16, 32], "),
                ("width: 4", "width: 4, batchnorm: before, norm: group"),
            ],
            "model.group_size is 16 and 32",
        ),
        (
            [("grid: {", "grid: {arm: {a: {model.width: 2, model.proportions: [2, 2]}, b: {}}, ")],
            "model.width is 2 and 4",
        ),
        (
            [("grid: {", "grid: {labels: [distinct_teacher], labels.teacher_depth: [null, 2], ")],
            "labels.teacher_depth is null and 2",
        ),
        (
            [
                (
                    "grid: {",
                    "grid: {arm: {o: {}, a: {after: {origin: o, prune: [0.2]}}, "
                    "b: {after: {origin: o, prune: [0.2, 0.2, 0.2]}}}, ",
                )
            ],
            "after.prune is 0.2 and 0.2+0.2+0.2",
        ),
        (
            [
                (
                    "grid: {",
                    "grid: {arm: {o: {}, a: {after: {origin: o, prune: [0.5]}}, "
                    "b: {after: {origin: o, prune: [0.5], weights: 2}}}, ",
                )
            ],
            "after.weights is last and 2",
        ),
        (
            [("grid: {", "grid: {arm: {o: {}, a: {after: {origin: o}}, b: {init: xavier, after: {origin: o}}}, ")],
            "init.name is he and xavier",
        ),
    ],
)
def test_two_cells_that_are_one_network_are_refused(edited, refused, changes, words):
    said = refused(edited(*changes))
    assert "train the same network" in said
    assert words in said


@pytest.mark.parametrize(
    "changes",
    [
        [("grid: {", "grid: {schedule: [cosine], schedule.final: [1.0], schedule.warm_up: [0, 1], ")],
        [("grid: {", "grid: {schedule: [plateau], schedule.patience: [1, 2], ")],
        [("grid: {", "grid: {schedule: [multistep], schedule.milestones: [[0.2], [0.5]], ")],
        [("grid: {", "grid: {optimizer: [adam, adamw], optimizer.weight_decay: [0.1], ")],
        [("lr: [0.1]", "lr: [0.1, 0.10001]")],
        [
            ("grid: {", "grid: {optimizer.momentum: [0.5, 0.50000000001], "),
            ("epochs: 2", "epochs: 2, dtype: float64"),
        ],
        [("grid: {", "grid: {arm: {a: {model.width: 2, model.proportions: [2, 1]}, b: {}}, ")],
        [
            (
                "grid: {",
                "grid: {arm: {o: {training.stop_accuracy: 0.9}, a: {after: {origin: o, prune: [0.5]}}, "
                "b: {after: {origin: o, prune: [0.5], weights: 2}}}, ",
            )
        ],
    ],
)
def test_two_that_differ_in_a_step_are_two(edited, loaded, changes):
    loaded(edited(*changes))


def test_what_is_recorded_counts_where_it_decides(edited, loaded):
    text = edited(("grid: {", "grid: {training.evaluate_every: [1, 2], training.stop_accuracy: [0.9], "))
    assert not loaded(text).warnings["study"]
