"""Cut the files of this folder from the published ones: python data/physics/extract.py <folder of the published files>.

Records are copied as they are, but for forces and stresses of the arrangements; BaZrO3 is written as JSON, numbers unchanged.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
COMPOUNDS = (
    "MgO CaO SrO BaO LiF LiCl NaF NaCl KCl MgS ZnS ZnO CdTe GaAs GaP InP AlN AlP AlAs BN BP SiC TiC TiN ZrN VN HfC NiAl CuZn FeAl"
).split()
ARRANGEMENTS, CRYSTALS = 8, 40


def load(path):
    return json.loads(gzip.decompress(path.read_bytes()))


def save(name, content):
    text = json.dumps(content, separators=(",", ":")).encode()
    (HERE / name).write_bytes(gzip.compress(text, mtime=0))


def atoms(record):
    return len(record["structure"]["sites"])


def by_formula(records):
    """Return the record with the fewest atoms of every compound, of equal ones the first by number of its id."""
    found = []
    for formula in COMPOUNDS:
        own = [record for record in records if record["formula"] == formula]
        if own:
            found.append(min(own, key=lambda record: (atoms(record), int(record["mp_id"].split("-")[1]))))
    return found


def arrangements(records):
    found, count = [], {}
    for record in sorted(records, key=lambda record: int(record["notes"].get("relax", -1))):
        if "relax" in record["notes"]:
            share = sum(site["species"][0]["element"] == "Ta" for site in record["structure"]["sites"])
            count[share] = count.get(share, 0) + 1
            if count[share] <= ARRANGEMENTS:
                found.append(record | {"outputs": {"energy": record["outputs"]["energy"]}})
    return found


def main(published):
    matcalc, snap = published / "matcalc-pbe", published / "snap-pbe"
    save("elasticity.json.gz", by_formula(load(matcalc / "mp-binary-pbe-elasticity-2025.1.json.gz")))
    save("heat-capacity.json.gz", by_formula(load(matcalc / "alexandria-binary-pbe-phonon-2025.1.json.gz")))
    crystals = load(matcalc / "wbm-random-pbe52-equilibrium-2025.1.json.gz")
    save("volumes.json.gz", sorted(crystals, key=lambda record: (atoms(record), record["material_id"]))[:CRYSTALS])
    save("mixing-MoTa.json.gz", arrangements(load(snap / "NbMoTaW_MoTa_SS.json.gz")))
    bazro3 = yaml.safe_load((published / "bazro3-pbe/phonopy_params.yaml").read_text())
    save("BaZrO3.json.gz", {key: bazro3[key] for key in ("phonopy", "unit_cell", "supercell_matrix", "force_constants")})
    for table, name in (("Table-A1-fcc", "vacancies-fcc"), ("Table-A2-hcp", "vacancies-hcp")):
        shutil.copy(published / f"vacancy-elements-pbe/{table}.csv", HERE / f"{name}.csv")
    for name, folder in (("matcalc", "matcalc-pbe"), ("snap", "snap-pbe"), ("mlip-arena", "bazro3-pbe")):
        shutil.copy(published / folder / "LICENSE.upstream", HERE / f"LICENSE.{name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
