"""Messages of libraries."""

import logging

from lit_models.runs.progress import be_quiet, own_stream
from lit_models.runs.quiet import quiet_libraries


def test_a_quiet_command_hides_the_start_of_several_processes() -> None:
    quiet_libraries()
    logger = logging.getLogger("lightning.fabric.utilities.distributed")
    info, warning = (logging.LogRecord(logger.name, level, "", 0, "text", None, None) for level in (20, 30))
    with own_stream():
        assert logger.filter(info)
        be_quiet()
        assert not logger.filter(info)
        assert logger.filter(warning)
