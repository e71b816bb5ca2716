rule collect:
    """Join the histories and measurements of a study's packs."""
    input:
        unpack(inputs("collect")),
    output:
        measurements=update(layout.measurements("{study}")),
        cells=update(layout.cells("{study}")),
    log:
        layout.log("{study}", "collect"),
    wildcard_constraints:
        study=any_of(STUDIES),
    localrule: True
    params:
        study=param("collect", "study"),
    message:
        "Collecting {wildcards.study}"
    script:
        "../workflow/scripts/collect.py"
