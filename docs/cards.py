"""Cards of the methods: what each costs, needs and reaches."""

import dataclasses
from collections.abc import Callable
from functools import partial

import measured
import reference

_PTQ = "cifar10_jpeg/resnet20_ptq"
_INTEGER = "yes: steps are all that changes"
_NO_DATA = "weights: nothing; activations: calibration images"
_LABELS = "labelled calibration images"
_PASSES = "forward passes over the calibration images"
_KURE = "Shkolnik et al., NeurIPS 2020"
_LSQ = "Esser et al., ICLR 2020, arXiv 1902.08153"
_DOREFA = "Zhou et al. 2016, arXiv 1606.06160"
_LAPQ = "Nahshan et al. 2019, arXiv 1911.07190"


@dataclasses.dataclass(frozen=True)
class Card:
    """One method.

    Attributes:
        target: Where its docstring is.
        kind: "training", "step sizes" or "beyond steps".
        cost: In time and memory.
        needs: Data and what else.
        device: Whether an integer device can run what comes of it.
        source: The publication, or "kure_tf".
        measured: Returns Markdown of measured accuracies; None: there are none
            but those in the docstring.
    """

    target: str
    kind: str
    cost: str
    needs: str
    device: str
    source: str
    measured: Callable[[], str] | None = None

    @property
    def name(self):
        return self.target.rpartition(".")[2]


def _report(folder, method):
    return partial(measured.accuracies, folder, method)


