rule train:
    """Train the cells of one pack together; those that the files hold already are kept."""
    input:
        unpack(inputs("train")),
    output:
        weights=update(layout.weights("{study}", "{pack}")),
        history=update(layout.history("{study}", "{pack}")),
    log:
        layout.log("{study}", "train", "{pack}"),
    threads: threads_of_training
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,  # minutes
    params:
        cells=param("train", "cells"),
        results_version=param("train", "results_version"),
    message:
        "Training {wildcards.pack} of {wildcards.study}"
    script:
        "../workflow/scripts/train.py"
