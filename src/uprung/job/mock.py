"""The `snakemake` object of a job, for running a script from an editor or a notebook."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any


def mock_snakemake(
    rule: str, *, study: str = "config/demo.yaml", snakefile: str = "Snakefile", **wildcards: object
) -> Any:
    """Return what Snakemake would give to the script of a job: input, output, params, wildcards, threads, log, config.

    Nothing is run, written or locked. Paths are relative to the working folder, as those of Snakemake are.

    Args:
        rule: name of a rule with a script.
        study: the study file.
        snakefile: the workflow.
        wildcards: all that the rule has, as they stand in paths.

    Raises:
        snakemake.exceptions.WorkflowError: no such rule, or wildcards that its outputs do not have.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.script import Snakemake
    from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings
    from snakemake.target_jobs import TargetSpec

    target = DAGSettings(
        target_jobs=[TargetSpec(rule, {name: str(value) for name, value in wildcards.items()})], targets=set()
    )
    quiet = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with redirect_stderr(StringIO()), SnakemakeApi(quiet) as api:
        workflow = api.workflow(
            ResourceSettings(cores=1), ConfigSettings(configfiles=[Path(study)]), snakefile=Path(snakefile)
        )
        workflow.dag(target).execute_workflow(executor="dryrun")
        built = workflow._workflow  # the API gives no other way to a job
    (job,) = [job for job in built.dag.targetjobs if job.rule.name == rule]
    named = (job.input, job.output, job.params, job.wildcards, job.threads, job.resources, job.log)
    return Snakemake(*named, built.globals["config"], rule, None, str(Path(snakefile).parent / "scripts"))
