"""The L1 norm of gradients, the rival of KURE in the paper's Table 2."""

import collections

import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras, register_serializable
from kure_tf.ops.checks import check_not_negative
from kure_tf.regularizers.attach import some_kernels
from kure_tf.regularizers.training_term import TrainingTermModel


@register_serializable("kure_tf")
class GradientL1Model(TrainingTermModel):
    """Trains the layers of a model with the L1 norm of the loss's gradients.

        loss + coefficient * sum_i |dL / dW_i|_1
             + activation_coefficient * sum_i |dL / dX_i|_1

    after Alizadeh et al. 2020, "Gradient l1 regularization for quantization
    robustness". L is the loss that the model was compiled with, averaged over
    the batch and without regularizers; W_i is the kernel of layer i, X_i its
    input. Rounding moves every weight by at most half a step: to first order,
    that norm bounds what it does to the loss.

    The term depends on the data, so it is part of the training step alone: see
    `TrainingTermModel`. Its gradient goes through the first backward pass
    (double backpropagation): a step takes three to four times as long
    (ResNet-20, CPU).

    This model and the original share their layers: training one trains the
    other. Save, quantize or sweep the original; this one can be saved too, and
    goes on training with the term when it is loaded.

    Second derivatives exist for what image classifiers are made of: (depthwise,
    separable, transposed) convolutions, dense layers, pooling, and batch
    normalization in training mode, fused too. (TensorFlow leaves a part of them
    out where it is not fused; this puts it back. Under Keras 3, Layer- and
    GroupNormalization still lack it.) A piecewise linear function has none at
    its kinks: those of ReLU add nothing to the gradient of the term.
    float16 loses gradients below 6e-8: prefer mixed_bfloat16. Under a
    distribution strategy every replica takes the norm of its own part of the
    batch, and the mean over replicas is used.

    Args:
        model: A built functional or sequential model with one input and one
            output. Its compilation is taken over, with a new optimizer.
        coefficient: Factor of the kernels' gradients, not negative. The
            paper's Table 2 has 0.05.
        activation_coefficient: Factor of the gradients of the inputs of the
            same layers, but for the input of the model. Not negative.
        layers: As for `regularize_kurtosis`, or "all".

    Raises:
        TypeError, ValueError: If `model` is unbuilt, subclassed, of the other
            Keras or has several inputs or outputs; if a coefficient is not a
            number of 0 or more; if no kernel is left; if an activation belongs
            to a nested model or to a layer that is used more than once; and,
            when it is trained, if it was compiled without a loss.

    Example:
        >>> trained = GradientL1Model(model, 0.05)
        >>> trained.compile("sgd", "mse")
        >>> trained.fit(x, y)
        >>> model.save("trained.keras")
    """

    def __init__(
        self, model, coefficient, *, activation_coefficient=0.0, layers="all"
    ):
        compat.check_graph_model(model)
        _check(model, coefficient, activation_coefficient)
        chosen = _chosen(model, layers)
        taps = _inputs_of(model, chosen) if activation_coefficient else []
        super().__init__(model)
        self.coefficient = float(coefficient)
        self.activation_coefficient = float(activation_coefficient)
        self.regularized_layers = tuple(chosen)
        # Past the tracking of Keras, which would count the layers twice.
        self.__dict__.update(
            _kernels=[
                kernel.variable_in(layer)
                for layer, kernels in chosen.values()
                for kernel in kernels
            ],
            _tapped=taps and keras.Model(self.inputs, [*taps, *self.outputs]),
            _tape=None,
            _activations=(),
        )
        for _, layer in compat.layers_of(self):
            if isinstance(layer, keras.layers.BatchNormalization):
                compat.make_twice_differentiable(layer)

    def call(self, inputs, training=None, mask=None):
        if not self._tapped or self._tape is None:
            return super().call(inputs, training=training, mask=mask)
        *activations, outputs = self._tapped.call(inputs, training=training)
        self.__dict__["_activations"] = tuple(activations)
        return outputs

    def train_step(self, data):
        try:
            # The step of Keras records the operations of this tape, too.
            with tf.GradientTape() as self.__dict__["_tape"]:
                return super().train_step(data)
        finally:
            self.__dict__.update(_tape=None, _activations=())

    def training_term(self, x, y, y_pred, sample_weight):
        loss_function = compat.compiled_loss_of(self)
        if loss_function is None:
            raise ValueError(
                "GradientL1Model regularizes the gradient of the loss it is "
                "compiled with. It was compiled without one: give `loss` to "
                "`compile`."
            )
        loss = loss_function(y, y_pred, sample_weight)
        kernels, activations = self._tape.gradient(
            loss, (self._kernels, list(self._activations))
        )
        # Keras divides the loss by the number of replicas, and will the term.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return replicas * (
            self.coefficient * _norm(kernels)
            + self.activation_coefficient * _norm(activations)
        )

    def get_config(self):
        return {
            "model": keras.saving.serialize_keras_object(self.without_term()),
            "coefficient": self.coefficient,
            "activation_coefficient": self.activation_coefficient,
            "layers": list(self.regularized_layers),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )
        return cls(**{**config, "model": model})


def _norm(gradients):
    norms = [
        tf.reduce_sum(tf.abs(tf.cast(gradient, tf.float32)))
        for gradient in gradients
        if gradient is not None  # Nothing depends on that kernel.
    ]
    return tf.add_n(norms) if norms else tf.zeros(())


def _check(model, *coefficients):
    for coefficient in coefficients:
        check_not_negative("a coefficient", coefficient)
    compat.check_one_input_and_output(model)


def _chosen(model, layers):
    """Returns `{path: (layer, its kernels)}` of the layers to regularize."""
    rule = compat.is_linear if layers == "all" else layers
    taken, _ = some_kernels(model, rule)
    found = dict(compat.layers_of(model))
    return {path: (found[path], kernels) for path, kernels in taken.items()}


def _inputs_of(model, chosen):
    """Returns the input tensors of layers, each once, without the model's."""
    calls = collections.defaultdict(list)
    for call in compat.calls_of(model):
        given = tf.nest.flatten((call.args, call.kwargs))
        calls[id(call.layer)].append(list(filter(compat.is_symbolic, given)))
    found = {}
    for path, (layer, _) in chosen.items():
        if len(calls[id(layer)]) != 1:
            raise ValueError(
                "Expected layers of the model itself that are used once, to "
                f"regularize the gradients of their inputs. {path!r} is in a "
                "nested model or used more than once: leave it out of "
                "`layers=`, or set activation_coefficient=0."
            )
        ((tensor, *_),) = calls[id(layer)]
        if tensor is not model.inputs[0]:
            found[id(tensor)] = tensor
    return list(found.values())
