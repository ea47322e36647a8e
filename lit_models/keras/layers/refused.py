"""Layers of Keras that have no counterpart here, each with the reason and what to do instead."""

FOREIGN = "it runs code of another program; build the model of Keras' own layers"
BEFORE = "apply it to the data before the model, and save the model without it"
CHANGES = "it changes images at random in training only; save the model without it, and use --data.augment"
TOKENS = "texts become numbers in the data here; save the model from its Embedding on, and use TextDataModule"
CATEGORIES = "tables become numbers in the data here; save the model without it, and use TableDataModule"
BASE = "it computes nothing by itself; a class of your own that is derived from it is code, which is not run"

REFUSED: dict[str, str] = {
    "AugMix": CHANGES,
    "AutoContrast": BEFORE,
    "CategoryEncoding": CATEGORIES,
    "ContrastLimitedAdaptiveHistogramEqualization": BEFORE,
    "CutMix": "it mixes the samples and labels of a batch; save the model without it",
    "Discretization": CATEGORIES,
    "Equalization": BEFORE,
    "FlaxLayer": FOREIGN,
    "HashedCrossing": CATEGORIES,
    "Hashing": CATEGORIES,
    "InputSpec": "it is a description, and not a layer",
    "IntegerLookup": CATEGORIES,
    "JaxLayer": FOREIGN,
    "Lambda": "it contains code, which is not run; use layers or functions of keras.ops",
    "Layer": BASE,
    "MaxNumBoundingBoxes": "it changes boxes of objects; models of classes and numbers are supported",
    "MelSpectrogram": BEFORE,
    "MixUp": "it mixes the samples and labels of a batch; save the model without it",
    "Pipeline": "call the layers inside it one after the other",
    "RandAugment": CHANGES,
    "RandomColorDegeneration": CHANGES,
    "RandomColorJitter": CHANGES,
    "RandomCrop": "it crops in training only, so images of two sizes would reach the next layer; use CenterCrop",
    "RandomElasticTransform": CHANGES,
    "RandomErasing": CHANGES,
    "RandomGaussianBlur": CHANGES,
    "RandomGrayscale": CHANGES,
    "RandomHue": CHANGES,
    "RandomInvert": CHANGES,
    "RandomPerspective": CHANGES,
    "RandomPosterization": CHANGES,
    "RandomSaturation": CHANGES,
    "RandomSharpness": CHANGES,
    "RandomShear": CHANGES,
    "ReversibleEmbedding": "it is called in two directions; use Embedding and Dense",
    "STFTSpectrogram": BEFORE,
    "Solarization": BEFORE,
    "SpectralNormalization": "it changes weights in each training step; save the layer inside it by itself",
    "StackedRNNCells": "use several layers of SimpleRNN, LSTM or GRU, which compute the same",
    "StringLookup": CATEGORIES,
    "TFSMLayer": FOREIGN,
    "TextVectorization": TOKENS,
    "TorchModuleWrapper": FOREIGN,
    "Wrapper": BASE,
}
"""The reason of each class of `keras.layers` that is not in `LAYERS`."""
