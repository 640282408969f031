"""Attaching regularizers to models that already exist."""

import collections
import collections.abc
import copy
import fnmatch
import functools
import operator
import sys

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.ops.checks import check_not_negative
from kure_tf.regularizers.kurtosis import KurtosisRegularizer
from kure_tf.regularizers.sum import SumRegularizer


def regularize_kurtosis(
    model,
    target=1.8,
    coefficient=1.0,
    *,
    granularity="per_tensor",
    layers="all_but_first",
    min_channel_std=0.1,
    transform=None,
    verbose=True,
):
    """Returns a copy of `model` with KURE on its kernels.

        sum over model.losses grows by
        coefficient / L * sum_i (Kurt[W_i] - K_T)^2    (KURE paper, Eq. 14, 15)

    The copy has the same weights, outputs and compilation. A regularizer that
    a layer already has stays: the slot then holds the sum of both. `model` is
    not changed. What was taken and what was skipped, and why, is printed to
    the standard error stream.

    The paper measures image classifiers. Beside them (small nets, means of
    three seeds, results/any_model/beyond_images.md):

    * A GRU over text loses 0.1 points in float at 0.1 and 0.3 at 1, and gains
      nothing beyond its spread. What max-abs steps damage at 3 bits is the
      embedding, which is the first layer: `layers=["*"]` takes it in, and at
      0.1 3 bits then keep 76.9 % in place of 73.2, of 80.7 in place of 81.3
      in float. With steps of the smallest error there is no gain.
    * An MLP for regression is worse at 4 bits with max-abs steps in two of
      three seeds (mean absolute error 0.34 in place of 0.24) and within its
      spread elsewhere: leave KURE out.
    * Look at the kurtosis first: a Transformer has 1.8 to 1.9 without KURE, but
      for its embedding, and nothing it gains is beyond its spread at any bits.

    Args:
        model: A built functional or sequential model; nested ones are opened.
        target: K_T, see `KurtosisRegularizer`.
        coefficient: lambda of Eq. 14. Every one of the L kernels gets
            coefficient / L, which is much for each where a net has few. On
            image classifiers 0.1 to 1 is enough; for others see above.
        granularity: "per_tensor" or "per_channel", see `KurtosisRegularizer`.
        layers: Which layers to take: "all_but_first", all with kernels but
            the first (convolutions, dense and recurrent layers, attention,
            embeddings); "convs_but_first", convolutions alone (what the
            paper's code does); a collection of layer names or paths, or
            patterns of these such as "block_*/conv?"; or a function of a
            layer that returns True for it.
        min_channel_std: See `KurtosisRegularizer`.
        transform: See `KurtosisRegularizer`; "tanh" for DoReFa.
        verbose: Whether to print what was taken.

    Raises:
        TypeError, ValueError: If `model` is unbuilt, subclassed or of the
            other Keras, if `layers` names what is not there, if nothing is
            left to regularize, or if channels are asked for where one
            regularizer serves several kernels, as in attention.
    """
    compat.check_graph_model(model)
    compat.check_kernels(model)
    check_not_negative("coefficient", coefficient)
    taken, skipped = some_kernels(model, layers)
    count = sum(len(kernels) for kernels in taken.values())
    if granularity == "per_channel":
        _check_own_regularizers(taken)

    def regularizer(kernel):
        return KurtosisRegularizer(
            target,
            coefficient / count,
            granularity=granularity,
            channel_axes=kernel.channel_axes,
            min_channel_std=min_channel_std,
            transform=transform,
        )

    if verbose:
        print(_sentence(taken, skipped, count, coefficient), file=sys.stderr)
    return _attach(model, taken, regularizer)


def choose_kernels(model, layers):
    """Returns which kernels `regularize_kurtosis` takes.

    Args:
        model: A built functional or sequential model.
        layers: As for `regularize_kurtosis`.

    Returns:
        `({layer path: kernels}, {layer path: why it is skipped})`.
    """
    candidates = {
        path: layer
        for path, layer in compat.layers_of(model)
        if _regularized_kernels(layer)
    }
    reasons = _reasons(candidates, layers) if candidates else {}
    taken, skipped = {}, {}
    for path, layer in compat.layers_of(model):
        if path in candidates and reasons[path] is not None:
            skipped[path] = reasons[path]
        elif path in candidates and not layer.trainable:
            # Keras 3 leaves its loss out, tf_keras does not; and it is a
            # constant.
            skipped[path] = "not trainable"
        elif path in candidates:
            taken[path] = _regularized_kernels(layer)
        elif compat.kernels_of(layer):
            skipped[path] = "its kernels take no regularizer"
        elif layer.weights:
            skipped[path] = compat.why_no_kernels(layer)
    return taken, skipped


