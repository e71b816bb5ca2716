rule prepare:
    """Rescale and standardise the images of one dataset."""
    input:
        unpack(inputs("prepare")),
    output:
        update(layout.prepared("{dataset}")),
    log:
        layout.data_log("prepare", "{dataset}"),
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,  # minutes; the first time, the raw files are downloaded
    params:
        settings=param("prepare", "settings"),
        results_version=param("prepare", "results_version"),
    message:
        "Preparing {wildcards.dataset}"
    script:
        "../workflow/scripts/prepare.py"
