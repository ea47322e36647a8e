"""The error for a Keras file that cannot be used."""

from datamodules.errors import UserError


class KerasFileError(UserError):
    """A Keras file that cannot be read, or a model in it that has no counterpart here.

    The message names the layer and the setting. `import_model` puts the name of the file before it.
    """
