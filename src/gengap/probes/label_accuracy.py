"""Student and teacher on the dataset's own labels."""

import torch
from torch import Tensor

from gengap.engine import evaluation
from gengap.engine.stack import Architecture, State
from gengap.errors import UserError
from gengap.losses import classes
from gengap.probes.context import BATCH_SIZE, Measurement, ProbeContext

PART = {
    "summary": "Test accuracy on the labels themselves, of students that learn a teacher's outputs and of the teacher.",
    "teacher": True,
    "quantities": {
        "student_label_accuracy": {
            "label": "student's accuracy on the labels",
            "unit": "%",
            "meaning": "Test accuracy of the student on the labels, also where it learns the teacher's outputs.",
        },
        "teacher_label_accuracy": {
            "label": "teacher's accuracy on the labels",
            "unit": "%",
            "meaning": "Test accuracy of the teacher on the labels.",
        },
    },
    "picture": {"quantity": "student_label_accuracy"},
}


def measure(context: ProbeContext) -> list[Measurement]:
    """Share of test images that are put into the class of their label, by each network and by the teacher.

    Under `distillation` the accuracies of `performance` say how often student and teacher agree; these say how often
    each is right. With a rule whose labels are the teacher's own, the teacher's is 1.

    Args:
        context: K networks and their data; see `ProbeContext`.

    Returns:
        ``student_label_accuracy`` and ``teacher_label_accuracy``, each ``[K]``, float64, fractions.

    Raises:
        UserError: If the labels are not among the data.

    Source: Tian et al. (2019), arXiv:1905.13405, Fig. 8.
    """
    labels = context.test_labels
    if labels is None or context.teacher is None:
        raise UserError("probe 'label_accuracy' needs labels and a teacher. Set labels.name to trained_teacher.")

    numbers = labels.clamp(min=0)  # -1 is the first of two classes

    def accuracy(arch: Architecture, state: State, mode: str) -> Tensor:
        outputs = evaluation.all_outputs(arch, state, context.test_images, mode, BATCH_SIZE)
        right = [classes(each).eq(numbers).double().mean() for each in outputs]
        return torch.stack(right)

    student = accuracy(context.arch, context.state, context.batchnorm)
    taught = accuracy(context.teacher.arch, context.teacher.state, "running")
    return [
        Measurement("student_label_accuracy", student),
        Measurement("teacher_label_accuracy", taught.expand(len(student)).contiguous()),
    ]
