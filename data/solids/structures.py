"""The distorted crystals of solids.jsonl.gz: prototypes, seeded frames, and the k grids of the second part.

`python structures.py structures.extxyz` writes the structures of the second part in the order of labelling. The first part (76
materials, index below 4) was labelled by label_gpaw.py, from which prototypes and frames are taken unchanged."""
import hashlib, json, sys
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import kpts2sizeandoffsets

K_DENSITY = 1.5

def antifluorite(c, an, a):  # anion on fcc, cation on tetrahedral: c2 an
    b = a / 2
    return Atoms([an, c, c], cell=[[0, b, b], [b, 0, b], [b, b, 0]], scaled_positions=[[0, 0, 0], [.25] * 3, [.75] * 3], pbc=True)

def element(f, st, a):
    x = bulk(f, st, a=a)
    return x if len(x) > 1 else x * (2, 1, 1)

OLD = {}
for f, a in {"LiF": 4.03, "LiCl": 5.13, "LiBr": 5.50, "NaF": 4.63, "NaCl": 5.64, "NaBr": 5.97, "KF": 5.35, "KCl": 6.29, "MgO": 4.21, "MgS": 5.20, "MgSe": 5.46, "CaO": 4.81, "CaS": 5.69, "CaSe": 5.92, "ScN": 4.50, "TiN": 4.24, "TiC": 4.33, "LiH": 4.08, "NaH": 4.88, "SrO": 5.16, "ZrC": 4.70, "ZrN": 4.58, "YN": 4.88, "SrS": 6.02}.items():
    OLD[f + "-rs"] = bulk(f, "rocksalt", a=a)
for f, a in {"BN": 3.62, "BP": 4.54, "BAs": 4.78, "AlP": 5.47, "AlAs": 5.66, "AlN": 4.38, "SiC": 4.36, "GaP": 5.45, "GaAs": 5.65, "GaN": 4.50, "ZnS": 5.41, "ZnSe": 5.67, "ZnO": 4.58, "BeO": 3.80, "BeS": 4.87, "BeSe": 5.15, "MgS": 5.62, "LiF": 4.30}.items():
    OLD[f + "-zb"] = bulk(f, "zincblende", a=a)
for f, a in {"LiF": 2.48, "NaCl": 3.46, "MgO": 2.66, "LiAl": 3.20, "MgZn": 3.20, "ScAl": 3.37}.items():
    OLD[f + "-cs"] = bulk(f, "cesiumchloride", a=a)
for f, st, a in [("Li", "bcc", 3.44), ("Na", "bcc", 4.19), ("K", "bcc", 5.28), ("Al", "fcc", 4.04), ("Si", "diamond", 5.46), ("Ge", "diamond", 5.76), ("C", "diamond", 3.57), ("Ca", "fcc", 5.53), ("Sr", "fcc", 6.02), ("Mg", "fcc", 4.52), ("Be", "fcc", 3.16), ("Ti", "fcc", 4.11), ("Sc", "fcc", 4.62), ("Zr", "fcc", 4.53), ("Zn", "fcc", 3.93), ("Ga", "fcc", 4.24)]:
    OLD[f + "-" + st] = element(f, st, a)
for c, an, a in [("Li", "O", 4.63), ("Na", "O", 5.55), ("Li", "S", 5.71), ("Be", "C", 4.33), ("Mg", "Si", 6.35), ("Na", "S", 6.53), ("Mg", "Ge", 6.39)]:
    OLD[f"{c}2{an}-af"] = antifluorite(c, an, a)
for c, an, a in [("F", "Ca", 5.46), ("F", "Sr", 5.80), ("O", "Zr", 5.07), ("H", "Sc", 4.78), ("H", "Ti", 4.45)]:
    OLD[f"{an}{c}2-fl"] = antifluorite(c, an, a)

