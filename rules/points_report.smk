"""The page of a study of given points."""


rule write_points_report:
    input:
        **{name: f"<results>/{entry.file}" for name, entry in POINTS_FILES.items()},
        look=PAGE_LOOK,
        points=POINTS,
        figures=expand("<results>/figures/{figure}.svg", figure=LAW_FIGURES),
        # stand in for an SVG that is too large for the page
        bitmaps=expand("<results>/figures/{figure}.png", figure=LAW_FIGURES),
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    benchmark:
        "<results>/benchmarks/report.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        study=plain(STUDY),
        command=f"{COMMAND} --config points={STUDY.points} study={STUDY.study}",
    message:
        "Writing the report"
    script:
        "../scripts/write_points_report.py"
