"""The classification examples of keras.io and of TensorFlow's tutorials, rebuilt in small from their architecture."""

from collections.abc import Callable
from typing import Any, NamedTuple

Build = Callable[[Any], Any]


class Example(NamedTuple):
    """An example: where it is, and a function that makes its model with random weights from the package `keras`.

    `quick` examples are in the default tests.
    """

    title: str
    kind: str
    build: Build
    quick: bool = False


EXAMPLES: dict[str, Example] = {}


def example(title: str, kind: str, *, quick: bool = False) -> Callable[[Build], Build]:
    """Adds an example to the table."""

    def add(build: Build) -> Build:
        EXAMPLES[build.__name__] = Example(title, kind, build, quick)
        return build

    return add


def chain(keras: Any, shape: tuple[int | None, ...], *layers: Any, dtype: str | None = None) -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


@example("keras.io: Simple MNIST convnet", "images", quick=True)
def mnist_convnet(keras: Any) -> Any:
    k = keras.layers
    layers = [k.Conv2D(8, 3, activation="relu"), k.MaxPooling2D(2), k.Conv2D(8, 3, activation="relu"), k.MaxPooling2D()]
    return chain(keras, (28, 28, 1), *layers, k.Flatten(), k.Dropout(0.5), k.Dense(10, activation="softmax"))


@example("keras.io: Image classification from scratch (small Xception)", "images")
def small_xception(keras: Any) -> Any:
    k = keras.layers
    x = inputs = keras.Input((40, 40, 3))
    x = k.RandomRotation(0.1)(k.RandomFlip("horizontal")(x))
    x = k.Conv2D(8, 3, strides=2, padding="same")(k.Rescaling(1 / 255)(x))
    x = previous = k.Activation("relu")(k.BatchNormalization()(x))
    for size in (8, 12):
        for _ in range(2):
            x = k.SeparableConv2D(size, 3, padding="same")(k.Activation("relu")(x))
            x = k.BatchNormalization()(x)
        x = k.MaxPooling2D(3, strides=2, padding="same")(x)
        x = previous = k.add([x, k.Conv2D(size, 1, strides=2, padding="same")(previous)])
    x = k.Activation("relu")(k.BatchNormalization()(k.SeparableConv2D(16, 3, padding="same")(x)))
    return keras.Model(inputs, k.Dense(1)(k.Dropout(0.25)(k.GlobalAveragePooling2D()(x))))


@example("TensorFlow: Quickstart for beginners", "images", quick=True)
def quickstart(keras: Any) -> Any:
    k = keras.layers
    return chain(keras, (28, 28), k.Flatten(), k.Dense(16, activation="relu"), k.Dropout(0.2), k.Dense(10))


@example("TensorFlow: Basic image classification (Fashion MNIST)", "images")
def fashion(keras: Any) -> Any:
    k = keras.layers
    model = chain(keras, (28, 28), k.Flatten(), k.Dense(16, activation="relu"), k.Dense(10))
    return keras.Sequential([model, k.Softmax()])


@example("TensorFlow: Convolutional neural network (CIFAR10)", "images")
def cifar(keras: Any) -> Any:
    k = keras.layers
    convolutions = [k.Conv2D(6, 3, activation="relu"), k.MaxPooling2D(), k.Conv2D(8, 3, activation="relu")]
    convolutions += [k.MaxPooling2D(), k.Conv2D(8, 3, activation="relu"), k.Flatten()]
    return chain(keras, (32, 32, 3), *convolutions, k.Dense(16, activation="relu"), k.Dense(10))


@example("TensorFlow: Image classification (flowers)", "images", quick=True)
def flowers(keras: Any) -> Any:
    k = keras.layers
    random = keras.Sequential([k.RandomFlip("horizontal"), k.RandomRotation(0.1), k.RandomZoom(0.1)])
    layers: list[Any] = [random, k.Rescaling(1.0 / 255)]
    for size in (4, 6, 8):
        layers += [k.Conv2D(size, 3, padding="same", activation="relu"), k.MaxPooling2D()]
    layers += [k.Dropout(0.2), k.Flatten(), k.Dense(12, activation="relu"), k.Dense(5, name="outputs")]
    return chain(keras, (24, 24, 3), *layers)


