"""Materials in chunks, each with the rows of its calculations, read one after the other or by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from uprung.sources.materials_project.buckets import BucketRows
from uprung.sources.materials_project.materials import MaterialData, Options, Result, read_material

#: Materials per chunk: enough that sending them costs little, few enough that no process waits long for another.
CHUNK = 16


@dataclass(frozen=True)
class Chunk:
    """Some materials and what was downloaded of them."""

    materials: Sequence[MaterialData]
    tasks: BucketRows
    trajectories: BucketRows

    def read(self, options: Options) -> list[Result]:
        """Return the result of every material, in their order."""
        return [read_material(self._filled(material), options) for material in self.materials]

    def _filled(self, material: MaterialData) -> MaterialData:
        tasks = {n: rows[0] for n in material.listed if (rows := self.tasks.rows(n))}
        trajectories = {n: rows for n in material.listed if (rows := self.trajectories.rows(n))}
        return replace(material, tasks=tasks, trajectories=trajectories)


def cut(materials: Sequence[MaterialData], tasks: BucketRows, trajectories: BucketRows) -> Iterator[Chunk]:
    """Yield materials in chunks with their own rows."""
    for start in range(0, len(materials), CHUNK):
        own = materials[start : start + CHUNK]
        numbers = [n for material in own for n in material.listed]
        yield Chunk(own, tasks.part(numbers), trajectories.part(numbers))


#: Yields the results of every chunk, in the order of the chunks.
ReadChunks = Callable[[Iterable[Chunk], Options], Iterator[list[Result]]]


@contextmanager
def reader(processes: int) -> Iterator[ReadChunks]:
    """Hold so many processes that read chunks; one: this process reads them itself."""
    if processes == 1:
        yield lambda chunks, options: (chunk.read(options) for chunk in chunks)
        return
    # Imported here for those who need one process only. Its loky workers neither fork a process whose threads run nor
    # import the caller's main module a second time, so that a script without a main guard may call this.
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    with Parallel(n_jobs=processes, return_as="generator", max_nbytes=None, batch_size=1) as parallel:
        yield lambda chunks, options: parallel(delayed(chunk.read)(options) for chunk in chunks)
