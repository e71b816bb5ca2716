"""The names in the rest of a study's file: what is measured or simulated, drawn and written."""

from gengap.registry.entry import Entry

EVIDENCE: dict[str, dict[str, Entry]] = {
    "probe": {
        "performance": Entry("gengap.probes.performance", "Loss, accuracy and balanced accuracy on both splits."),
        "gradient": Entry(
            "gengap.probes.gradient",
            "Gradient norm of the training loss, whole and by layer, and its max/min ratio.",
            ("samples",),
        ),
        "distance": Entry("gengap.probes.distance", "Weight norm and distance from the start."),
        "norms": Entry(
            "gengap.probes.norms",
            "Spectral norms, stable ranks and the path norm.",
            batchnorm=("running", "exact"),
        ),
        "margin": Entry(
            "gengap.probes.margin",
            "Output margins, and first-order distances to the decision boundary.",
            ("samples",),
            batchnorm=("running", "exact"),
        ),
        "near_rank": Entry(
            "gengap.probes.near_rank",
            "Small singular values of every layer's activations, in each mode of the HOSVD (Oyedotun).",
            ("draws", "control_size"),
        ),
        "batchnorm_bias": Entry(
            "gengap.probes.batchnorm_bias", "Share of negative BatchNorm biases (Luck Matters, figure 6)."
        ),
        "layer_reset": Entry(
            "gengap.probes.layer_reset",
            "Test error when one layer goes back to an earlier checkpoint, or is drawn afresh (Zhang 2019).",
            ("samples", "draws"),
        ),
        "landscape": Entry(
            "gengap.probes.landscape",
            "Loss and gradient along a batch's gradient, and internal covariate shift (Santurkar 2018).",
            ("draws", "points"),
        ),
        "gradient_noise": Entry(
            "gengap.probes.gradient_noise",
            "Covariance of single-sample gradients, and the noise scale (McCandlish 2018).",
            ("samples",),
            batchnorm=("running", "exact"),
        ),
        "node_correlation": Entry(
            "gengap.probes.node_correlation",
            "Correlation of the student's nodes with the teacher's, and the ranks of the winners (Luck Matters 2019).",
            ("samples", "draws"),
            batchnorm=("running", "exact"),
            teacher=True,
        ),
        "backward_coupling": Entry(
            "gengap.probes.backward_coupling",
            "How nodes of student and teacher act on the same outputs: H* and beta* (Luck Matters 2019).",
            ("samples",),
            batchnorm=("running", "exact"),
            teacher=True,
        ),
        "hessian_spectrum": Entry(
            "gengap.probes.hessian_spectrum",
            "Every eigenvalue of the training loss's Hessian, up to 5,000 parameters.",
            ("samples",),
        ),
        "hessian_extremes": Entry(
            "gengap.probes.hessian_extremes",
            "Both ends, trace and density of the Hessian's spectrum, by products with vectors.",
            ("samples", "draws", "points"),
        ),
        "sharpness": Entry(
            "gengap.probes.sharpness",
            "Largest rise of the training loss in a small box around the weights (Keskar 2017).",
            ("samples", "draws", "iterations"),
        ),
        "path": Entry(
            "gengap.probes.path",
            "Loss and accuracy along the line between two checkpoints (Keskar 2017).",
            ("samples", "points", "from_epoch"),
        ),
    },
    "simulation": {
        "random_matrix": Entry(
            "gengap.simulations.random_matrix",
            "Smallest and all singular values of matrices of independent entries (Oyedotun et al., appendix A.1).",
            ("distribution", "rows", "columns", "spectrum_values"),
        ),
        "linear_gradient": Entry(
            "gengap.simulations.linear_gradient",
            "Largest over smallest layer gradient of a deep linear network at its start (Song 2019, Fig. 4.3).",
            ("depth", "width", "input_size", "output_size", "batch_size"),
        ),
        "resnet34_gradient": Entry(
            "gengap.simulations.resnet34_gradient",
            "Layer gradients of ResNet-34 at its start, with and without BatchNorm and skips (Song 2019, Fig. 4.4).",
            ("dataset", "norm", "block", "batch_size"),
            mem_mb=6000,
        ),
    },
    "figure": {
        "smallest_singular_value": Entry(
            "gengap.evidence.figures.smallest_singular_value",
            "Smallest singular value against the matrix's shape.",
            simulation="random_matrix",
        ),
        "singular_value_distribution": Entry(
            "gengap.evidence.figures.singular_value_distribution",
            "Distribution of all singular values, a panel per size of the matrix.",
            simulation="random_matrix",
        ),
        "gradient_ratio_by_width": Entry(
            "gengap.evidence.figures.gradient_ratio_by_width",
            "Inequality of a linear network's layer gradients against width.",
            simulation="linear_gradient",
        ),
        "gradient_by_depth": Entry(
            "gengap.evidence.figures.gradient_by_depth",
            "Layer gradients of ResNet-34 along its depth, a line per variant.",
            simulation="resnet34_gradient",
        ),
        "accuracy_by_width": Entry("gengap.evidence.figures.accuracy_by_width", "Final accuracy against width."),
        "learning_curves": Entry("gengap.evidence.figures.learning_curves", "Loss and accuracy while training."),
        "training_cost": Entry(
            "gengap.evidence.figures.training_cost",
            "Learning curves, curvature and learning rate against gradient evaluations.",
        ),
        "curvature": Entry(
            "gengap.evidence.figures.curvature", "Ends of the Hessian's spectrum, and all of it, while training."
        ),
        "gradient_norm": Entry("gengap.evidence.figures.gradient_norm", "Norm of the full gradient while training."),
        "gradient_balance": Entry(
            "gengap.evidence.figures.gradient_balance",
            "Gradient norm of each layer at the start, and their max/min ratio.",
        ),
        "layer_gradients_by_group": Entry(
            "gengap.evidence.figures.layer_gradients_by_group",
            "As `layer_gradients`, for up to nine groups, with all of their ratios in one panel.",
        ),
        "layer_gradients": Entry(
            "gengap.evidence.figures.layer_gradients", "Gradient norm of each layer, first epochs."
        ),
        "layer_reset": Entry(
            "gengap.evidence.figures.layer_reset", "Test error after a layer's reset, layer by checkpoint."
        ),
        "near_rank_by_batch_size": Entry(
            "gengap.evidence.figures.near_rank_by_batch_size",
            "Small singular values of the activations against the batch size.",
        ),
        "near_rank_controls": Entry(
            "gengap.evidence.figures.near_rank_controls",
            "Small singular values against the batch size, counted in six ways, before and after training.",
        ),
        "path": Entry("gengap.evidence.figures.path", "Loss and accuracy along the line between two checkpoints."),
    },
    "table": {
        "closest": Entry(
            "gengap.evidence.tables.closest",
            "Where a source is silent: the settings closest to its numbers.",
            references=True,
        ),
        "draws": Entry("gengap.evidence.tables.draws", "Mean, median and variance over a simulation's draws."),
        "equal_cost": Entry(
            "gengap.evidence.tables.equal_cost", "Losses and accuracies after equal gradient evaluations."
        ),
        "curvature_agreement": Entry(
            "gengap.evidence.tables.curvature_agreement",
            "Ends of the Hessian's spectrum by Lanczos' method against all of it.",
        ),
        "paired_effects": Entry(
            "gengap.evidence.tables.paired_effects",
            "Every value of one axis, `init` if it varies, against its first: paired differences and tests.",
        ),
        "final_performance": Entry(
            "gengap.evidence.tables.final_performance", "Final losses and accuracies, over seeds."
        ),
        "errors_and_losses": Entry(
            "gengap.evidence.tables.errors_and_losses",
            "Final errors, losses, the L2 penalty and their sums, over seeds.",
        ),
    },
}
