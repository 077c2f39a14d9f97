"""uprung: how far a GGA-pretrained potential carries over to r²SCAN, and how many labels that saves.

snakemake --cores all                                   the demo study
snakemake --cores all --configfile config/solids.yaml   another study
snakemake --cores 4 atomref                             one stage: data dft analysis atomref graphs train scaling forgetting softening report
"""

from snakemake.utils import min_version

min_version("9.20")

if not workflow.overwrite_configfiles:  # else Snakemake would merge the two studies

    configfile: workflow.source_path("config/demo.yaml")


include: "rules/common.smk"


pathvars:
    results=f"results/{STUDY.study}",


report: "docs/snakemake-report.rst"


include: "rules/data.smk"
include: "rules/dft.smk"
include: "rules/analysis.smk"
include: "rules/graphs.smk"
include: "rules/atomref.smk"
include: "rules/training.smk"
include: "rules/pretraining.smk"
include: "rules/scaling.smk"
include: "rules/errors.smk"
include: "rules/forgetting.smk"
include: "rules/softening.smk"
include: "rules/report.smk"


localrules:
    all,
    data,
    dft,
    analysis,
    atomref,
    graphs,
    train,
    pretraining,
    scaling,
    forgetting,
    softening,
    report,


rule all:
    default_target: True
    input:
        rules.report.input,


rule dft:
    """Labels of one's own, if the study computes any."""
    input:
        expand(
            "<results>/own_dft/{fidelity}/chunk{chunk}.jsonl",
            fidelity=COMPUTED,
            chunk=CHUNKS,
        ),


rule data:
    """Frames, pairs, split and nested subsets."""
    input:
        expand("<results>/frames/{fidelity}/manifest.json", fidelity=STUDY.fidelities),
        expand("<results>/pairs/{pair}/manifest.json", pair=STUDY.pairs),
        "<results>/split/sizes.csv",
