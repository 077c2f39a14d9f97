"""Which kernels a gated MLP has: on a GPU those in Triton, on a CPU those in C, and everywhere PyTorch's operations.

Those in C are compiled on the user's machine and take a fifth of the time out of a step:

python -m uprung.models.chgnet.compiled    compile them with the C compiler of the system; two seconds

The library lies beside `kernels.c`, with a note of what it was made from and its hash. It is used on CPUs where it is
what the note says and belongs to the present source; else PyTorch's operations do the same, as they always do with the
variable UPRUNG_KERNELS=plain (`uprung.models.chgnet.kernels`). Those in Triton (`uprung.models.chgnet.fused`) are used
where PyTorch brings it and one of them gave the right numbers. Results differ in the last digits of single precision,
so the card of a run says which kernels it had.
"""

from __future__ import annotations

import ctypes  # noqa: TID251 - for the C library that this file compiles, no other file
import json
import os
import platform
import shlex
import subprocess  # noqa: TID251 - nothing is parsed here but the name of the compiler
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from uprung.job.files import sha256, write_json
from uprung.models.chgnet.kernels import WIDTH, Kernels, Plain, strided

SOURCE = Path(__file__).with_name("kernels.c")
LIBRARY = SOURCE.with_name("libkernels.so")  # no name that Python could import
NOTE = LIBRARY.with_suffix(".json")
FLAGS = "-std=gnu11 -O3 -fPIC -shared -fopenmp-simd -ffp-contract=fast -fno-math-errno -fno-trapping-math".split()
MOST_THREADS = 4  # of PyTorch, beyond which its operations, which share rows between them, are faster
_SUFFIX = {torch.float32: "float", torch.float64: "double"}
_PLAIN = Plain()


class CompilerError(RuntimeError):
    """There is no C compiler, or it refused the source."""


