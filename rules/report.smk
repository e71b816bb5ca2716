# One rule per figure and table, because a rule has one caption. An edit of a module remakes only its own.
for name in REGISTRY["figure"]:

    rule:
        name:
            rule_of("figure", name)
        input:
            unpack(inputs("figure", name=name)),
        output:
            pdf=update(layout.figure("{study}", name, "pdf")),
            png=report(
                update(layout.figure("{study}", name, "png")),
                caption=caption("figure", name),
                category="Figures",
                subcategory="{study}",
                labels={"figure": name.replace("_", " ")},
            ),
            csv=update(layout.figure("{study}", name, "csv")),
            page_pdf=update(layout.page_figure("{study}", name, "pdf")),
            page_png=update(layout.page_figure("{study}", name, "png")),
        log:
            layout.log("{study}", "figure", name),
        localrule: True
        params:
            figure=param("figure", "figure", name=name),
        message:
            f"Drawing {name} of {{wildcards.study}}"
        script:
            "../workflow/scripts/figure.py"


for name in REGISTRY["table"]:

    rule:
        name:
            rule_of("table", name)
        input:
            unpack(inputs("table", name=name)),
        output:
            csv=update(layout.table("{study}", name, "csv")),
            md=update(layout.table("{study}", name, "md")),
            tex=update(layout.table("{study}", name, "tex")),
            html=report(
                update(layout.table("{study}", name, "html")),
                caption=caption("table", name),
                category="Tables",
                subcategory="{study}",
                labels={"table": name.replace("_", " ")},
            ),
        log:
            layout.log("{study}", "table", name),
        localrule: True
        params:
            table=param("table", "table", name=name),
        message:
            f"Writing table {name} of {{wildcards.study}}"
        script:
            "../workflow/scripts/table.py"


rule verdicts:
    """Compare every published number with the measured interval."""
    input:
        unpack(inputs("verdicts")),
    output:
        csv=update(layout.verdicts("{study}")),
        html=report(
            update(layout.table("{study}", "verdicts", "html")),
            caption="../workflow/report/verdicts.rst",
            category="Tables",
            subcategory="{study}",
            labels={"table": "verdicts"},
        ),
    log:
        layout.log("{study}", "verdicts"),
    localrule: True
    message:
        "Judging {wildcards.study}"
    script:
        "../workflow/scripts/verdicts.py"


rule metrics:
    """Sum up a study for `dvc metrics` and `dvc plots`."""
    input:
        unpack(inputs("metrics")),
    output:
        metrics=update(layout.metrics("{study}")),
        curves=update(layout.plot("{study}", "curves")),
        final=update(layout.plot("{study}", "final")),
    log:
        layout.log("{study}", "metrics"),
    localrule: True
    message:
        "Summing up {wildcards.study}"
    script:
        "../workflow/scripts/metrics.py"
