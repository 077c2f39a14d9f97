"""What a Snakemake job needs and no result depends on: files, logs, locks, parent process, devices, fingerprint."""

from uprung.job.mock import mock_snakemake

__all__ = ["mock_snakemake"]
