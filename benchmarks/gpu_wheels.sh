#!/bin/sh
# Fill a folder with the wheels that benchmarks/gpu.py needs beside torch (with CUDA), lightning, pandas, pyarrow, scipy,
# scikit-learn and torch-geometric, for a Linux machine without network; versions are those of requirements.lock.
#
#   sh benchmarks/gpu_wheels.sh [--python 3.12] [FOLDER]        FOLDER: benchmarks/wheels
#
# It ends with an error when a wheel is missing or all of them are larger than 55 MiB.
set -eu
python=3.12
folder=
while [ $# -gt 0 ]; do
  case $1 in
    --python) python=$2; shift 2 ;;
    -*) echo "usage: sh benchmarks/gpu_wheels.sh [--python 3.12] [FOLDER]" >&2; exit 2 ;;
    *) folder=$1; shift ;;
  esac
done
here=$(cd "$(dirname "$0")" && pwd)
folder=${folder:-$here/wheels}
limit=55 # MiB

# Left out: what nothing here imports (plotly, grpcio, tensorboard, docutils, GitPython, SLURM's plugins) and PuLP,
# whose solvers the greedy scheduler of profiles/default does not ask.
packages="annotated-types argparse-dataclass ase chgnet conda-inject ConfigArgParse contourpy cycler dpath
fastjsonschema humanfriendly immutables jsonschema jsonschema-specifications jupyter_core kiwisolver lmdb lxml matplotlib
monty nbformat orjson palettable pillow platformdirs pydantic pydantic_core pymatgen pymatgen-core referencing rpds-py
ruamel.yaml smart_open snakemake snakemake-interface-common snakemake-interface-executor-plugins
snakemake-interface-logger-plugins snakemake-interface-report-plugins snakemake-interface-scheduler-plugins
snakemake-interface-storage-plugins spglib sqlmodel tabulate tenacity throttler traitlets typing-inspection
uncertainties vesin wrapt yte"
pure="fonttools SQLAlchemy" # the builds for any machine are a fifth and a half of the compiled ones
sources="bibtexparser connection_pool nvidia-ml-py3" # no wheels are published; pure Python

versions() {
  for name in "$@"; do
    grep -i "^$name==" "$here/../requirements.lock" || { echo "$name is not in requirements.lock" >&2; exit 1; }
  done
}

mkdir -p "$folder"
rm -f "$folder"/*.whl
platforms=
for n in 35 34 31 28 27 24 17 12 5; do platforms="$platforms --platform manylinux_2_${n}_x86_64"; done
wanted=$(versions $packages)
smaller=$(versions $pure)
unpublished=$(versions $sources)
python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version "$python" --implementation cp $platforms \
  --platform manylinux2014_x86_64 --platform manylinux1_x86_64 --dest "$folder" $wanted
python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version "$python" --implementation py --platform any \
  --dest "$folder" $smaller
python3 -m pip wheel --quiet --no-deps --wheel-dir "$folder" $unpublished

count=$(ls "$folder"/*.whl | wc -l)
expected=$(printf '%s\n' $wanted $smaller $unpublished | wc -l)
if [ "$count" -ne "$expected" ]; then
  echo "$folder has $count wheels instead of $expected" >&2
  exit 1
fi
bytes=$(cat "$folder"/*.whl | wc -c)
tenths=$((bytes * 10 / 1048576))
if [ "$bytes" -gt $((limit * 1048576)) ]; then
  echo "$folder has $((tenths / 10)).$((tenths % 10)) MiB, more than $limit" >&2
  exit 1
fi
echo "$folder: $count wheels for Python $python, $((tenths / 10)).$((tenths % 10)) MiB of at most $limit"