@example("TensorFlow: Transfer learning and fine-tuning (MobileNetV2)", "images")
def transfer(keras: Any) -> Any:
    k = keras.layers
    base = keras.applications.MobileNetV2(input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None)
    base.trainable = False
    inputs = keras.Input((32, 32, 3))
    x = keras.Sequential([k.RandomFlip("horizontal"), k.RandomRotation(0.2)])(inputs)
    x = base(x / 127.5 - 1.0, training=False)
    x = k.Dropout(0.2)(k.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, k.Dense(1, activation="sigmoid")(x))


@example("keras.io: Image classification with EfficientNet", "images")
def efficientnet(keras: Any) -> Any:
    k = keras.layers
    inputs = keras.Input((32, 32, 3))
    base = keras.applications.EfficientNetB0(include_top=False, input_tensor=inputs, weights=None)
    x = k.BatchNormalization()(k.GlobalAveragePooling2D()(base.output))
    return keras.Model(inputs, k.Dense(5, activation="softmax")(k.Dropout(0.2)(x)))


@example("keras.io: Image classification with ConvMixer", "images")
def convmixer(keras: Any) -> Any:
    k = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = k.Conv2D(8, 2, strides=2)(k.Rescaling(scale=1.0 / 255)(inputs))
    x = k.BatchNormalization()(k.Activation("gelu")(x))
    for _ in range(2):
        y = k.BatchNormalization()(k.Activation("gelu")(k.DepthwiseConv2D(5, padding="same")(x)))
        x = k.BatchNormalization()(k.Activation("gelu")(k.Conv2D(8, 1)(k.Add()([y, x]))))
    return keras.Model(inputs, k.Dense(10, activation="softmax")(k.GlobalAvgPool2D()(x)))


@example("keras.io: Image classification with Vision Transformer", "images")
def vision_transformer(keras: Any) -> Any:
    """The example cuts the patches in a layer of its own."""

    class Patches(keras.layers.Layer):  # type: ignore[misc]
        def call(self, images: Any) -> Any:
            return keras.ops.reshape(keras.ops.image.extract_patches(images, 4), (-1, 4, 48))

    k = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = k.Dense(8)(Patches()(inputs))
    x = k.LayerNormalization()(k.Add()([x, k.MultiHeadAttention(2, 4)(x, x)]))
    return keras.Model(inputs, k.Dense(10)(k.Flatten()(x)))


@example("keras.io: Image classification with Vision Transformer, patches by a Conv2D", "images")
def convolved_patches(keras: Any) -> Any:
    k = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = k.Reshape((4, 8))(k.Conv2D(8, 4, strides=4)(inputs))
    for _ in range(2):
        y = k.LayerNormalization(epsilon=1e-6)(x)
        x = k.Add()([k.MultiHeadAttention(2, 8, dropout=0.1)(y, y), x])
        y = k.Dense(8, activation="gelu")(k.Dense(16, activation="gelu")(k.LayerNormalization(epsilon=1e-6)(x)))
        x = k.Add()([y, x])
    x = k.Dropout(0.5)(k.Flatten()(k.LayerNormalization(epsilon=1e-6)(x)))
    return keras.Model(inputs, k.Dense(10)(x))


@example("keras.io: Image classification with MLP-Mixer, its block of Keras' layers", "images")
def mixer(keras: Any) -> Any:
    k = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = k.Reshape((4, 8))(k.Conv2D(8, 4, strides=4)(inputs))
    y = k.Permute((2, 1))(k.LayerNormalization(epsilon=1e-6)(x))
    y = k.Permute((2, 1))(k.Dense(4)(k.Dense(4, activation="gelu")(y)))
    x = x + y
    x = x + k.Dropout(0.2)(k.Dense(8)(k.Dense(8, activation="gelu")(k.LayerNormalization(epsilon=1e-6)(x))))
    return keras.Model(inputs, k.Dense(10)(k.GlobalAveragePooling1D()(x)))


