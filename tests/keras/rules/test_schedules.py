"""Keras' schedules of the learning rate beside the live ones, at each step."""

import numpy as np
import pytest

from lit_models.keras.files.training import learning_rate
from lit_models.keras.rules.schedules import scheduled_rate
from tests.keras.optimizers import SCHEDULES, exact_numbers, live_schedule
from tests.keras.stacks import keras_tests
from tests.parity.keras_runs import float64

pytestmark = keras_tests


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_those_of_keras(name: str) -> None:
    import keras

    with float64(), exact_numbers():
        live = live_schedule(keras, name)
        theirs = [float(live(step)) for step in range(30)]
        read = learning_rate(keras.optimizers.schedules.serialize(live))
    assert read is not None
    assert np.ptp(theirs) > 0.01
    lr, schedule = read
    assert lr == 1
    # where a period ends, rounding decides which one a step belongs to: no step here is one
    np.testing.assert_allclose([scheduled_rate(schedule, step) for step in range(30)], theirs, rtol=1e-12, atol=1e-15)
