"""The page that a person reads."""


rule write_report:
    input:
        **{name: [f"<results>/{file}" for file in expanded(entry.file, STUDY)] for name, entry in FILES.items()},
        look=PAGE_LOOK,
        figures=expand("<results>/figures/{figure}.svg", figure=figures_of(STUDY)),
        # stand in for an SVG that is too large for the page
        bitmaps=expand("<results>/figures/{figure}.png", figure=figures_of(STUDY)),
    output:
        "<results>/report.html",
    params:
        # how runs are trained, scheduled and followed is not on the page
        study=without(STUDY, "training", "resources", "tracking"),
        command=lambda w: COMMAND,
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"
