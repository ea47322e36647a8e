"""Programs with LitCLI, after the examples in Lightning's documentation. The first argument chooses one."""

import sys
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback
from plain import Plain, Trained  # type: ignore[import-not-found]
from points import Points  # type: ignore[import-not-found]

from lit_models import LitCLI


class Linked(LitCLI):
    """The data's batch size is an argument of the model too; the number of classes is known from the built data."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.batch_size", "model.batch_size")
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")

    def before_instantiate_classes(self) -> None:
        print("before_instantiate_classes")

    def after_instantiate_classes(self) -> None:
        print("after_instantiate_classes", type(self.model).__name__)

    def before_fit(self) -> None:
        print("before_fit", self.trainer.current_epoch)

    def after_fit(self) -> None:
        print("after_fit", self.trainer.current_epoch)


class Summed(LitCLI):
    """An argument of the model is computed from two of the data."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        sources = ("data.batch_size", "data.num_classes")
        parser.link_arguments(sources, "model.batch_size", compute_fn=lambda size, classes: size + classes)


class Extended(LitCLI):
    """A callback with settings of its own, an argument of its own, and an optimizer and schedule of fixed classes."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(EarlyStopping, "stopping")
        parser.set_defaults({"stopping.monitor": "val_loss", "stopping.patience": 5})
        parser.add_argument("--note", default="nothing")
        parser.add_optimizer_args(torch.optim.Adam)
        parser.add_lr_scheduler_args(torch.optim.lr_scheduler.ExponentialLR)


class Fitting(L.Trainer):
    """A Trainer with a command of its own."""

    def fit_twice(self, model: L.LightningModule, datamodule: L.LightningDataModule, times: int = 2) -> None:
        """Trains several times."""
        for _ in range(times):
            self.fit(model, datamodule=datamodule)
            print("fitted", self.current_epoch)


class Commanded(LitCLI):
    """A command line with a command of its own, and an argument that the program has too."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {**LitCLI.subcommands(), "fit_twice": {"model", "datamodule"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--debug", type=int, default=0)

    def before_fit_twice(self) -> None:
        print("debug", self.settings.debug)


class Greeting(LightningArgumentParser):
    """A parser with an argument of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_argument("--greeting", default="hello")


class Telling(SaveConfigCallback):
    """Says what it would save."""

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: Any) -> None:
        print("saves", self.config_filename, self.config.data.batch_size)


def sizes(cli: LitCLI) -> tuple[int, int, int]:
    """The data's batch size, and the two settings of the model that follow from the data."""
    model, data = cast(Any, cli.model), cast(Any, cli.datamodule)
    return data.batch_size, model.hparams.batch_size, model.hparams.num_classes


def main(program: str, words: list[str]) -> None:
    """Runs one program."""
    if program == "linked":
        cli: LitCLI = Linked(Trained, Points, args=words)
        print("linked", *sizes(cli))
    elif program == "built":
        cli = Linked(Trained, Points, args=words, run=False)
        print("built", *sizes(cli))
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
        print("trained", cli.trainer.current_epoch)
    elif program == "summed":
        cli = Summed(Trained, Points, args=words)
        print("summed", cast(Any, cli.model).hparams.batch_size)
    elif program == "extended":
        cli = Extended(Plain, Points, args=words)
        patience = [c.patience for c in cast(Any, cli.trainer).callbacks if isinstance(c, EarlyStopping)]
        print("extended", patience, cli.config.fit.note, type(cli.trainer.optimizers[0]).__name__)
    elif program == "mapping":
        cli = LitCLI(Trained, Points, args={"trainer": {"max_epochs": 3}, "data": {"batch_size": 16}}, run=False)
        print("mapping", cli.trainer.max_epochs, sizes(cli)[0])
        fit = {"trainer": {"max_epochs": 1}, "data": {"batch_size": 16}}
        LitCLI(Trained, Points, args={"subcommand": "fit", "fit": fit})
    elif program == "telling":
        LitCLI(Trained, Points, save_config_callback=Telling, args=words)
    elif program == "commanded":
        Commanded(Trained, Points, trainer_class=Fitting)  # reads the words of the process
    elif program == "greeting":
        cli = LitCLI(Trained, Points, parser_class=Greeting, args=words)
        print("greeting", cli.config.fit.greeting)
    elif program == "greedy":
        from hyper import Greedy  # type: ignore[import-not-found]

        LitCLI(Trained, Points, trainer_class=Greedy)
    elif program == "theirs":
        kwargs = {"config_filename": "own.yaml"}
        LitCLI(Trained, Points, save_config_callback=SaveConfigCallback, save_config_kwargs=kwargs, args=words)
    elif program == "defaults":
        stopping = EarlyStopping(monitor="val_loss", min_delta=100.0, patience=1)
        defaults = {"max_epochs": 5, "callbacks": [stopping]}
        cli = LitCLI(Trained, Points, trainer_defaults=defaults, seed_everything_default=7, args=words)
        print("defaults", cli.trainer.current_epoch, cli.config.fit.seed_everything)


main(sys.argv.pop(1), sys.argv[1:])
