"""A network in 8 bits: where its graph is cut into int8, by the ranges that its values had.

Weights get a scale for each output channel, values one for each tensor, and what rounding the
weights would add to an output in the mean is taken off its bias: on cuts of photos that kept 94 %
of EfficientNet-Lite0's labels, 87 % without that and 84 % by NNCF 3.4, which brings 213 MB along.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from imgq_trainer.errors import QuantisationRefused, RangesInvalid, TooFewPictures
from imgq_trainer.ranges import Ranges, Values

#: A network that computes one of them gains nothing in int8: bf16 is as fast, and keeps the labels.
SMOOTH: Final = frozenset(
    {
        "Elu",
        "Gelu",
        "HSigmoid",
        "HSwish",
        "MVN",
        "Mish",
        "ScaledDotProductAttention",
        "Selu",
        "Sigmoid",
        "SoftPlus",
        "Softmax",
        "Swish",
        "Tanh",
    }
)
#: by what sums products with constant weights: where a weight's output channels end
_WEIGHTED: Final = {"Convolution": 1, "GroupConvolution": 2, "MatMul": 1}
#: these give some of the numbers that they take: both may share a scale
_PASSING: Final = frozenset({"MaxPool", "Pad", "Reshape"})
#: so many of the pictures lie in the range with every number: the rest may have been odd ones
_WITHIN = 0.9
#: a lower end so near to zero, in upper ends, is zero: the range need not be split
_NO_LOW = -1e-3
_LEVELS, _WEIGHT_LEVELS = 256, 255

# openvino has no types that a checker could use: a graph's model, node, output and input.
Model: TypeAlias = Any
Node: TypeAlias = Any
Output: TypeAlias = Any
Input: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class _Cuts:
    """Where a graph is cut: the values that become int8, and the operations that take them."""

    values: tuple[Output, ...]
    weighted: tuple[Node, ...]


def check_quantisable(model: Model) -> None:
    """Raise QuantisationRefused for a network that int8 is nothing for."""
    smooth = SMOOTH & {node.get_type_name() for node in model.get_ordered_ops()}
    if smooth:
        raise QuantisationRefused(
            "int8 is offered for networks whose activations are ReLU. This one computes"
            f" {' and '.join(sorted(smooth))}: bf16 is as fast there, and keeps the labels."
        )


def quantise(openvino: Any, model: Model, ranges: Ranges) -> None:
    """Rewrite a graph so that it is computed in int8. Raises QuantisationRefused, RangesInvalid."""
    check_quantisable(model)
    cuts = _cuts(model)
    if _sizes(cuts.values).tolist() != ranges.sizes.tolist() or [
        _channels(node.input_value(0)) for node in cuts.weighted
    ] != [len(mean) for mean in ranges.means]:
        raise RangesInvalid("they were measured on another graph")
    ops = openvino.opset13
    for value, low, high in zip(cuts.values, ranges.low, ranges.high, strict=True):
        _quantise_value(ops, value, float(low), float(high))
    for node, mean in zip(cuts.weighted, ranges.means, strict=True):
        _quantise_weights(ops, node, mean)
    model.validate_nodes_and_infer_types()


@dataclass(slots=True)
class Measurement:
    """Gathers the ranges of a graph's values, picture by picture; safe to add to from threads."""

    _sizes: npt.NDArray[np.int64]
    #: how many were added
    pictures: int = 0
    _extremes: list[tuple[Values, Values]] = field(default_factory=list)  # (T, B) each
    _sums: list[Values] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def begin(cls, openvino: Any, model: Model) -> tuple["Measurement", Model]:
        """Return an empty one, and the graph that computes what it takes instead of scores.

        Raises QuantisationRefused.
        """
        check_quantisable(model)
        cuts, ops = _cuts(model), openvino.opset13
        lows = [ops.reduce_min(value, _inner_axes(ops, value)) for value in cuts.values]
        highs = [ops.reduce_max(value, _inner_axes(ops, value)) for value in cuts.values]
        inputs = [node.input_value(0) for node in cuts.weighted]
        means = [_channel_means(ops, value) for value in inputs]
        scores = [result.input_value(0) for result in model.get_results()]
        results = [ops.result(value) for value in (*scores, *lows, *highs, *means)]
        return cls(_sizes(cuts.values)), openvino.Model(results, model.get_parameters())

    def add(self, computed: Sequence[npt.NDArray[np.float32]]) -> None:
        """Take what the graph computed for a tile; none of its pictures may be a filling."""
        scores, *found = computed
        values = len(self._sizes)
        lows, highs = np.stack(found[:values]), np.stack(found[values : 2 * values])
        sums = [mean.sum(axis=0, dtype=np.float32) for mean in found[2 * values :]]
        with self._turn:
            self.pictures += len(scores)
            self._extremes.append((lows, highs))
            before = self._sums or [np.zeros_like(each) for each in sums]
            self._sums = [a + b for a, b in zip(before, sums, strict=True)]

    def ranges(self, *, least_pictures: int) -> Ranges:
        """Return what was found. Raises TooFewPictures."""
        if self.pictures < least_pictures:
            raise TooFewPictures(least_pictures, self.pictures)
        lows, highs = (np.concatenate(parts, axis=1) for parts in zip(*self._extremes, strict=True))
        return Ranges(
            pictures=self.pictures,
            sizes=self._sizes,
            low=np.quantile(lows, 1 - _WITHIN, axis=1).astype(np.float32),
            high=np.quantile(highs, _WITHIN, axis=1).astype(np.float32),
            means=tuple(each / np.float32(self.pictures) for each in self._sums),
        )


