"""Learning curves from a table of given points: nothing is trained."""

SCRATCH = STUDY.scratch
ARM_LABELS = STUDY.labels
TEST_NOISE, PUBLISHED = {}, {}
SEVERAL_BUDGETS = False
LAWS = STUDY.laws
X_LABEL = STUDY.x_label


rule read_points:
    input:
        POINTS,
    output:
        curves="<results>/scaling/curves.csv",
        left_out="<results>/scaling/left_out.csv",
    log:
        "<results>/logs/scaling/curves.log",
    benchmark:
        "<results>/benchmarks/scaling/curves.tsv"
    conda:
        "../envs/analysis.yaml"
    params:
        smallest=STUDY.smallest,
    message:
        "Reading the learning curves in {input}"
    script:
        "../scripts/read_points.py"
