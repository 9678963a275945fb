"""Makes the samples importable, and one decoder for the tests that do no harm to it."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "unit" / "media"))


@pytest.fixture(scope="session")
def decoder():
    pytest.importorskip("PIL", reason="pip install 'winnow-engine[images]'")
    from winnow.media.decode import Decoder

    with Decoder() as decoder:
        yield decoder