def _cuts(model: Model) -> _Cuts:
    """Find the inputs of sums of products and of additions; each value once."""
    values: dict[tuple[str, int], Output] = {}
    weighted = []
    for node in model.get_ordered_ops():
        if _has_weights(node):
            weighted.append(node)
            taken = [node.input_value(0)]
        elif node.get_type_name() == "Add" and _adds_pictures(node):
            taken = list(node.input_values())
        else:
            continue
        for value in map(_origin, taken):
            values[value.get_node().get_name(), value.get_index()] = value
    return _Cuts(tuple(values.values()), tuple(weighted))


def _has_weights(node: Node) -> bool:
    kind = node.get_type_name()
    if kind not in _WEIGHTED or not _is_constant(node.input_value(1)):
        return False
    return kind != "MatMul" or bool(node.get_attributes()["transpose_b"])


def _adds_pictures(node: Node) -> bool:
    is_map = len(node.get_output_shape(0)) == len("BCHW")
    return is_map and not any(_is_constant(value) for value in node.input_values())


def _is_constant(value: Output) -> bool:
    return bool(value.get_node().get_type_name() == "Constant")


def _origin(value: Output) -> Output:
    while value.get_node().get_type_name() in _PASSING:
        value = value.get_node().input_value(0)
    return value


def _sizes(values: Iterable[Output]) -> npt.NDArray[np.int64]:
    return np.array([np.prod(list(value.get_shape())[1:]) for value in values], np.int64)


def _channels(value: Output) -> int:
    return int(value.get_shape()[1])


def _inner_axes(ops: Any, value: Output) -> Node:
    """All axes but the pictures'."""
    return ops.constant(np.arange(1, len(value.get_shape()), dtype=np.int64))


def _channel_means(ops: Any, value: Output) -> Output:
    """(B, C, H, W) -> (B, C)."""
    area = np.arange(2, len(value.get_shape()), dtype=np.int64)
    return ops.reduce_mean(value, ops.constant(area)).output(0) if len(area) else value


def _quantise_value(ops: Any, value: Output, low: float, high: float) -> None:
    if not low < high:  # it is the same number everywhere
        return
    takers = [taker for taker in value.get_target_inputs() if not _is_result(taker)]
    ends = [np.float32(end) for end in _whole_levels(min(low, 0.0), max(high, 0.0))]
    rounded = ops.fake_quantize(value, *ends, *ends, _LEVELS)
    for taker in takers:
        taker.replace_source_output(rounded.output(0))


def _whole_levels(low: float, high: float) -> tuple[float, float]:
    """Widen a range a little, so that zero is one of its levels: padding must stay zero."""
    if low > _NO_LOW * high:
        return 0.0, high
    most = _LEVELS - 1
    zero = min(max(round(-low / (high - low) * most), 1), most - 1)
    step = max(-low / zero, high / (most - zero))
    return -zero * step, (most - zero) * step


def _quantise_weights(ops: Any, node: Node, mean: Values) -> None:
    weights = np.asarray(node.input_value(1).get_node().get_data(), np.float32)
    outputs = _WEIGHTED[node.get_type_name()]
    summed = tuple(range(outputs, weights.ndim))
    most = np.abs(weights).max(axis=summed, keepdims=True)
    most = np.maximum(most, np.finfo(np.float32).tiny)
    rounded = ops.fake_quantize(node.input_value(1), -most, most, -most, most, _WEIGHT_LEVELS)
    node.input(1).replace_source_output(rounded.output(0))
    steps = np.float32(_WEIGHT_LEVELS // 2)
    lost = weights - np.round(weights / most * steps) / steps * most
    _add(ops, node, _mean_output(lost, outputs, mean))


def _mean_output(weights: Values, outputs: int, mean: Values) -> Values:
    """What the weights give in the mean for a picture that is its channels' means everywhere."""
    by_input = weights.sum(axis=tuple(range(outputs + 1, weights.ndim)))
    if outputs == 1:  # (K, C)
        return np.asarray(by_input @ mean, np.float32)
    groups, _, channels = by_input.shape  # (G, K / G, C / G)
    by_group = mean.reshape(groups, channels)
    return np.asarray(np.einsum("gkc,gc->gk", by_input, by_group).reshape(-1), np.float32)


def _add(ops: Any, node: Node, bias: Values) -> None:
    """Add to what a node gives, within the constant that is added already, if there is one."""
    shape = (1, -1) + (1,) * (len(node.get_output_shape(0)) - 2)
    takers = list(node.output(0).get_target_inputs())
    shifted = bias.reshape(shape)
    if len(takers) == 1 and takers[0].get_node().get_type_name() == "Add":
        for place in _constant_inputs(takers[0].get_node()):
            old = np.asarray(place.get_source_output().get_node().get_data(), np.float32)
            place.replace_source_output(ops.constant(old + shifted).output(0))
            return
    corrected = ops.add(node, ops.constant(shifted))
    for taker in takers:
        taker.replace_source_output(corrected.output(0))


def _constant_inputs(node: Node) -> Iterator[Input]:
    return (place for place in node.inputs() if _is_constant(place.get_source_output()))


def _is_result(taker: Input) -> bool:
    return bool(taker.get_node().get_type_name() == "Result")
