rule label:
    """Choose and label the images that studies use."""
    input:
        unpack(inputs("label")),
    output:
        update(layout.labelled("{dataset}", "{labels}")),
    log:
        layout.data_log("label", "{dataset}", "{labels}"),
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,  # minutes
    params:
        settings=param("label", "settings"),
        results_version=param("label", "results_version"),
    message:
        "Labelling {wildcards.dataset}: {wildcards.labels}"
    script:
        "../workflow/scripts/label.py"
