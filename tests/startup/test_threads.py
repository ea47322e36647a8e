"""How long threads without work stay awake."""

import os
from unittest.mock import patch

import pytest

from lit_models.startup.threads import SPIN_COUNT, spin_briefly


def test_threads_spin_briefly() -> None:
    with patch.dict(os.environ, clear=True):
        spin_briefly()
        assert os.environ == {"GOMP_SPINCOUNT": SPIN_COUNT}


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_a_users_setting_wins(name: str) -> None:
    with patch.dict(os.environ, {name: "x"}, clear=True):
        spin_briefly()
        assert os.environ == {name: "x"}
