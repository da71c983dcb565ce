from collections.abc import Iterator

import pytest

from tests.projections.support import Ledger


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    ledger.store.close()