def build() -> str:
    """Compile the kernels and return the name of the compiler.

    Raises:
        CompilerError: no compiler, or what it said.
        OSError: the folder of the source cannot be written.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory(dir=SOURCE.parent) as folder:
        made = Path(folder) / LIBRARY.name
        try:
            named = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
            subprocess.run(  # noqa: S603
                [*compiler, *FLAGS, "-o", str(made), str(SOURCE)], capture_output=True, text=True, check=True
            )
        except FileNotFoundError as error:
            raise CompilerError(f"no C compiler: {compiler[0]} is not a program here (CC names another)") from error
        except subprocess.CalledProcessError as error:
            raise CompilerError(f"{shlex.join(compiler)} failed:\n{error.stderr}") from error
        name = named.stdout.splitlines()[0].strip() if named.stdout.strip() else compiler[0]
        note = {"source": sha256(SOURCE), "library": sha256(made), "machine": platform.machine(), "compiler": name}
        NOTE.unlink(missing_ok=True)  # a library without a note is not used
        made.replace(LIBRARY)
        write_json(NOTE, note)
    return name


@cache
def library() -> tuple[ctypes.CDLL, str] | None:
    """Return the compiled kernels and the name of their compiler, or None where PyTorch's operations are to be used.

    A library that is there and cannot be used is warned of, once.
    """
    if os.environ.get("UPRUNG_KERNELS") == "plain" or not NOTE.exists():
        return None
    try:
        note = json.loads(NOTE.read_bytes())
        if note["machine"] != platform.machine():
            return None  # a folder that machines of several kinds share
        if note["source"] != sha256(SOURCE):
            why = "kernels.c has changed since"
        elif note["library"] != sha256(LIBRARY):
            why = "the library is not what it was when it was written"
        else:
            loaded = ctypes.CDLL(str(LIBRARY))
            _declare(loaded)
            return loaded, str(note["compiler"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
    warnings.warn(
        f"The compiled kernels of CHGNet are not used, PyTorch's operations are: {why}. "
        f"Compile them anew: python -m {__spec__.name if __spec__ else __name__}",
        stacklevel=2,
    )
    return None


def kernels_of(a: Tensor) -> Kernels:
    """Return the kernels for a tensor: compiled ones where there are any for its device and type."""
    if a.is_cuda and a.dtype in _SUFFIX:
        return _on_gpu(a.device.index)
    if a.device.type != "cpu" or a.dtype not in _SUFFIX or torch.get_num_threads() > MOST_THREADS:
        return _PLAIN
    return _compiled(a.dtype) or _PLAIN


def described(a: Tensor) -> str:
    """Return what computes gated MLPs for such a tensor, for the card of a run."""
    used, found = kernels_of(a), library()
    if used is _PLAIN:
        return "PyTorch"
    return f"compiled by {found[1]}" if found and isinstance(used, Compiled) else f"Triton {version('triton')}"


@cache
def _on_gpu(index: int) -> Kernels:
    """Return the kernels for a GPU; Triton may be missing or unable to compile, which is warned of, once."""
    if os.environ.get("UPRUNG_KERNELS") == "plain":
        return _PLAIN
    try:
        from uprung.models.chgnet.fused import probed  # seconds that a job on a CPU need not spend

        return probed(torch.device("cuda", index))
    except Exception as error:  # of a compiler, a linker, a folder, a driver
        warnings.warn(
            f"The kernels of CHGNet in Triton are not used, PyTorch's operations are: {type(error).__name__}: "
            f"{next(iter(str(error).splitlines()), '')}",
            stacklevel=2,
        )
        return _PLAIN


@cache
def _compiled(dtype: torch.dtype) -> Compiled | None:
    found = library()
    return None if found is None else Compiled(found[0], _SUFFIX[dtype])


#: Functions of kernels.c -> n and the strides among their arguments; all others are pointers.
_ARGUMENTS = {
    "hidden": "n....",
    "output": "n.nn.......",
    "slope": "n......nn",
    "columns": "n......",
    "along": "n.....",
    "curvature": "n.nn......nn....",
    "normalised": "n..........nn.",
    "gathered": "nn...n..n..n.",
    "scattered": "nn....n..n..n",
    "messages": "nnn.....",
    "pulled": "nnn.......",
    "pulled_curved": "nnn..........",
}
_CHECKED = ("gathered", "scattered", "messages", "pulled", "pulled_curved")  # return whether an index is wrong


def _declare(loaded: ctypes.CDLL) -> None:
    kinds = {"n": ctypes.c_ssize_t, ".": ctypes.c_void_p}
    for name, arguments in _ARGUMENTS.items():
        for suffix in _SUFFIX.values():
            function = getattr(loaded, f"{name}_{suffix}")
            function.argtypes = [kinds[kind] for kind in arguments]
            function.restype = ctypes.c_int if name in _CHECKED else None


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _addressed(indices: Sequence[Tensor], tables: Sequence[Tensor | None]) -> list[int | None]:
    """Return index, table and number of rows for each of three tables; what is missing is null."""
    found: list[int | None] = []
    for index, table in zip(indices, tables, strict=True):
        found += [index.data_ptr(), _pointer(table), 0 if table is None else len(table)]
    return found + [None, None, 0] * (3 - len(indices))


class Compiled:
    """The functions of `Kernels` in one pass over the arrays each; other threads of Python run meanwhile."""

    def __init__(self, loaded: ctypes.CDLL, suffix: str) -> None:
        """Take the functions of one type."""
        self._call = {name: getattr(loaded, f"{name}_{suffix}") for name in _ARGUMENTS}

    def hidden(self, a: Tensor, *, once: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """See `Kernels`."""
        a, n = a.contiguous(), len(a)
        s, d = (a.new_empty(2, n, WIDTH) for _ in range(2))
        sigma = None if once else torch.empty_like(s)
        self._call["hidden"](n, *map(_pointer, (a, s, d, sigma)))
        return s, d, sigma

    def output(
        self, z: Tensor, scale: Tensor, shift: Tensor, *, once: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """See `Kernels`."""
        (given, *strides), n = strided(z), z.shape[1]
        scale, shift = scale.contiguous(), shift.contiguous()
        z, slope = (z.new_empty(2, n, WIDTH) for _ in range(2))
        kl = None if once else torch.empty_like(z)
        r, y = z.new_empty(2, n, 1), z.new_empty(n, WIDTH)
        self._call["output"](n, given.data_ptr(), *strides, *map(_pointer, (scale, shift, z, r, kl, slope, y)))
        return z, r, kl, slope, y

    def slope(self, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor) -> Tensor:
        """See `Kernels`."""
        z_bar, p, scale = torch.empty_like(z), p.contiguous(), scale.contiguous()
        self._call["slope"](
            z.shape[1], *map(_pointer, (p, scale, z, r, slope, z_bar)), z_bar.stride(1), z_bar.stride(0)
        )
        return z_bar

    def columns(self, x: Tensor, d: Tensor) -> Tensor:
        """See `Kernels`."""
        return self._side_by_side(x.contiguous(), d, None, None, None)

    def columns_curved(self, x: Tensor, d: Tensor, to_d: Tensor, s: Tensor, sigma: Tensor) -> Tensor:
        """See `Kernels`."""
        return self._side_by_side(x.contiguous(), d, to_d.contiguous(), s, sigma)

    def _side_by_side(self, x: Tensor, *others: Tensor | None) -> Tensor:
        n = x.shape[1]
        out = x.new_empty(n, 2 * WIDTH)
        self._call["columns"](n, *map(_pointer, (x, *others, out)))
        return out

    def along(self, v: Tensor, s_bar: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        v, to_d, along = v.contiguous(), torch.empty_like(d), torch.empty_like(d)
        self._call["along"](len(v), *map(_pointer, (v, s_bar, d, to_d, along)))
        return to_d, along

    def curvature(
        self, along: Tensor, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor, z_bar: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `Kernels`."""
        (along, *strides), (z_bar, *bar_strides) = strided(along), strided(z_bar)
        p, scale = p.contiguous(), scale.contiguous()
        to_p, to_slope, to_z = torch.empty_like(p), torch.empty_like(z), torch.empty_like(z)
        to_scale = z.new_zeros((2, 1, WIDTH), dtype=torch.float64)
        self._call["curvature"](
            z.shape[1],
            along.data_ptr(),
            *strides,
            *map(_pointer, (p, scale, z, r, slope, z_bar)),
            *bar_strides,
            *map(_pointer, (to_p, to_slope, to_z, to_scale)),
        )
        return to_p, to_slope, to_z, to_scale.to(z.dtype)

    def normalised(
        self,
        u: Tensor | None,
        to_slope: Tensor | None,
        to_z: Tensor | None,
        scale: Tensor,
        z: Tensor,
        r: Tensor,
        kl: Tensor,
        slope: Tensor,
        y: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `Kernels`."""
        u, to_slope, to_z = (x if x is None else x.contiguous() for x in (u, to_slope, to_z))
        z_bar, scale = torch.empty_like(z), scale.contiguous()
        sums = z.new_zeros((3, 2, 1, WIDTH), dtype=torch.float64)
        self._call["normalised"](
            z.shape[1],
            *map(_pointer, (u, to_slope, to_z, scale, z, r, kl, slope, y, z_bar)),
            z_bar.stride(1),
            z_bar.stride(0),
            sums.data_ptr(),
        )
        to_scale, to_shift, to_bias = sums.to(z.dtype).unbind(0)
        return z_bar, to_scale, to_shift, to_bias

    def gathered(self, common: Tensor | None, tables: Sequence[Tensor | None], indices: Sequence[Tensor]) -> Tensor:
        """See `Kernels`."""
        n = len(indices[0])
        known = [table if table is None else table.contiguous() for table in (common, *tables)]
        common, rows = known[0], n if known[0] is None else len(known[0])
        out = next(table for table in known if table is not None).new_empty(n, 2 * WIDTH)
        self._check("gathered", n, rows, common, *_addressed(indices, known[1:]), out)
        return out

    def scattered(
        self, g: Tensor, indices: Sequence[Tensor], sizes: Sequence[int], rows: int
    ) -> tuple[Tensor, list[Tensor]]:
        """See `Kernels`."""
        g, n = g.contiguous(), len(g)
        tables = [g.new_zeros(size, 2 * WIDTH) for size in sizes]
        common = g if rows == n else g.new_empty(rows, 2 * WIDTH)
        self._check("scattered", n, rows, g, None if rows == n else common, *_addressed(indices, tables))
        return common, tables

    def messages(self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, owners: int) -> Tensor:
        """See `Kernels`."""
        y, w, out = y.contiguous(), w.contiguous(), y.new_zeros(owners, WIDTH)
        self._check("messages", len(y), len(w), owners, y, w, by, owner, out)
        return out

    def pulled(self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        y, w, g = y.contiguous(), w.contiguous(), g.contiguous()
        to_y, to_w = torch.empty_like(y), torch.zeros_like(w)
        self._check("pulled", len(y), len(w), len(g), y, w, by, owner, g, to_y, to_w)
        return to_y, to_w

    def pulled_curved(
        self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, g: Tensor, v: Tensor, u: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Kernels`."""
        y, w, g, v, u = (x.contiguous() for x in (y, w, g, v, u))
        to_y, to_w, to_g = torch.empty_like(y), torch.zeros_like(w), torch.zeros_like(g)
        self._check("pulled_curved", len(y), len(w), len(g), y, w, by, owner, g, v, u, to_y, to_w, to_g)
        return to_y, to_w, to_g

    def _check(self, name: str, *arguments: Tensor | int | None) -> None:
        """Call a function that looks at its indices before it reads or writes anything."""
        if self._call[name](*(x.data_ptr() if isinstance(x, Tensor) else x for x in arguments)):
            raise IndexError("an index beyond the rows of its table")


def main() -> int:
    """Compile, and say with what."""
    try:
        name = build()
    except (CompilerError, OSError) as error:
        print(f"{error}\nCHGNet runs on PyTorch's operations alone, at some four fifths of the speed.", file=sys.stderr)
        return 1
    print(f"{LIBRARY.name}, compiled by {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
