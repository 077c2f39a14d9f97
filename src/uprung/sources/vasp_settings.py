"""What decides the labels of a VASP run, from INCAR, resolved parameters and potentials.

The comparison is by an allow-list. A key that is known to change no label (`_HARMLESS`) is passed over. What makes the
energy another quantity is refused (`_NEVER`) or needs to be stated in the study (`_STATED`). Every other key of INCAR
has one value in a fidelity, whether uprung knows it or not. (VASP wiki, pages of the INCAR tags.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from uprung.sources.common import UnusableError, same_functional
from uprung.sources.settings import UNSET, Settings, canonical, nothing

#: Value of METAGGA or GGA -> functional. Without either it is what the potentials were made for, by their titles.
_FUNCTIONALS = {
    "R2SCA": "r2SCAN", "R2SCAN": "r2SCAN", "RSCAN": "rSCAN", "SCAN": "SCAN", "PE": "PBE", "PS": "PBEsol",
    "RE": "revPBE", "RP": "RPBE", "91": "PW91", "CA": "LDA",
}  # fmt: skip
_POTENTIALS = {"PAW_PBE": "PBE", "PAW_GGA": "PW91", "PAW": "LDA"}
_DISPERSION = {
    "1": "D2", "10": "D2", "11": "D3", "12": "D3(BJ)", "13": "D4", "15": "simple-DFT-D3", "2": "TS", "20": "TS",
    "21": "TS-HI", "202": "MBD", "263": "MBD-FI", "3": "ulg", "4": "dDsC",
}  # fmt: skip
#: Switches that make the energies those of another kind of calculation.
_NEVER = {
    "LHFCALC": "a hybrid functional",
    "LRHFCALC": "a hybrid functional",
    "LMODELHF": "a hybrid functional",
    "LEPSILON": "linear response, whose electronic steps are not those of the ground state",
    "LCALCEPS": "finite electric fields",
    "ML_LMLFF": "a machine-learnt force field",
}
#: Values of ALGO that do not minimise the functional.
_NO_MINIMUM = tuple(
    "ACFDT BSE CHI EIGENVAL EVGW EXACT G0W0 GW NONE NOTHING QPGW RPA SCGW SUBROT TDHF TIMEEV 2E4W CC".split()
)


def _ones(value: str) -> bool:
    return all(word == "1" for word in canonical(value).split())


def _below(limit: float) -> Callable[[str], bool]:
    return lambda value: _number(value) < limit


#: Key -> whether its value is the usual one, and what it is otherwise.
_STATED: dict[str, tuple[Callable[[str], bool], str]] = {
    "PSTRESS": (nothing, "the energies contain an external pressure"),
    "ICHARG": (_below(10), "the density is not self-consistent"),
    "I_CONSTRAINED_M": (nothing, "the moments are constrained, and the energy contains a penalty"),
    "NUPDOWN": (_below(0), "the total moment is fixed"),
    "LSOL": (nothing, "the cell is in an implicit solvent"),
    "ISOL": (nothing, "the cell is in an implicit solvent"),
    "EFIELD": (nothing, "there is an electric field"),
    "EFIELD_PEAD": (nothing, "there is an electric field"),
    "DFIELD": (nothing, "there is an electric field"),
    "BEXT": (nothing, "there is a magnetic field"),
    "OFIELD_A": (nothing, "there is a bias field"),
    "LDIPOL": (nothing, "the potential has a dipole correction"),
    "IDIPOL": (nothing, "the energy has a dipole correction"),
    "LMONO": (nothing, "the energy has a monopole correction"),
    "VCA": (_ones, "sites are mixtures of elements (virtual crystal)"),
    "LSPIRAL": (nothing, "the moments are a spin spiral"),
    "LTHOMAS": (nothing, "exchange is screened"),
    "EXXOEP": (nothing, "exchange is an optimised effective potential"),
    "ALDAX": (_ones, "exchange is scaled"),
    "AGGAX": (_ones, "exchange is scaled"),
    "AMGGAX": (_ones, "exchange is scaled"),
    "ALDAC": (_ones, "correlation is scaled"),
    "AGGAC": (_ones, "correlation is scaled"),
    "AMGGAC": (_ones, "correlation is scaled"),
    "SCALEE": (_ones, "energies and forces are scaled"),
    "ICORELEVEL": (_below(2), "there is a hole in the core"),
    "ISMEAR": (lambda value: _number(value) not in (-2, -3), "occupations are given, not found"),
    "IMAGES": (nothing, "forces are those of a chain of images"),
    "ICHAIN": (nothing, "forces are those of a saddle-point search"),
    "MDALGO": (lambda value: _number(value) not in (11, 21), "forces contain a metadynamics bias"),
    "IBRION": (lambda value: _number(value) not in (7, 8), "the run is linear response"),
    "ALGO": (lambda value: not canonical(value).startswith(_NO_MINIMUM), "the energy is no minimum of the functional"),
}
#: Keys that are compared even where INCAR is silent, with VASP's default.
_DEFAULTS = {
    "PREC": "normal", "ISPIN": "1", "LNONCOLLINEAR": "F", "LASPH": "F", "LREAL": "F", "ADDGRID": "F", "GGA_COMPAT": "T",
    "ISMEAR": "1", "IVDW": "0", "LUSE_VDW": "F", "LSORBIT": "F",
}  # fmt: skip
#: Keys that change no label: start, path and end of the minimisation (whose success is checked), output, parallel work.
_HARMLESS = frozenset(
    """SYSTEM ISTART INIWAV MAGMOM NELM NELMIN NELMDL EDIFF EDIFFG ALGO IALGO LDIAG LSUBROT NSIM NPAR NCORE KPAR NBLK
    NBANDS NRMM WEIMIN EBREAK DEPER TIME AMIX BMIX AMIN AMIX_MAG BMIX_MAG IMIX MIXFIRST MAXMIX WC INIMIX MIXPRE
    MREMOVE LMAXMIX LMIXTAU NSW IBRION ISIF NFREE POTIM SMASS MDALGO TEBEG TEEND NBLOCK KBLOCK NPACO APACO ISYM
    SYMPREC LORBIT RWIGS NEDOS EMIN EMAX EFERMI NWRITE LWAVE LCHARG LAECHG LVTOT LVHAR LELF LOPTICS LPARD LPLANE
    LSCALAPACK LSCALU LASYNC LSCAAWARE LORBITALREAL POMASS LDAUPRINT LANGEVIN_GAMMA LANGEVIN_GAMMA_L PMASS
    ANDERSEN_PROB NSUBSYS TSUBSYS PSUBSYS CSVR_PERIOD NHC_NCHAINS NHC_PERIOD NHC_NRESPA NHC_NS RANDOM_SEED IWAVPR
    LDOWNSAMPLE LH5 LWAVEH5 LCHARGH5 LSYNCH5 LWANNIER90 LWANNIER90_RUN LWRITE_MMN_AMN LWRITE_UNK NTAUPAR NOMEGAPAR
    MAXMEM LEFG QUAD_EFG LCALCPOL NCORE_IN_IMAGE1 M_CONSTR LAMBDA DIPOL LPETIM IDIOT LMUSIC PLEVEL CSHIFT KPUSE STM
    ICHARG NUM_WANN LCHIMAG LNABLA LPHON_DISPERSION PHON_NSTRUCT LATTICE_CONSTRAINTS LBADER LDISENTANGLED
    KPOINTS_OPT_MODE LKPOINTS_OPT TURBO IRESTART NREBOOT NMIN
    """.split()
)
#: Keys that make up a setting of another name.
_ELSEWHERE = frozenset("METAGGA GGA LDAU LDAUTYPE LDAUU LDAUJ LDAUL NELECT ENCUT ENMAX SIGMA LVDW".split())


#: Electrons by which NELECT may miss the valences, for rounding.
SAME_CHARGE = 1e-3


@dataclass
class Input:
    """The input of a run: keys of INCAR, all parameters as VASP resolved them, and species with their potentials.

    Attributes:
        incar: key in capitals -> its words.
        parameters: the same of VASP's own list.
        elements: element of every atom.
        types: element, number of valence electrons as text, title of the potential.
    """

    incar: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    elements: list[str] = field(default_factory=list)
    types: list[tuple[str, str, str]] = field(default_factory=list)

    def get(self, key: str, default: str = "") -> str:
        """Return the value of a key: that of INCAR, else the resolved one, else the default."""
        return self.incar.get(key) or self.parameters.get(key) or default

    def on(self, key: str) -> bool:
        """Return whether a switch is on."""
        return canonical(self.get(key)) == "T"

    def number(self, key: str, default: str = "0") -> float:
        """Return the value of a key that is one number.

        Raises:
            UnusableError: it is none.
        """
        try:
            return _number(self.get(key, default))
        except ValueError:
            raise UnusableError(f"{key} = {self.get(key)!r} is no number") from None


def _number(value: str) -> float:
    return float(value.lower().replace("d", "e"))


def check(run: Input, functional: str, settings: Settings) -> None:
    """Check that a run's labels are those of a functional, and comparable with those of the earlier runs.

    Args:
        run: its input.
        functional: of the fidelity.
        settings: of the fidelity's runs so far; they count this one.

    Raises:
        UnusableError: they are not.
    """
    for key, what in _NEVER.items():
        if run.on(key):
            raise UnusableError(f"{key} is on: the run is {what}")
    for key, (usual, what) in _STATED.items():
        value = run.get(key)
        if key == "AGGAC" and run.on("LUSE_VDW"):  # zero by the definition of vdW-DF; compared among the runs
            continue
        try:
            strange = bool(value) and not usual(value)
        except ValueError:
            raise UnusableError(f"{key} = {value!r} is no number") from None
        if strange:
            unit = " kbar" if key == "PSTRESS" else ""
            settings.refuse(key, value, f"{key} = {value}{unit}: {what}")
    found = functional_of(run)
    if not same_functional(found, functional):
        raise UnusableError(f"functional is {found}, but this fidelity is {functional!r}")
    parts = (_charge(run, settings), _of_elements(run), _of_run(run), _others(run, settings))
    is_first = not settings.counts
    settings.require_one(dict(chain.from_iterable(parts)))
    if is_first:
        settings.first.update({**run.parameters, **run.incar})


def functional_of(run: Input) -> str:
    """Return the functional with its dispersion correction and spin-orbit coupling: `r2SCAN+rVV10`, `PBE+D3(BJ)`."""
    meta, gga = (canonical(run.get(key)) for key in ("METAGGA", "GGA"))
    is_meta = meta not in ("", "--", "NONE", "F")
    tag = meta if is_meta else gga
    if tag in ("", "--"):
        kinds = sorted({title.split(" ")[0] for _, _, title in run.types})
        name = " and ".join(_POTENTIALS.get(kind, f"that of potentials {kind!r}") for kind in kinds) or "unknown"
    else:
        name = _FUNCTIONALS.get(tag, tag)
    if run.on("LUSE_VDW"):
        nonlocal_kind = canonical(run.get("IVDW_NL"))
        name += "+rVV10" if nonlocal_kind == "2" or (is_meta and nonlocal_kind != "1") else "+vdW-DF"
    pairwise = canonical(run.get("IVDW", "0"))
    if pairwise not in ("0", ""):
        name += f"+{_DISPERSION.get(pairwise, f'IVDW {pairwise}')}"
    elif run.on("LVDW"):
        name += "+D2"
    return name + "+SOC" * run.on("LSORBIT")


def _charge(run: Input, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the charge: NELECT against the valence electrons of the potentials, where the run gives both."""
    electrons, neutral = run.number("NELECT"), _valence(run)
    if not electrons or neutral is None:
        return
    charge = f"{neutral - electrons:g}" if abs(neutral - electrons) > SAME_CHARGE else "0"
    if charge != "0":
        reason = f"NELECT = {electrons:g}, neutral is {neutral:g}: the cell is charged"
        settings.refuse("charge", charge, reason)
    yield "charge", charge


