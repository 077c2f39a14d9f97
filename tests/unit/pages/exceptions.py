"""What of the pages no test runs or checks, and why. A test refuses entries that no page has any more."""

#: Command -> why nothing checks it.
COMMANDS = {
    "apt-get install libxc-dev libopenblas-dev libfftw3-dev": "packages of the system, which only root installs",
    "sinfo -o '%P %l %m %c %G'": "asks a SLURM; the one of tests/service/slurm has two partitions",
}

#: Page and first line of a block -> why nothing runs it.
BLOCKS = {
    "docs/how-to.md: from uprung.job import mock_snakemake": "IPython's %run; tests/workflow/test_mock.py has it",
    "docs/tutorials/softening.md: from mace.calculators import MACECalculator": "mace is in .venv-mace: "
    "tests/workflow/test_tutorials.py follows the page there",
    'docs/tutorials/cluster.md: $ squeue -o "%i %T %M %k"': "what a SLURM printed; tests/service/slurm starts one",
    "docs/tutorial.md: 14 of 63 jobs, 3 of 12 runs trained, 21:40 | Training transfer on n = 53, seed 1, steps1000; "
    "Testing scratch on n = 53, seed 0, steps1000": "a line of a terminal, as tests/unit/cli/test_progress.py has it",
}