@example("keras.io: Point cloud classification with PointNet", "images")
def pointnet(keras: Any) -> Any:
    k = keras.layers

    def block(x: Any, layer: Any) -> Any:
        return k.Activation("relu")(k.BatchNormalization(momentum=0.0)(layer(x)))

    def turned(x: Any, size: int) -> Any:
        y = k.GlobalMaxPooling1D()(block(block(x, k.Conv1D(8, 1, padding="valid")), k.Conv1D(12, 1)))
        y = k.Dense(size * size, activity_regularizer=None)(block(y, k.Dense(8)))
        return k.Dot(axes=(2, 1))([x, k.Reshape((size, size))(y)])

    inputs = keras.Input((20, 3))
    x = turned(block(turned(inputs, 3), k.Conv1D(6, 1)), 6)
    x = k.Dropout(0.3)(block(k.GlobalMaxPooling1D()(block(x, k.Conv1D(12, 1))), k.Dense(8)))
    return keras.Model(inputs, k.Dense(10, activation="softmax")(x))


@example("TensorFlow: Autoencoders (an image as output)", "images")
def autoencoder(keras: Any) -> Any:
    k = keras.layers
    return chain(keras, (28, 28), k.Flatten(), k.Dense(8, activation="relu"), k.Dense(784), k.Reshape((28, 28)))


@example("keras.io: Text classification from scratch", "text", quick=True)
def text_from_scratch(keras: Any) -> Any:
    k = keras.layers
    convolutions = [k.Conv1D(8, 7, padding="valid", activation="relu", strides=3) for _ in range(2)]
    dense = [k.GlobalMaxPooling1D(), k.Dense(8, activation="relu"), k.Dropout(0.5)]
    layers = [k.Embedding(50, 8), k.Dropout(0.5), *convolutions, *dense, k.Dense(1, activation="sigmoid")]
    return chain(keras, (60,), *layers, dtype="int64")


@example("keras.io: Bidirectional LSTM on IMDB", "text", quick=True)
def bidirectional(keras: Any) -> Any:
    k = keras.layers
    layers = [k.Bidirectional(k.LSTM(8, return_sequences=True)), k.Bidirectional(k.LSTM(8))]
    return chain(keras, (None,), k.Embedding(50, 8), *layers, k.Dense(1, activation="sigmoid"), dtype="int32")


