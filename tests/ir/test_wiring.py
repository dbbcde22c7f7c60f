"""Patterns: each is the linear map that torch, scipy or a product of arrays computes; sums, chains, bounds."""

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from astrodeploy.errors import InputError
from astrodeploy.ir import Connection, Graph, Input, Population
from astrodeploy.ir.plain import fingerprint, from_plain, to_plain
from astrodeploy.ir.wiring import (
    Conv,
    Dense,
    OneToOne,
    Sparse,
    after,
    from_parts,
    pool,
    together,
)

QUICK = settings(max_examples=60, deadline=None)


@st.composite
def convolutions(draw, channels=None, spatial=None):
    """Any convolution over one or two dimensions that has an output, of small whole numbers."""
    n = draw(st.integers(1, 2)) if spatial is None else len(spatial)
    groups = draw(st.integers(1, 3))
    if channels is None:
        inputs = groups * draw(st.integers(1, 2))
    else:
        inputs, groups = channels, draw(st.sampled_from([g for g in (1, 2, 3) if channels % g == 0]))
    outputs = groups * draw(st.integers(1, 3))
    tuples = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(n))
    kernel, stride, padding, dilation = tuples(1, 3), tuples(1, 3), tuples(0, 2), tuples(1, 3)
    if spatial is None:
        least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
        spatial = tuple(m + draw(st.integers(0, 4)) for m in least)
    elif any(
        s + 2 * p < d * (k - 1) + 1 for s, k, p, d in zip(spatial, kernel, padding, dilation, strict=True)
    ):
        dilation, kernel = (1,) * n, (1,) * n
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.integers(-3, 4, (outputs, inputs // groups, *kernel)).astype(np.float64)
    return Conv(values, (inputs, *spatial), stride, padding, dilation, groups)


def with_torch(conv, x):
    """What torch's own convolution makes of x (batch, *input shape)."""
    function = torch.nn.functional.conv1d if len(conv.stride) == 1 else torch.nn.functional.conv2d
    return function(
        torch.tensor(x),
        torch.tensor(conv.values),
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
    ).numpy()


def whole(rng, *shape):
    return rng.integers(-3, 4, shape).astype(np.float64)


def patterns(rng, targets=6, sources=6):
    """One of each, between populations of the same sizes."""
    sparse = whole(rng, targets, sources) * (rng.random((targets, sources)) < 0.5)
    made = [Dense(whole(rng, targets, sources)), Sparse.of(sparse)]
    if targets == sources:
        made.append(OneToOne(whole(rng, targets)))
        made.append(Conv(whole(rng, 2, 1, 3), (2, targets // 2), (1,), (1,), (1,), 2))
    return made


# ---- what each pattern is ----------------------------------------------------------------------------


@QUICK
@given(convolutions(), st.integers(0, 2**32))
def test_a_convolution_is_that_of_torch(conv, seed):
    x = whole(np.random.default_rng(seed), 3, *conv.input_shape)
    expected = with_torch(conv, x)
    assert conv.output_shape == expected.shape[1:]
    assert conv.shape == (expected[0].size, x[0].size)
    flat = x.reshape(3, -1)
    np.testing.assert_array_equal(conv.deliver(flat), expected.reshape(3, -1))
    np.testing.assert_array_equal(flat @ conv.matrix().T, expected.reshape(3, -1))
    assert conv.synapses == conv.with_values(np.ones(conv.values.shape)).matrix().sum()
    csr = conv.sparse
    for start, stop in zip(csr.indptr[:-1], csr.indptr[1:], strict=True):
        assert np.all(np.diff(csr.indices[start:stop]) > 0)


@QUICK
@given(st.data())
def test_pools_are_those_of_torch(data):
    n = data.draw(st.integers(1, 2))
    kernel, stride = (tuple(data.draw(st.integers(1, 3)) for _ in range(n)) for _ in range(2))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    shape = (data.draw(st.integers(1, 3)), *(k + data.draw(st.integers(0, 4)) for k in kernel))
    x = np.random.default_rng(data.draw(st.integers(0, 999))).normal(size=(2, *shape))
    average = torch.nn.functional.avg_pool1d if n == 1 else torch.nn.functional.avg_pool2d
    expected = average(torch.tensor(x), kernel, stride, padding).numpy()
    made = pool(shape, kernel, stride, padding, 1 / np.prod(kernel))
    assert made.output_shape == expected.shape[1:]
    np.testing.assert_allclose(made.deliver(x.reshape(2, -1)), expected.reshape(2, -1), atol=1e-12)
    summed = pool(shape, kernel, stride, padding).deliver(x.reshape(2, -1))
    np.testing.assert_allclose(summed, expected.reshape(2, -1) * np.prod(kernel), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32])
def test_dense_sparse_and_one_to_one_are_products_in_the_type_of_the_messages(dtype):
    rng = np.random.default_rng(1)
    matrix = whole(rng, 5, 7) * (rng.random((5, 7)) < 0.4)
    messages = rng.integers(-9, 9, (2, 3, 7)).astype(dtype)
    for made in (Dense(matrix), Sparse.of(matrix), Sparse.of(scipy.sparse.coo_array(matrix))):
        narrow = made.with_values(made.values.astype(np.int8))
        totals = narrow.deliver(messages)
        assert totals.dtype == dtype
        np.testing.assert_array_equal(totals, messages @ matrix.T)
        np.testing.assert_array_equal(made.matrix(), matrix)
        np.testing.assert_array_equal(made.sparse.toarray(), matrix)
        assert made.shape == (5, 7)
    diagonal = OneToOne(np.arange(-3.0, 4))
    np.testing.assert_array_equal(diagonal.deliver(messages), messages * np.arange(-3, 4))
    np.testing.assert_array_equal(diagonal.matrix(), np.diag(np.arange(-3.0, 4)))
    assert Dense(matrix).synapses == 35
    assert Sparse.of(matrix).synapses == np.count_nonzero(matrix)
    assert diagonal.synapses == 7


def test_integer_totals_do_not_wrap_in_the_weights_type():
    for made in patterns(np.random.default_rng(2)):
        wide = made.with_values(np.full(made.values.shape, 127, np.int8))
        totals = wide.deliver(np.full((1, 6), 1 << 20, np.int64))
        np.testing.assert_array_equal(totals[0], (wide.matrix().astype(np.int64) * (1 << 20)).sum(1))
        assert wide.bounds(0, 1 << 20)[1].max() == totals.max()


@pytest.mark.parametrize("low", [0, -5])
def test_bounds_are_the_worst_case_and_are_met(low):
    rng = np.random.default_rng(3)
    for made in patterns(rng) + patterns(rng, 4, 9):
        matrix = made.matrix()
        least, most = made.bounds(low, 7)
        np.testing.assert_array_equal(most, np.where(matrix > 0, matrix * 7, matrix * low).sum(1))
        np.testing.assert_array_equal(least, np.where(matrix > 0, matrix * low, matrix * 7).sum(1))


def test_values_are_exchanged_for_as_many():
    for made in patterns(np.random.default_rng(4)):
        assert np.array_equal(made.with_values(2 * made.values).matrix(), 2 * made.matrix())
        with pytest.raises(ValueError, match="the pattern holds"):
            made.with_values(np.zeros(1))
        with pytest.raises(ValueError, match="read-only"):
            made.values[...] = 0


# ---- sums and chains ---------------------------------------------------------------------------------


def same_map(made, matrix):
    np.testing.assert_allclose(made.matrix(), matrix, atol=1e-12)
    x = np.random.default_rng(0).normal(size=(2, matrix.shape[1]))
    np.testing.assert_allclose(made.deliver(x), x @ matrix.T, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_factors_of_targets(seed):
    rng = np.random.default_rng(seed)
    for made in patterns(rng) + patterns(rng, 4, 9):
        factor = rng.normal(size=made.shape[0])
        before = made.matrix().copy()
        same_map(made.scaled(factor), factor[:, None] * before)
        np.testing.assert_array_equal(made.matrix(), before)


def test_a_convolution_of_one_factor_a_channel_stays_one():
    conv = Conv(whole(np.random.default_rng(0), 4, 2, 3, 3), (2, 6, 5), (1, 1), (1, 1), (1, 1))
    factor = np.repeat([1.0, -2.0, 0.5, 3.0], 30)
    assert isinstance(conv.scaled(factor), Conv)
    factor[7] = 1.5
    mixed = conv.scaled(factor)
    assert isinstance(mixed, Sparse)
    same_map(mixed, factor[:, None] * conv.matrix())


@pytest.mark.parametrize("seed", range(3))
def test_all_sums_and_chains_of_patterns(seed):
    rng = np.random.default_rng(seed)
    for first in patterns(rng):
        for second in patterns(rng):
            same_map(together(first, second), first.matrix() + second.matrix())
            same_map(after(second, first), second.matrix() @ first.matrix())
        for second in patterns(rng, 4, 6):
            same_map(after(second, first), second.matrix() @ first.matrix())
    with pytest.raises(ValueError, match="a map of 9 inputs follows one of 6 outputs"):
        after(Dense(np.zeros((4, 9))), Dense(np.zeros((6, 6))))


@QUICK
@given(st.data())
def test_a_convolution_after_a_convolution(data):
    first = data.draw(convolutions())
    second = data.draw(convolutions(first.output_shape[0], first.output_shape[1:]))
    same_map(after(second, first), second.matrix() @ first.matrix())


@QUICK
@given(st.data())
def test_a_convolution_after_a_pool_is_one_of_larger_filters(data):
    n = data.draw(st.integers(1, 2))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(n))
    shape = (2, *(k * data.draw(st.integers(1, 4)) for k in kernel))
    first = pool(shape, kernel, kernel, (0,) * n, 0.25)
    second = data.draw(convolutions(2, first.output_shape[1:]))
    joined = after(second, first)
    assert isinstance(joined, Conv) == (set(second.dilation) == {1})
    same_map(joined, second.matrix() @ first.matrix())


@pytest.mark.parametrize("change", ["overlapping", "padded", "cut", "not uniform"])
def test_after_other_pools_a_convolution_is_a_list_of_synapses(change):
    stride, padding, width = (2, 2), (0, 0), 6
    stride = (1, 1) if change == "overlapping" else stride
    padding = (1, 1) if change == "padded" else padding
    width = 7 if change == "cut" else width
    first = pool((1, 6, width), (2, 2), stride, padding, 0.25)
    if change == "not uniform":
        first = first.with_values(np.arange(4.0).reshape(1, 1, 2, 2))
    second = Conv(np.ones((2, 1, 2, 2)), first.output_shape, (1, 1), (0, 0), (1, 1))
    joined = after(second, first)
    assert isinstance(joined, Sparse)
    same_map(joined, second.matrix() @ first.matrix())


def test_simple_patterns_stay_simple():
    ones, conv = OneToOne(np.full(8, 2.0)), Conv(np.ones((3, 2, 2)), (2, 4), (1,), (0,), (1,))
    assert isinstance(after(ones, ones), OneToOne)
    assert isinstance(together(ones, ones), OneToOne)
    assert isinstance(after(conv, ones), Conv)
    assert isinstance(after(OneToOne(np.repeat([1.0, 2.0, 3.0], 3)), conv), Conv)
    assert isinstance(after(Dense(np.ones((2, 9))), conv), Dense)
    assert isinstance(together(conv, conv), Sparse)


# ---- plain data --------------------------------------------------------------------------------------


def connected(wiring):
    targets, sources = wiring.shape
    populations = (Population("x", (sources,), Input()), Population("y", (targets,), Input()))
    return Graph(1e-3, populations, (Connection("x", "y", "current", wiring),), ("y",))


@pytest.mark.parametrize("index", range(4))
def test_patterns_as_plain_data_and_back(index):
    rng = np.random.default_rng(0)
    made = patterns(rng)[index]
    for each in (made, made.with_values(made.values.astype(np.int8))):
        graph = connected(each)
        plain, tensors = to_plain(graph)
        again = from_plain(plain, tensors)
        assert type(again.connections[0].wiring) is type(each)
        assert fingerprint(again) == fingerprint(graph)
        np.testing.assert_array_equal(again.connections[0].weight, each.matrix())
    settings_of = made.settings()
    if settings_of:
        other = dict(settings_of)
        key = next(iter(other))
        other[key] = [n + 1 for n in other[key]] if isinstance(other[key], list) else other[key] + 1
        assert settings_of != other


CONV = {"input_shape": [1, 4], "stride": [1], "padding": [0], "dilation": [1], "groups": 1}
FILTERS = {"values": np.ones((1, 1, 2))}
ROWS = {"values": np.ones(2), "columns": np.array([0, 1]), "starts": np.array([0, 1, 2])}


@pytest.mark.parametrize(
    ("name", "changed", "arrays", "message"),
    [
        ("Ring", {}, {"values": np.ones(3)}, "the pattern 'Ring' is unknown; known are Dense, OneToOne"),
        ("Conv", {"stride": [0]}, FILTERS, "needs a stride, dilation and groups of at least 1"),
        ("Conv", {"dilation": [0]}, FILTERS, "needs a stride, dilation and groups of at least 1"),
        ("Conv", {"padding": [-1]}, FILTERS, "and padding of at least 0"),
        ("Conv", {"groups": 0}, FILTERS, "groups of at least 1"),
        ("Conv", {"groups": 2}, FILTERS, "of 2 groups does not divide 1 into 1 channels"),
        ("Conv", {"input_shape": [2, 4]}, FILTERS, "takes 1 channels, its input has 2"),
        ("Conv", {"input_shape": [1, 1]}, FILTERS, r"of kernel \(2,\) has no output on an input of \(1,\)"),
        ("Conv", {"input_shape": [1, 4, 4]}, FILTERS, "needs one or two spatial dimensions everywhere"),
        ("Conv", {"stride": [1, 1]}, FILTERS, "needs one or two spatial dimensions everywhere"),
        ("Conv", {}, {"values": np.ones((1, 2))}, "needs one or two spatial dimensions everywhere"),
        ("Sparse", {}, ROWS | {"starts": np.array([0, 2, 1])}, "starts do not fit its synapses"),
        ("Sparse", {}, ROWS | {"starts": np.array([0, 1, 3])}, "starts do not fit its synapses"),
        ("Sparse", {}, ROWS | {"starts": np.array([1, 1, 2])}, "starts do not fit its synapses"),
        ("Sparse", {}, ROWS | {"starts": np.zeros(0, int)}, "starts do not fit its synapses"),
        ("Sparse", {}, ROWS | {"columns": np.array([0.0, 1.0])}, "starts do not fit its synapses"),
        ("Sparse", {}, ROWS | {"values": np.ones(3)}, "starts do not fit its synapses"),
        ("Sparse", {}, ROWS | {"columns": np.array([0, 5])}, r"names a source outside 0\.\.4"),
        ("Sparse", {}, ROWS | {"columns": np.array([-1, 0])}, r"names a source outside 0\.\.4"),
        (
            "Sparse",
            {},
            {"values": np.ones(2), "columns": np.array([1, 1]), "starts": np.array([0, 2])},
            "its sources must ascend within a target",
        ),
        ("Dense", {}, {"values": np.ones(3)}, r"needs weights \(targets, sources\), not of shape \(3,\)"),
        ("OneToOne", {}, {"values": np.ones((2, 2))}, r"needs weights \(neurons,\), not of shape \(2, 2\)"),
    ],
)
def test_malformed_patterns_are_refused(name, changed, arrays, message):
    given_settings = {"Conv": CONV, "Sparse": {"sources": 5}}.get(name, {}) | changed
    with pytest.raises(InputError, match=message):
        from_parts(name, given_settings, arrays)
