"""The page of a study of given points."""


rule write_points_report:
    input:
        **{name: f"<results>/scaling/{name}.csv" for name in SHOWN_TABLES},
        template=TEMPLATE,
        css=STYLE,
        points=POINTS,
        left_out="<results>/scaling/left_out.csv",
        curves="<results>/scaling/curves.csv",
        figures=expand("<results>/figures/{figure}.svg", figure=SCALING_FIGURES),
        # stand in for an SVG that is too large for the page
        bitmaps=expand("<results>/figures/{figure}.png", figure=SCALING_FIGURES),
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
        command=f"snakemake --cores all --configfile {' '.join(CONFIG_FILES)} "
        f"--config points={STUDY.points} study={STUDY.study}",
    message:
        "Writing the report"
    script:
        "../scripts/write_points_report.py"
