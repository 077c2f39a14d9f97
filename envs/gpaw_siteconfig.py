"""How `make gpaw` builds GPAW: with FFTW, which makes labels two to three times as fast, and without MPI."""

mpi = False
fftw = True
libraries += ["fftw3"]  # noqa: F821 - GPAW's setup.py runs this file within its own names