def _valence(run: Input) -> float | None:
    """Return the valence electrons of the atoms, None where the run does not say them for each."""
    try:
        each = {element: {_number(valence)} for element, valence, _ in run.types}
        for element, valence, _ in run.types:
            each[element].add(_number(valence))
    except ValueError:
        return None
    if any(len(each.get(element, ())) != 1 for element in run.elements):
        return None
    return sum(next(iter(each[element])) for element in run.elements)


def _of_elements(run: Input) -> Iterator[tuple[str, str]]:
    """Yield potentials and U; U may depend on the anion, as in the Materials Project's rule."""
    anion = next((f" with {a}" for a in ("F", "O") if a in run.elements), "")
    found: dict[str, set[str]] = {}
    for n, (element, _, title) in enumerate(run.types):
        found.setdefault(f"potential of {element}", set()).add(title)
        for what, value in _repulsion(run, n):
            found.setdefault(f"{what} of {element}{anion}", set()).add(value)
    for name, values in found.items():
        yield name, " and ".join(sorted(values))


def _repulsion(run: Input, n: int) -> Iterator[tuple[str, str]]:
    """Yield U and J of a species, eV, and where they are not zero, their shell and kind."""
    U, J, shell = (_entry(run.get(key), n) if run.on("LDAU") else "0" for key in ("LDAUU", "LDAUJ", "LDAUL"))
    if shell == "-1":
        U = J = "0"
    yield "U", U
    yield "J", J
    if not (nothing(U) and nothing(J)):
        yield "l of U", shell
        yield "LDAUTYPE", run.get("LDAUTYPE", "2")


