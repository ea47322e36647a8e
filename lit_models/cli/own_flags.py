"""The flags that this program adds to Lightning's: the name, the value and the text of each. It imports no torch."""

from typing import NamedTuple


class Flag(NamedTuple):
    """A flag of the command line."""

    name: str
    """The setting, without dashes."""
    value: str
    """Name of the value on the help screen; empty if it takes none."""
    text: str
    """What the flag does."""

    @property
    def row(self) -> tuple[str, str]:
        """Its row on a help screen."""
        return f"--{self.name} {self.value}".rstrip(), self.text


CKPT_PATH = Flag("ckpt_path", "FILE", "checkpoint to start from, with its run's settings")
"""Lightning's flag, which means more here."""
RUN = (
    Flag("experiment", "NAME", "the run's folder is RUNS_DIR/NAME/version_N"),
    Flag("runs_dir", "DIR", "folder of all runs"),
    Flag("kernels", "WHICH", "auto: this program's fast code; plain: PyTorch's"),
    Flag("quiet", "", "print only errors, warnings and the result"),
)
"""The flags of every command of the Trainer."""
REPORT = Flag("report", "WHICH", "html, or none to leave out report.html")
OF_COMMAND = {
    "fit": (
        Flag("resume", "RUN", "run folder of a stopped training, to continue it"),
        Flag("save", "WHICH", "checkpoints to keep: last, best or both"),
        Flag("save_every", "TIME", "interval of saving: 500 (steps), 30s, 5min, epoch"),
        Flag("test_weights", "WHICH", "weights to test after training: last, best or none"),
        Flag("monitor", "METRIC", "metric that decides which epoch is the best"),
        Flag("monitor_mode", "MODE", "min or max: whether lower or higher is better"),
        Flag("early_stopping", "METRIC:N", "stop if METRIC has not improved for N epochs"),
        REPORT,
    ),
    "test": (REPORT,),
    "predict": (
        Flag("inputs", "ITEM ...", "sentences, files, folders, patterns, - for a pipe; status 3: some are unreadable"),
        Flag("output", "FILE", "a new file .csv, .jsonl or .pt; - for JSON Lines on standard output"),
        Flag("top_k", "K", "only the K most probable classes of a sample"),
    ),
}
"""The flags of one command."""
TEXTS = {flag.name: flag.text for flags in (RUN, *OF_COMMAND.values()) for flag in flags}
RESERVED = {*(f"--{name}" for name in TEXTS), "--config", "-c", "--print_config", "--ckpt_path", "--seed_everything"}
"""The flags that a program of the user cannot add itself."""


def of(command: str) -> set[str]:
    """The settings that this program adds to a command."""
    return {flag.name for flag in (*RUN, *OF_COMMAND.get(command, ()))}
