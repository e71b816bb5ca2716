"""Simulations of a few small draws, run and collected by the real code."""

from pathlib import Path

import yaml

from gengap import simulations
from gengap.evidence import measurements
from gengap.evidence.collect_simulation import collect_simulation
from gengap.studies.simulation import Simulation, load_simulation

MATRICES = {
    "title": "Matrices",
    "base": {"simulation": "random_matrix", "spectrum_values": 60},
    "grid": {"distribution": ["normal", "uniform"], "rows": [30, 40], "columns": [5, 30], "seed": "0..5"},
}
GRADIENTS = {
    "title": "Gradients",
    "base": {"simulation": "linear_gradient", "batch_size": 8},
    "grid": [
        {"input_size": ["width"], "output_size": ["width"], "width": [1, 2, 4], "seed": "0..19"},
        {"input_size": [3], "output_size": [1], "width": [4], "seed": "0..19"},
    ],
}
RESNETS = {
    "title": "ResNets",
    "base": {"simulation": "resnet34_gradient", "batch_size": 2},
    "grid": {"norm": ["batchnorm", "none"], "block": ["residual", "plain"], "seed": "0..1"},
}
STUDENTS = {
    "title": "Students",
    "base": {"simulation": "near_teacher", "inputs": 4, "teacher_nodes": 2, "outputs": 3, "steps": 60, "records": 6},
    "grid": [
        {"multiplier": [1, 2], "overlap": [0.9], "seed": "0..5"},
        {"multiplier": [2], "overlap": [0.5], "seed": "0..5"},
    ],
}
REGRESSIONS = {
    "title": "Regressions",
    "base": {"simulation": "convex_regression", "stop": 0.01, "records": 20},
    "grid": [
        {"examples": ["basis"], "rate": [0.1, 1.4], "switch_step": [50], "seed": "0..5"},
        {"examples": ["normal"], "rate": [0.1], "switch_step": [10], "seed": "0..5"},
    ],
}
ORDERS = {
    "title": "Orders",
    "base": {"simulation": "learning_order", "steps": 20, "test_samples": 50, "first_loss": 0.6},
    "grid": [
        {"dimension": [4, 8], "algorithm": ["small", "large_small"], "noise": ["none"], "seed": "0..5"},
        {"dimension": [4], "algorithm": ["small"], "noise": ["gate", "both"], "seed": "0..5"},
    ],
}
FEATURES = {
    "title": "Features",
    "base": {"simulation": "random_features", "samples": 20, "test_samples": 40},
    "grid": {"label_noise": [0.0, 0.2], "features": [5, 10, 20, 40, 80, "kernel"], "seed": "0..4"},
}
FORESTS = {
    "title": "Forests",
    "base": {"simulation": "random_forest", "samples": 20, "test_samples": 40},
    "grid": [
        {"leaves": [2, 5, 20], "trees": [1], "seed": "0..4"},
        {"leaves": [20], "trees": [4], "seed": "0..4"},
    ],
}
RATES = {
    "title": "Rates",
    "base": {"simulation": "wide_network_rate", "samples": 5, "inputs": 8, "steps": 100},
    "grid": {"width": [64, 256, 1024], "seed": "0..4"},
}
MINIMA = {
    "title": "Minima",
    "base": {"simulation": "minima_path", "samples": 4, "inputs": 2, "steps": 150, "points": 8},
    "grid": {"width": [2, 4, 12], "seed": "0..4"},
}
XOR = {
    "title": "XOR",
    "base": {"simulation": "xor", "patches": 3, "steps": 300, "rate": 1.0},
    "grid": {"pairs": [2, 10], "samples": [8, 12], "seed": "0..4"},
}


def simulation(folder: Path, content: dict) -> Simulation:
    """A simulation read from a file as a user's is."""
    path = folder / "drawn.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_simulation(path)


def collected(folder: Path, content: dict) -> measurements.Evidence:
    """Simulate every point, collect, and read the measurements back."""
    made = simulation(folder, content)
    files = []
    for name, point in made.points.items():
        files.append(folder / "points" / f"{name}.h5")
        simulations.simulate_point(name, point, files[-1], device="cpu")
    collect_simulation(made, files, folder / "measurements.h5", folder / "cells.csv")
    return measurements.read(folder / "measurements.h5")
