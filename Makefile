# make demo    set up .venv, run the demo study, say where the report is
# make test    set up .venv, run all fast checks; make test-long, make test-slow: the others
# make mace    set up .venv-mace, in which jobs of MACE run
# make gpaw    build GPAW into .venv, for studies that compute labels of their own (docs/how-to/own-dft.md)
# make docs    write the documentation as a site, site/index.html
# make service set up .venv-service, in which the tests of tests/service start a Materials Project of their own
PYTHON ?= python3
BIN := .venv/bin
CORES ?= all
MACE_TESTS := tests/unit/models/mace tests/unit/models/test_contract.py -k mace

.PHONY: demo kernels test test-long test-slow slurm architectures mace gpaw dft-check service check schema docs rulegraph clean

demo: .venv/.stamp .venv/.kernels
	$(BIN)/snakemake --cores $(CORES)
	@echo
	@echo "report:   $(CURDIR)/results/demo/report.html"
	@echo "figures:  $(CURDIR)/results/demo/figures/"
	@echo "numbers:  $(CURDIR)/results/demo/scaling/laws.csv and the files beside it"

test: .venv/.kernels check service .venv/.architectures .venv-mace/.stamp .venv-docs/.stamp .venv/.browser
	$(BIN)/python -m pytest -n 2 -m "not slow and not long"
	.venv-mace/bin/python -m pytest -n 2 $(MACE_TESTS)

# a file stays on one worker, so that the study that its tests share runs once
test-long: service .venv/.architectures .venv-mace/.stamp .venv-docs/.stamp .venv/.browser
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "long and not slow"

test-slow: .venv/.architectures .venv-mace/.stamp
	$(BIN)/python -m pytest -m slow

# six minutes, twelve beside other work, most of them waiting; needs root and: apt-get install slurmctld slurmd slurm-client munge
slurm: .venv/.stamp
	$(BIN)/python -m pytest -m slow tests/service/slurm

check: .venv/.architectures
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules workflow
	$(BIN)/snakemake --lint

# M3GNet, TensorNet (matgl) and SevenNet (sevenn) beside CHGNet
architectures: .venv/.architectures
.venv/.architectures: requirements-architectures.lock .venv/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-architectures.lock
	touch $@

# what drives a chromium that is installed, for the tests of the report: 130 MB that no study needs
.venv/.browser: tests/requirements-browser.txt .venv/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

# MACE pins another e3nn than SevenNet needs: an environment with a few packages of its own, before those of .venv
mace: .venv-mace/.stamp
.venv-mace/.stamp: requirements-mace.lock .venv/.stamp
	rm -rf .venv-mace
	$(BIN)/python -m venv .venv-mace
	.venv-mace/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-mace.lock
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$(.venv-mace/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/of-the-project.pth
	touch $@

# the documentation as a site, built without network; links and anchors are checked, and that nothing is loaded from elsewhere
docs: .venv-docs/.stamp
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "site/index.html"

# a few packages that no study needs
.venv-docs/.stamp: requirements-docs.lock
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-docs.lock
	touch $@

# schema, key list and list of results are generated from the code and tested to be up to date
schema: .venv/.stamp
	$(BIN)/python -m uprung.config.docs config
	$(BIN)/python -m uprung.report.captions docs

# the picture of docs/architecture.md, tested to be up to date; Debian, Ubuntu: apt-get install graphviz
rulegraph: .venv/.stamp
	$(BIN)/snakemake --rulegraph 2>/dev/null | sed 's/color = "[^"]*"/color = "#4a6fa5"/; s/bgcolor=white/bgcolor=none/; s/=2/=1/g' \
	  | tred | dot -Tsvg -Nfillcolor=white -Nstyle=filled -o docs/images/rules.svg

.venv/.stamp: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "uprung needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
	  { echo "python3-venv is missing: apt-get install python3-venv"; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# the kernels of CHGNet in C, where there is a compiler: a step takes a fifth less (docs/performance.md); seconds
kernels: .venv/.kernels
.venv/.kernels: src/uprung/models/chgnet/kernels.c .venv/.stamp
	-$(BIN)/python -m uprung.models.chgnet.compiled
	@touch $@

# Debian, Ubuntu: apt-get install libxc-dev libopenblas-dev libfftw3-dev
gpaw: .venv/.stamp
	CC=g++ CXX=g++ GPAW_CONFIG=$(CURDIR)/envs/gpaw_siteconfig.py $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --no-cache-dir --no-deps gpaw==26.7.0 gpaw-data==1.2.1

# half an hour on one core: the forces and stresses of labels against differences of the free energy
dft-check:
	OMP_NUM_THREADS=1 PYTHONPATH=src $(BIN)/python benchmarks/dft_check.py

# emmet-api and moto need a hundred packages that no study needs; without them tests/service is skipped
# and matcalc, beside which slopes of forces and properties of crystals are held
service: .venv-service/.stamp .venv-service/matcalc/.stamp

.venv-service/.stamp: tests/service/requirements.txt
	test -x .venv-service/bin/python || $(PYTHON) -m venv .venv-service
	.venv-service/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

.venv-service/matcalc/.stamp: tests/service/matcalc.txt .venv-service/.stamp
	.venv-service/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(@D) -r $<
	touch $@

clean:
	rm -rf results .snakemake site
