rule label:
    """Choose and label the images that studies use."""
    input:
        prepared="data/prepared/{dataset}.h5",
        script="workflow/scripts/label.py",
    output:
        update("data/labelled/{dataset}/{labels}.h5"),
    log:
        "data/logs/label/{dataset}/{labels}.log",
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,  # minutes
    params:
        settings=lambda wildcards: LABELS[wildcards.dataset, wildcards.labels],
        results_version=versions.DATA,
    message:
        "Labelling {wildcards.dataset}: {wildcards.labels}"
    script:
        "../workflow/scripts/label.py"