NEW = {}
for f, a in {"LiI": 6.03, "NaI": 6.53, "KBr": 6.70, "RbF": 5.72, "RbCl": 6.72, "SnTe": 6.40, "GeTe": 6.02, "PbS": 6.00, "PbTe": 6.56, "VN": 4.12, "VC": 4.16, "NbC": 4.49, "NbN": 4.43, "CaTe": 6.40, "CdO": 4.77, "AgCl": 5.61, "AgBr": 5.85, "HfC": 4.65, "HfN": 4.53, "TaC": 4.48, "BaO": 5.61, "BaS": 6.44, "TiB": 4.55}.items():
    NEW[f + "-rs"] = bulk(f, "rocksalt", a=a)
for f, a in {"AlSb": 6.23, "GaSb": 6.22, "InP": 5.96, "InAs": 6.19, "BeTe": 5.67, "ZnTe": 6.18, "CdS": 5.93, "CdTe": 6.62, "MgTe": 6.51, "CuCl": 5.43, "CuBr": 5.75}.items():
    NEW[f + "-zb"] = bulk(f, "zincblende", a=a)
for f, a in {"CsCl": 4.20, "AgMg": 3.33, "CuZn": 2.97}.items():
    NEW[f + "-cs"] = bulk(f, "cesiumchloride", a=a)
NEW["Sn-diamond"] = element("Sn", "diamond", 6.65)

# materials of the first part that get four more frames: the fastest of them, by seconds per pair of labels
AGAIN = """
Li2S-af Ge-diamond LiAl-cs GaP-zb Li-bcc LiH-rs Si-diamond LiF-cs LiBr-rs MgS-zb GaAs-zb Be-fcc Na2O-af MgSe-rs NaCl-rs
LiF-zb AlAs-zb ZnSe-zb AlP-zb BP-zb C-diamond Li2O-af BeO-zb ScAl-cs CaS-rs MgZn-cs AlN-zb MgO-rs GaN-zb NaH-rs NaCl-cs
Be2C-af Ga-fcc KCl-rs
""".split()

# frame kinds: (strain sd, volume range, rattle sd in A)
KINDS = [(0.005, (0.99, 1.01), 0.02), (0.02, (0.95, 1.06), 0.06), (0.03, (0.90, 1.12), 0.12), (0.04, (0.85, 1.20), 0.20)]

def frame(name, k):
    seed = int(hashlib.sha256(f"{name}/{k}".encode()).hexdigest()[:8], 16)
    r = np.random.default_rng(seed)
    sd, (v0, v1), rat = KINDS[k % 4]
    a = {**OLD, **NEW}[name].copy()
    e = r.normal(0, sd, (3, 3)); e = (e + e.T) / 2; e -= np.eye(3) * np.trace(e) / 3
    a.set_cell(a.cell @ (np.eye(3) + e) * r.uniform(v0, v1) ** (1 / 3), scale_atoms=True)
    a.positions += r.normal(0, rat, a.positions.shape)
    return a

def structure(name, k):
    a = frame(name, k)
    size, _ = kpts2sizeandoffsets(density=K_DENSITY, gamma=True, atoms={**OLD, **NEW}[name])
    a.info = {"frame_id": f"{name}-{k:02d}", "material_id": name, "kpts": [int(n) for n in size]}
    a.positions, a.cell[:] = a.positions.round(8), a.cell.array.round(8)
    return a

def order():
    """Names and numbers of the second part: cheap ones first, materials and kinds of distortion interleaved."""
    first = "AlSb-zb GaSb-zb InP-zb InAs-zb BeTe-zb ZnTe-zb MgTe-zb CdS-zb CdTe-zb CuCl-zb CuBr-zb LiI-rs NaI-rs KBr-rs RbF-rs RbCl-rs SnTe-rs GeTe-rs PbTe-rs Sn-diamond VN-rs NbC-rs AgCl-rs AgBr-rs".split()
    then = [n for n in NEW if n not in first]
    jobs = []
    for k in range(4):
        jobs += [(n, k) for n in first] + [(n, 4 + k) for n in AGAIN]
    jobs += [(n, k) for k in range(4) for n in then]
    return jobs

if __name__ == "__main__":
    import ase.io
    ase.io.write(sys.argv[1], [structure(n, k) for n, k in order()], format="extxyz")
