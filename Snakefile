"""uprung: how far a GGA-pretrained potential carries over to r²SCAN, and how many labels that saves.

snakemake --cores all                                   the demo study
snakemake --cores all --configfile config/dimers.yaml   another study
snakemake --cores 4 atomref                             one stage: data dft analysis atomref graphs train scaling forgetting softening physics report
snakemake --cores 1 scaling --configfile config/points.yaml --config points=my.csv study=mine      laws of given points
"""

from snakemake.utils import min_version

min_version("9.20")

if not workflow.overwrite_configfiles:  # else Snakemake would merge the two studies

    configfile: workflow.source_path("config/demo.yaml")


include: "rules/common.smk"
include: "rules/networks.smk"


pathvars:
    results=f"results/{STUDY.study}",


report: "docs/snakemake-report.rst"


onstart:
    gc.enable()  # see rules/common.smk
    look_for_jobs_when_one_ends()
    check_results()
    check_environments()


if POINTS:

    include: "rules/points.smk"
    include: "rules/scaling.smk"

else:

    include: "rules/data.smk"
    include: "rules/dft.smk"
    include: "rules/analysis.smk"
    include: "rules/training.smk"
    include: "rules/atomref.smk"
    include: "rules/evaluation.smk"
    include: "rules/scaling.smk"
    include: "rules/softening.smk"
    include: "rules/holes.smk"
    include: "rules/physics.smk"
    include: "rules/report.smk"

    localrules:
        data,
        dft,
        analysis,
        atomref,
        graphs,
        train,
        pretraining,
        forgetting,
        softening,
        physics,
        snapshots,


localrules:
    all,
    scaling,
    report,


rule report:
    """The report page."""
    input:
        "<results>/report.html",


rule all:
    default_target: True
    input:
        rules.report.input,


recall()  # what was found in the code when Snakemake started before
for each in workflow.rules:
    if each.script:
        file = Path(ROOT, "scripts", Path(each.script).name)
        needs_network = REGISTRY in closure(file)
        own = [] if POINTS else [ARCHITECTURE.name]
        LOADING |= {each.name} if needs_network else set()
        names = dict(each.params.items()).get("architectures", own)
        code = for_each_job(code_of, file, names) if needs_network else code_digest(file)
        each.set_params(code=code)  # a job runs again when it changes
        usual = for_each_job(conda_of, names) if needs_network else "../envs/analysis.yaml"
        each.conda_env = each.conda_env or usual
        each.log_modifier = each.benchmark_modifier = each.output_modifier
        if not each.log:
            each.set_log(log_of(each))
        if not each.benchmark:
            each.benchmark = benchmark_of(each)
    remember_parameters(each)
if workflow.is_main_process:
    keep(*([] if POINTS else (card.module for card in every_card())))

refuse_forced_stages()
refuse_results_of_another_study()