def _regularized_kernels(layer):
    kernels = compat.kernels_of(layer)
    return tuple(kernel for kernel in kernels if kernel.regularizer)


def _check_own_regularizers(taken):
    """Raises if kernels with different channels share one regularizer."""
    for path, kernels in taken.items():
        axes = {_slot(kernel): kernel.channel_axes for kernel in kernels}
        if any(axes[_slot(one)] != one.channel_axes for one in kernels):
            raise ValueError(
                "Expected a regularizer of its own for each kernel, since "
                f"channels differ. {path!r} gives one to all of "
                f"{[kernel.name for kernel in kernels]}: take "
                'granularity="per_tensor", or leave the layer out of `layers=`.'
            )


def _slot(kernel):
    """Returns the way to the regularizer in a layer's configuration."""
    return (*kernel.config, kernel.regularizer)


def some_kernels(model, layers):
    """Returns `choose_kernels(model, layers)`, or raises that none is left."""
    taken, skipped = choose_kernels(model, layers)
    if not taken:
        raise ValueError(
            "Expected a model with kernels to regularize, such as those of "
            f"convolutions and dense layers. Received {model.name!r}, where "
            f"none is left: {skipped or 'it has none'}. Choose others with "
            "`layers=`."
        )
    return taken, skipped


def _reasons(candidates, layers):
    """Returns {path: None to take it, or why not}."""
    if callable(layers):
        return {
            path: None if layers(layer) else "not chosen"
            for path, layer in candidates.items()
        }
    if isinstance(layers, str):
        if layers not in ("all_but_first", "convs_but_first"):
            raise ValueError(
                "Expected layers to be 'all_but_first', 'convs_but_first', a "
                "list of layer names or patterns, or a function of a layer. "
                "Received: "
                f"{layers!r}."
            )
        convs_only = layers == "convs_but_first"
        return {
            path: "the first layer"
            if index == 0
            else (
                "no convolution" if convs_only and not _is_conv(layer) else None
            )
            for index, (path, layer) in enumerate(candidates.items())
        }
    names = _names(layers)
    unknown = {
        name
        for name in names
        if not any(_fits(name, *one) for one in candidates.items())
    }
    if unknown:
        raise ValueError(
            "Expected names of layers with a kernel, or patterns of them, of "
            f"{sorted(candidates)}. Received: {sorted(unknown)}."
        )
    return {
        path: None
        if any(_fits(name, path, layer) for name in names)
        else "not chosen"
        for path, layer in candidates.items()
    }


def _is_conv(layer):
    dense = (keras.layers.Dense, keras.layers.EinsumDense)
    inside, _ = compat.without_wrappers(layer)
    return compat.is_linear(inside) and not isinstance(inside, dense)


def _fits(pattern, path, layer):
    """Whether a layer has that name or path, or one of that pattern."""
    return pattern in (path, layer.name) or any(
        fnmatch.fnmatchcase(name, pattern) for name in (path, layer.name)
    )


def _names(layers):
    listed = isinstance(layers, collections.abc.Collection)
    if not listed or not all(isinstance(name, str) for name in layers):
        raise TypeError(
            "Expected layers to be a rule such as 'all_but_first', a list of "
            f"layer names, or a function of a layer. Received: {layers!r}."
        )
    return set(layers)


def _attach(model, kernels, regularizer):
    """Copies `model` with `regularizer(kernel)` added at `{path: kernels}`."""

    def make_layer(path, layer):
        if path not in kernels:
            made = compat.copy_layer(layer)
            return made, made
        config = copy.deepcopy(layer.get_config())
        # Attention has one regularizer for its kernels.
        for kernel in {_slot(one): one for one in kernels[path]}.values():
            present = kernel.regularizer_in(layer)
            added = regularizer(kernel)
            arguments = functools.reduce(
                operator.getitem, kernel.config, config
            )
            arguments[kernel.regularizer] = keras.regularizers.serialize(
                added if present is None else SumRegularizer(present, added)
            )
        made = compat.copy_layer(layer, config)
        return made, made

    return compat.clone_model(model, make_layer)


def _sentence(taken, skipped, count, coefficient):
    by_reason = collections.defaultdict(list)
    for path, why in skipped.items():
        by_reason[why].append(path)
    listed = "; ".join(
        f"{', '.join(paths)} ({why})" for why, paths in by_reason.items()
    )
    return (
        f"KURE on {count} kernels of {len(taken)} layers, coefficient "
        f"{coefficient:g} / {count} each: {', '.join(taken)}. "
        f"Skipped: {listed or 'none'}."
    )