CARDS = (
    Card(
        "kure_tf.KurtosisRegularizer",
        "training",
        "0.5 % of a training step of ResNet-18; some tenths of a point in "
        "float",
        "a training set; a few epochs of fine-tuning are enough",
        "yes: the network is an ordinary one",
        _KURE,
        _report("cifar10_jpeg/resnet20_kure_seeds", "minmax"),
    ),
    Card(
        "kure_tf.regularizers.GradientL1Model",
        "training",
        "3 to 4 times the time of a training step",
        "a training set",
        "yes: the network is an ordinary one",
        "Alizadeh et al., ICLR 2020, arXiv 2002.07520",
        lambda: (
            "Table 2 of the paper sets it beside KURE: "
            "[what we measured](../paper.md).\n"
        ),
    ),
    Card(
        "kure_tf.quantizers.LSQQuantizer",
        "training",
        "1.2 times the time of a training step in float",
        "a training set; calibration images for the first steps",
        "yes, on the grids of integers",
        _LSQ,
        _report("cifar10_jpeg/resnet20_lsq_w4", "trained"),
    ),
    Card(
        "kure_tf.quantizers.NestedLSQQuantizer",
        "training",
        "that of LSQ, once for all bit-widths",
        "a training set; calibration images for the first steps",
        "yes: one file from which a device makes all others",
        "kure_tf",
    ),
    Card(
        "kure_tf.quantizers.DoReFaWeightQuantizer",
        "training",
        "one tanh of each weight in a training step",
        "a training set",
        "on the grid `narrow`; on `reference` up to 7 bits",
        _DOREFA,
        _report("cifar10_jpeg/resnet20_dorefa_w4", "trained"),
    ),
    Card(
        "kure_tf.qat.SampledPrecision",
        "training",
        "none beside quantization-aware training",
        "a training set; batch norm measured again at each point",
        "yes, at each of its points",
        "kure_tf",
        _report("cifar10_jpeg/resnet20_sampled", "trained"),
    ),
    Card(
        "kure_tf.ptq.minmax",
        "step sizes",
        "one pass over the values",
        _NO_DATA,
        _INTEGER,
        "Jacob et al., CVPR 2018, arXiv 1712.05877",
        _report(_PTQ, "minmax"),
    ),
    Card(
        "kure_tf.ptq.lp_norm",
        "step sizes",
        "a search over the step of each tensor; no forward pass",
        _NO_DATA,
        _INTEGER,
        "Eq. 2 of the KURE paper for p = 2",
        _report(_PTQ, "lp_norm p=2"),
    ),
    Card(
        "kure_tf.ptq.uniform",
        "step sizes",
        "one pass over the values",
        "nothing; a model trained with KURE",
        _INTEGER,
        "Lemma 3 of the KURE paper",
    ),
    Card(
        "kure_tf.ptq.aciq",
        "step sizes",
        "one pass over the values",
        "weights: nothing; activations: a few calibration images",
        _INTEGER,
        "Banner et al., NeurIPS 2019, arXiv 1810.05723",
        _report(_PTQ, "aciq"),
    ),
    *(
        Card(
            f"kure_tf.ptq.{name}",
            "step sizes",
            "that of `lp_norm`",
            _NO_DATA,
            "yes, where a device rescales by shifts alone, too",
            "Table A.5 of the KURE paper",
            _report("cifar10_jpeg/resnet20_pow2", name),
        )
        for name in ("pow2_nearest", "pow2_up", "pow2_search")
    ),
    Card(
        "kure_tf.ptq.predefined",
        "step sizes",
        "that of `lp_norm`",
        f"{_NO_DATA}; the list of the device's step sizes",
        "yes, where a device holds a fixed set of steps",
        "Section 5.1 of the KURE paper",
    ),
    Card(
        "kure_tf.ptq.lapq",
        "step sizes",
        f"some ten {_PASSES} for each tensor and round",
        _LABELS,
        _INTEGER,
        _LAPQ,
        _report(_PTQ, "lapq"),
    ),
    Card(
        "kure_tf.ptq.lapq_gradient",
        "step sizes",
        f"about 32 {_PASSES}",
        _LABELS,
        _INTEGER,
        f"kure_tf; objective and start of {_LAPQ}",
        _report(_PTQ, "lapq_gradient"),
    ),
    Card(
        "kure_tf.ptq.learned_steps",
        "step sizes",
        "40 training steps",
        f"{_LABELS}; batch norm, which is measured again afterwards",
        _INTEGER,
        f"kure_tf; gradient of {_LSQ}",
        _report("cifar10_jpeg/resnet20_learned_steps", "learned_steps"),
    ),
    Card(
        "kure_tf.ptq.adaround",
        "beyond steps",
        "half a minute for ResNet-20 and 512 images, one thread; for each "
        "operating point anew",
        "calibration images without labels",
        "yes: weights lie on the grid",
        "Nagel et al., ICML 2020, arXiv 2004.10568",
        _report("cifar10_jpeg/resnet20_adaround", "lp_norm p=2 + adaround"),
    ),
    Card(
        "kure_tf.ptq.nested_rounding",
        "beyond steps",
        "2.7 times that of `adaround`, once for all bit-widths",
        "calibration images without labels; with `nearest=True` none",
        "yes: one file from which a device makes all others",
        "kure_tf",
        measured.nested,
    ),
    Card(
        "kure_tf.ptq.reestimate_batch_norm",
        "beyond steps",
        "one forward pass over some hundred images",
        "training images without labels; batch norm that is not folded",
        "yes: costs nothing at run time",
        "kure_tf",
        _report(_PTQ, "lp_norm p=2"),
    ),
    Card(
        "kure_tf.ptq.bias_correction",
        "beyond steps",
        "forward passes over the calibration images",
        "calibration images without labels; biases",
        "yes: a device adds the bias anyway",
        "Nagel et al., ICCV 2019, arXiv 1906.04721, section 4.2",
    ),
    Card(
        "kure_tf.fake_quantized.equalize",
        "beyond steps",
        "no forward pass but those of its check",
        "nothing; folded batch norm, layers with ReLU between them",
        "yes: the network is an ordinary one",
        "Nagel et al., ICCV 2019, arXiv 1906.04721, section 4.1",
    ),
)
_KINDS = {
    "training": "Trains the model.",
    "step sizes": "Finds step sizes.",
    "beyond steps": "Changes more than step sizes.",
}
_INDEX = """# Methods

Each has a card: its formula, what it costs, what it needs, whether an integer \
device can run what comes of it, where it is from, what it reached here.

| Method | Changes | Needs | Runs on integer devices |
|---|---|---|---|
"""


def pages():
    """Returns `{path: Markdown}`."""
    index = _INDEX + "".join(
        f"| [{one.name}]({one.name}.md) | {one.kind} | {one.needs} | "
        f"{one.device} |\n"
        for one in CARDS
    )
    return {
        "methods/index.md": index,
        **{f"methods/{one.name}.md": _page(one) for one in CARDS},
    }


def _page(one):
    facts = {
        "Costs": one.cost,
        "Needs": one.needs,
        "Runs on integer devices": one.device,
        "Source": one.source,
    }
    lines = "".join(f"* {what}: {fact}\n" for what, fact in facts.items())
    found = one.measured and one.measured()
    return (
        f"# {one.name}\n\n{_KINDS[one.kind]}\n\n{lines}\n"
        f"::: {reference.target(*one.target.rsplit('.', 1))}\n"
        # Links lead to the reference, which has the docstring too.
        "    options: {skip_local_inventory: true}\n\n## Measured\n\n"
        + (found or "No kept report has it; see its docstring above.\n")
    )