def _entry(values: str, n: int) -> str:
    words = values.split()
    return words[n] if n < len(words) else "0"


def _of_run(run: Input) -> Iterator[tuple[str, str]]:
    """Yield the settings that a run has whether INCAR names them or not."""
    yield "ENCUT", canonical(run.get("ENCUT") or run.get("ENMAX")) or UNSET
    for key in _DEFAULTS:
        yield key, _value(run, key)
    if run.number("ISMEAR", _DEFAULTS["ISMEAR"]) not in (-4, -5):  # the tetrahedron method has no width
        yield "SIGMA", canonical(run.get("SIGMA", "0.2"))
    for key, (usual, _) in _STATED.items():
        if (value := run.get(key)) and not usual(value):
            yield key, canonical(value)


def _value(run: Input, key: str) -> str:
    value = canonical(run.get(key, _DEFAULTS.get(key, "")))
    if key in ("PREC", "LREAL"):  # VASP reads, and writes, the first letters of words
        value = "SN" if value.startswith("SINGLEN") else value[:1] or "F"
    return value or UNSET


def _is_other(key: str) -> bool:
    known = key in _HARMLESS or key in _ELSEWHERE or key in _DEFAULTS or key in _STATED or key in _NEVER
    return not known and not key.startswith("ML_")


def _others(run: Input, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield every other key that this run or an earlier one has in INCAR.

    A key that no earlier run named has the value there that VASP resolved in the first run, or is not set.
    """
    named = list(filter(_is_other, run.incar))
    runs = sum(settings.counts.get("ENCUT", Counter()).values())
    for key in named:
        if runs and key not in settings.counts:
            settings.counts[key] = Counter({canonical(settings.first.get(key, "")) or UNSET: runs})
    earlier = [key for key in settings.counts if key.isupper() and _is_other(key)]
    for key in dict.fromkeys([*named, *earlier]):
        yield key, canonical(run.get(key)) or UNSET