@example("keras.io: Text classification with Transformer", "text")
def text_transformer(keras: Any) -> Any:
    """The example adds the positions in a layer of its own."""

    class TokenAndPositionEmbedding(keras.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.table = self.add_weight(shape=(50, 8))

        def call(self, x: Any) -> Any:
            return keras.ops.take(self.table, x, axis=0)

    k = keras.layers
    inputs = keras.Input((20,), dtype="int32")
    x = TokenAndPositionEmbedding()(inputs)
    x = k.LayerNormalization()(x + k.MultiHeadAttention(2, 8)(x, x))
    return keras.Model(inputs, k.Dense(2, activation="softmax")(k.GlobalAveragePooling1D()(x)))


@example("TensorFlow: Basic text classification", "text")
def basic_text(keras: Any) -> Any:
    k = keras.layers
    layers = [k.Embedding(50, 8), k.Dropout(0.2), k.GlobalAveragePooling1D(), k.Dropout(0.2)]
    return chain(keras, (None,), *layers, k.Dense(1, activation="sigmoid"), dtype="int64")


@example("TensorFlow: Text classification with an RNN, from the Embedding on", "text")
def text_rnn(keras: Any) -> Any:
    k = keras.layers
    layers = [k.Embedding(50, 8, mask_zero=True), k.Bidirectional(k.LSTM(8, return_sequences=True))]
    layers += [k.Bidirectional(k.LSTM(6)), k.Dense(8, activation="relu"), k.Dropout(0.5), k.Dense(1)]
    return chain(keras, (None,), *layers, dtype="int64")


@example("TensorFlow: Word embeddings", "text")
def word_embeddings(keras: Any) -> Any:
    k = keras.layers
    words = k.TextVectorization(max_tokens=10, output_sequence_length=6, vocabulary=["a", "film"])
    layers = [k.Embedding(10, 8, name="embedding"), k.GlobalAveragePooling1D(), k.Dense(8, activation="relu")]
    return chain(keras, (1,), words, *layers, k.Dense(1), dtype="string")


@example("keras.io: Imbalanced classification (credit cards)", "tables")
def credit_cards(keras: Any) -> Any:
    k = keras.layers
    layers = [k.Dense(16, activation="relu"), k.Dense(16, activation="relu"), k.Dropout(0.3)]
    layers += [k.Dense(16, activation="relu"), k.Dropout(0.3), k.Dense(1, activation="sigmoid")]
    return chain(keras, (30,), *layers)


@example("TensorFlow: Classification on imbalanced data", "tables")
def imbalanced(keras: Any) -> Any:
    k = keras.layers
    bias = keras.initializers.Constant(-5.0)
    layers = [k.Dense(16, activation="relu"), k.Dropout(0.5), k.Dense(1, activation="sigmoid", bias_initializer=bias)]
    return chain(keras, (29,), *layers)


@example("keras.io: Structured data with FeatureSpace, the trained model", "tables", quick=True)
def feature_space(keras: Any) -> Any:
    k = keras.layers
    return chain(keras, (38,), k.Dense(32, activation="relu"), k.Dropout(0.5), k.Dense(1, activation="sigmoid"))


@example("TensorFlow: Classify structured data with preprocessing layers", "tables")
def structured(keras: Any) -> Any:
    k = keras.layers
    number, age = keras.Input((1,), name="fee"), keras.Input((1,), name="age", dtype="int64")
    ages = k.CategoryEncoding(6)(k.IntegerLookup(vocabulary=[1, 2, 3], max_tokens=6)(age))
    x = k.concatenate([k.Normalization(mean=2.0, variance=3.0)(number), ages])
    return keras.Model([number, age], k.Dense(1)(k.Dropout(0.5)(k.Dense(32, activation="relu")(x))))


@example("TensorFlow: Basic regression (fuel efficiency)", "tables")
def fuel(keras: Any) -> Any:
    k = keras.layers
    layers = [k.Dense(16, activation="relu"), k.Dense(16, activation="relu"), k.Dense(1)]
    model = chain(keras, (9,), k.Normalization(axis=-1), *layers)
    model.compile("adam", loss="mean_absolute_error")
    return model


@example("keras.io: Timeseries classification from scratch (FCN)", "time series", quick=True)
def fcn(keras: Any) -> Any:
    k = keras.layers
    layers: list[Any] = []
    for _ in range(3):
        layers += [k.Conv1D(8, 3, padding="same"), k.BatchNormalization(), k.ReLU()]
    return chain(keras, (50, 1), *layers, k.GlobalAveragePooling1D(), k.Dense(2, activation="softmax"))


@example("keras.io: Timeseries classification with a Transformer", "time series")
def series_transformer(keras: Any) -> Any:
    k = keras.layers
    x = inputs = keras.Input((50, 1))
    for _ in range(2):
        y = k.Dropout(0.25)(k.MultiHeadAttention(key_dim=8, num_heads=2, dropout=0.25)(x, x))
        x = k.LayerNormalization(epsilon=1e-6)(y) + x
        y = k.Conv1D(filters=1, kernel_size=1)(k.Dropout(0.25)(k.Conv1D(4, kernel_size=1, activation="relu")(x)))
        x = k.LayerNormalization(epsilon=1e-6)(y) + x
    x = k.GlobalAveragePooling1D(data_format="channels_last")(x)
    return keras.Model(inputs, k.Dense(2, activation="softmax")(k.Dropout(0.4)(k.Dense(16, activation="relu")(x))))


@example("keras.io: Electroencephalogram signal classification", "time series")
def eeg(keras: Any) -> Any:
    k = keras.layers
    layers: list[Any] = []
    for size in (4, 8):
        layers += [k.Conv1D(size, 3, strides=2, padding="same", activation="relu"), k.BatchNormalization()]
    layers += [k.Dropout(0.2), k.Flatten(), k.Dense(16, activation="relu"), k.Dense(4, activation="softmax")]
    return chain(keras, (64, 1), *layers)


@example("keras.io: Timeseries forecasting for weather", "time series")
def weather(keras: Any) -> Any:
    k = keras.layers
    model = chain(keras, (24, 7), k.LSTM(8), k.Dense(1))
    model.compile("adam", loss="mse")
    return model


@example("TensorFlow: Time series forecasting, an LSTM with an output for each step", "time series")
def steps(keras: Any) -> Any:
    k = keras.layers
    return chain(keras, (24, 7), k.LSTM(8, return_sequences=True), k.Dense(1))
