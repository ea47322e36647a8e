"""Floating-point operations of the matrix products in an epoch; a multiplication and an addition count as two.

For each product of the forward pass, a training step computes three: the product itself, the gradient of its weights,
and the gradient of its inputs. The first layer needs no gradient of its inputs.
"""

IMDB_TRAIN, IMDB_VAL, IMDB_LENGTH = 20_000, 5_000, 500
MNIST_TRAIN = 60_000
ENCODER_WIDTH, ENCODER_LAYERS = 384, 6


def cnn_epoch() -> float:
    """An epoch of the MNIST network, without a validation part."""
    first = 2 * 26 * 26 * 32 * 9
    others = 2 * (11 * 11 * 64 * 32 * 9 + 3 * 3 * 64 * 64 * 9 + 576 * 64 + 64 * 10)
    return float(MNIST_TRAIN * (2 * first + 3 * others))


def rnn_epoch(gates: int) -> float:
    """An epoch of two recurrent layers on IMDB, padding and validation included.

    Args:
        gates: products of a cell: 1 in SimpleRNN, 4 in LSTM, 3 in GRU.
    """
    token = 2 * 2 * (32 * 32 + 32 * 32) * gates  # two layers, input and state
    return float((3 * IMDB_TRAIN + IMDB_VAL) * IMDB_LENGTH * token)


def encoder_forward(tokens: int, length: int) -> float:
    """A forward pass of the 22 M encoder.

    Args:
        tokens: number of tokens in all texts.
        length: number of tokens in a text, all of which each token attends to.
    """
    products = 4 * ENCODER_WIDTH**2 + 2 * ENCODER_WIDTH * 4 * ENCODER_WIDTH
    attention = 2 * length * ENCODER_WIDTH
    return float(tokens * 2 * ENCODER_LAYERS * (products + attention))
