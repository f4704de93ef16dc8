"""What the tests of the C interface share: an installed library, made once."""

from __future__ import annotations

import pytest

from support.c_programs import Installation, install_library


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install_library(tmp_path_factory.mktemp("installed"))
