from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import torch

from uprung.models.chgnet import compiled


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """The compiled kernels of the present source, in a folder of the tests."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("kernels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "LIBRARY", folder / "libkernels.so")
        patch.setattr(compiled, "NOTE", folder / "libkernels.json")
        compiled.build()
        compiled.library.cache_clear()
        yield patch
    compiled.library.cache_clear()


@pytest.fixture(scope="session")
def compiled_kernels(built: pytest.MonkeyPatch) -> dict[torch.dtype, compiled.Compiled]:
    """Compiled kernels by type of number."""
    found = compiled.library()
    assert found is not None
    return {dtype: compiled.Compiled(found[0], name) for dtype, name in compiled._SUFFIX.items()}
