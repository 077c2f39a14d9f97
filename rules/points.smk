"""A study of given points: their learning curves and its page; nothing is trained."""

SCRATCH, COMPARED = STUDY.scratch, {}
ARM_LABELS = STUDY.labels
TEST_NOISE, PUBLISHED, YARDSTICKS = {}, {}, {}
NETWORKS, OWN_NETWORKS, BOOTSTRAP = {}, [], 0
SEVERAL_BUDGETS = False
LAWS = STUDY.laws
X_LABEL = STUDY.x_label


rule read_points:
    input:
        POINTS,
    output:
        curves="<results>/scaling/curves.csv",
        left_out="<results>/scaling/left_out.csv",
    params:
        smallest=STUDY.smallest,
        data=lambda w: contents([POINTS]),
    message:
        "Reading the learning curves in {input}"
    script:
        "../scripts/read_points.py"


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
    params:
        study=plain(STUDY),
        # functions: Snakemake takes braces in a text for wildcards
        command=lambda w: f"{COMMAND} --config points={STUDY.points} study={STUDY.study}",
    message:
        "Writing the report"
    script:
        "../scripts/write_points_report.py"
