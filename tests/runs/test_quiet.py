"""Messages of libraries."""

import logging

import pytest

from lit_models.runs.progress import be_quiet, own_stream
from lit_models.runs.quiet import quiet_libraries


def test_a_quiet_command_hides_the_start_of_several_processes(caplog: pytest.LogCaptureFixture) -> None:
    quiet_libraries()
    logger = logging.getLogger("lightning.fabric.utilities.distributed")
    with caplog.at_level(logging.INFO, logger.name), own_stream():
        logger.info("Initializing distributed: first")
        be_quiet()
        logger.info("Initializing distributed: second")
    assert "second" not in caplog.text
    assert logger.filter(logging.LogRecord(logger.name, logging.WARNING, "", 0, "a warning", None, None))
