"""The study that the tests of the workflow run."""

STUDY = """\
title: Tiny
base:
  dataset: {name: gaussian, image_size: 8, n_train: 400, n_test: 200}
  labels: {name: teacher, train_size: 60, test_size: 30, minority_share: 0.2}
  training: {batch_size: 20, epochs: 1, snapshots: [0, 1]}
grid:
  - {model.width: [2], optimizer.lr: [0.1], seed: [0]}
  - {model.width: [3], optimizer.lr: [0.1], seed: [0]}
probes: [performance]
figures: [accuracy_by_width]
tables: [final_performance]
"""
