"""What a Snakemake job needs and no result depends on: files, logs, locks, parent process, devices, provenance."""
