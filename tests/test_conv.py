"""Convolutions against lax, a loop in numpy, and transformations of JAX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax.models import conv as conv_module
from vae_jax.models.conv import (
    Conv,
    ConvTranspose,
    UpConv,
    conv,
    conv_transpose,
    upsample_conv,
)

# Both sides add up to 16 * 6 products of float32 standard normals in another order; the
# gradients add up to 2 * 56 * 40. Rounding grows with the root of the count, and
# 67 * 2**-24 = 4e-6 is relative to the largest entry. Observed: 1e-6.
RTOL = 5e-6
RTOL_OF_TILES = 1e-5  # they round up to ten times as much; observed: 5e-6, of 20 seeds

# Compiling is most of these tests' time, and optimising most of compiling.
compiled = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def upsample(x, k, stride):
    """``upsample_conv``, which always doubles, with the arguments of the others."""
    return upsample_conv(x, k)


def upsample_lax(x, k, stride):
    return conv_module._upsample_conv_lax(x, k)


FORMS = [
    pytest.param(conv, conv_module._conv_lax, id="conv"),
    pytest.param(conv_transpose, conv_module._conv_transpose_lax, id="transpose"),
    pytest.param(upsample, upsample_lax, id="upsample"),
]
# (height, width), (kh, kw), stride, (C, O)
CASES = [
    ((28, 28), (4, 4), 2, (1, 8)),
    ((28, 20), (4, 4), 2, (3, 4)),
    ((7, 8), (4, 4), 2, (6, 1)),
    ((8, 8), (3, 3), 1, (4, 6)),
    ((2, 3), (4, 4), 1, (3, 2)),
    ((3, 5), (1, 1), 1, (3, 2)),
    ((6, 5), (1, 1), 2, (3, 2)),
    ((7, 5), (3, 3), 2, (3, 2)),
    ((1, 1), (4, 4), 2, (2, 3)),
    ((1, 1), (3, 3), 1, (2, 3)),
    ((4, 9), (5, 2), 3, (1, 1)),
    # Of few outputs, for which the CPU's form is another.
    ((7, 8), (4, 4), 2, (17, 1)),
    ((6, 5), (3, 2), 1, (8, 2)),
    ((5, 7), (3, 3), 3, (9, 2)),
]
# Of many inputs, of which the CPU makes tiles: whole numbers of them and not.
TILED = [
    ((8, 4), (3, 3), 1, (8, 6)),
    ((7, 9), (4, 4), 2, (18, 19)),
    ((3, 10), (3, 2), 1, (12, 4)),
    ((5, 6), (5, 5), 1, (3, 2)),
]


def close(actual, desired, rtol=RTOL):
    assert actual.shape == desired.shape
    scale = np.abs(desired).max()
    np.testing.assert_allclose(actual, desired, rtol=0, atol=rtol * scale)


def arrays(size=(7, 5), kernel=(4, 4), channels=(3, 6), batch=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, *size, channels[0]), np.float32)
    k = rng.standard_normal((*kernel, *channels), np.float32)
    return jnp.asarray(x), jnp.asarray(k)


def value_and_gradients(function, x, k, stride):
    """The value, and the gradients of a random projection of it."""
    y, pullback = jax.vjp(lambda x, k: function(x, k, stride), x, k)
    return y, *pullback(jax.random.normal(jax.random.key(7), y.shape))


def test_an_odd_number_of_rows_is_one_half():
    x, k = arrays(batch=1)  # 7 x 5 positions
    found = value_and_gradients(conv, x, k, 1)
    expected = value_and_gradients(conv_module._conv_lax, x, k, 1)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)  # sums of 48 to 560


@pytest.mark.parametrize(("batch", "halves"), [(2, 2), (1, 1)])
def test_an_even_number_of_rows_is_multiplied_by_halves(batch, halves):
    # What makes the kernel's gradient take half the time; of 7 x 5 positions.
    x, k = arrays(kernel=(1, 1), batch=batch)
    jaxpr = jax.make_jaxpr(lambda x, k: conv_module._conv_matmul(x, k, 1))(x, k)
    (product,) = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
    assert product.outvars[0].aval.shape == (halves, 35, 6)


@pytest.mark.parametrize("batch", [4, 5])
def test_images_keep_their_places_in_even_and_odd_batches(batch):
    @compiled
    def both(x, k):
        return [value_and_gradients(f, x, k, 1) for f in (conv, conv_module._conv_lax)]

    for ours, theirs in zip(*both(*arrays((5, 4), (3, 3), batch=batch)), strict=True):
        close(ours, theirs)


def numpy_conv(x, k, stride):
    """Cross-correlation by its definition, one output pixel at a time."""
    (b, h, w, _), (kh, kw, _, o) = x.shape, k.shape
    out_h, out_w = -(-h // stride), -(-w // stride)
    top = max((out_h - 1) * stride + kh - h, 0) // 2
    left = max((out_w - 1) * stride + kw - w, 0) // 2
    y = np.zeros((b, out_h, out_w, o))
    for i, j, s, t in np.ndindex(out_h, out_w, kh, kw):
        row, col = i * stride + s - top, j * stride + t - left
        if 0 <= row < h and 0 <= col < w:
            y[:, i, j] += x[:, row, col] @ k[s, t]
    return y


def numpy_conv_transpose(x, k, stride):
    """Each input pixel adds one flipped kernel to a canvas, which is then cropped."""
    (b, h, w, _), (kh, kw, _, o) = x.shape, k.shape
    canvas = np.zeros((b, h * stride + kh + stride, w * stride + kw + stride, o))
    for i, j, s, t in np.ndindex(h, w, kh, kw):
        canvas[:, i * stride + s, j * stride + t] += x[:, i, j] @ k[-1 - s, -1 - t]
    top, left = max(kh - stride, 0) // 2, max(kw - stride, 0) // 2
    return canvas[:, top : top + h * stride, left : left + w * stride]


def numpy_upsample(x, k, stride):
    return numpy_conv(np.kron(x, np.ones((1, 2, 2, 1))), k, 1)


@pytest.mark.parametrize(("form", "reference"), FORMS)
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "channels", "rtol"),
    [(*case, RTOL) for case in CASES] + [(*case, RTOL_OF_TILES) for case in TILED],
)
def test_value_and_both_gradients_equal_those_of_lax(
    form, reference, size, kernel, stride, channels, rtol
):
    @compiled
    def both(x, k):
        return [value_and_gradients(f, x, k, stride) for f in (form, reference)]

    ours, theirs = both(*arrays(size, kernel, channels))
    for actual, desired in zip(ours, theirs, strict=True):
        close(actual, desired, rtol)


@pytest.mark.parametrize(
    ("form", "definition"),
    [
        (conv, numpy_conv),
        (conv_transpose, numpy_conv_transpose),
        (upsample, numpy_upsample),
    ],
)
@pytest.mark.parametrize(("kernel", "stride"), [((4, 4), 2), ((3, 2), 1), ((1, 2), 2)])
def test_values_equal_a_numpy_loop_over_pixels(form, definition, kernel, stride):
    x, k = arrays((5, 4), kernel)
    value = compiled(form, static_argnums=2)(x, k, stride)
    close(value, definition(np.asarray(x), np.asarray(k), stride))


@pytest.mark.parametrize(("kernel", "stride"), [((4, 4), 2), ((3, 3), 1), ((3, 2), 3)])
def test_conv_transpose_is_the_adjoint_of_conv_with_the_kernel_flipped(kernel, stride):
    @compiled
    def both(x, k):
        y, pullback = jax.vjp(lambda x: conv(x, k, stride), x)
        adjoint = conv_transpose(y, k[::-1, ::-1].swapaxes(2, 3), stride)
        return adjoint, pullback(y)[0]

    close(*both(*arrays((6, 12), kernel)))


@pytest.mark.parametrize(("form", "reference"), FORMS)
def test_vmap_and_its_pullback_equal_a_python_loop(form, reference):
    @compiled
    def both(xs, ks):
        batched = jax.vmap(form, in_axes=(0, 0, None))
        ours = value_and_gradients(batched, xs, ks, 2)
        dy = jax.random.normal(jax.random.key(7), ours[0].shape)
        theirs = []
        for x, k, one in zip(xs, ks, dy, strict=True):
            y, pullback = jax.vjp(lambda x, k: reference(x, k, 2), x, k)
            theirs.append((y, *pullback(one)))
        return ours, [jnp.stack(parts) for parts in zip(*theirs, strict=True)]

    x, k = arrays(batch=4)
    ours, theirs = both(x.reshape(2, 2, *x.shape[1:]), jnp.stack([k, k[::-1]]))
    for actual, desired in zip(ours, theirs, strict=True):
        close(actual, desired)


@pytest.mark.parametrize(("form", "reference"), FORMS)
def test_vmap_of_the_gradient_over_kernels_equals_a_python_loop(form, reference):
    def gradient(function, x, k):
        return jax.grad(lambda k: jnp.square(function(x, k, 2)).sum())(k)

    @compiled
    def both(x, ks):
        ours = jax.vmap(functools.partial(gradient, form), in_axes=(None, 0))(x, ks)
        return ours, jnp.stack([gradient(reference, x, k) for k in ks])

    x, k = arrays()
    close(*both(x, jnp.stack([k, k[::-1]])))


@pytest.mark.parametrize(("form", "reference"), FORMS)
def test_forward_mode_equals_that_of_lax(form, reference):
    @compiled
    def both(x, k):
        fixed = [functools.partial(f, stride=2) for f in (form, reference)]
        return [jax.jvp(f, (x, k), (x[::-1], k[::-1]))[1] for f in fixed]

    close(*both(*arrays()))


def descend(form, k, x, start, stop):
    def step(_, k):
        return k - 1e-3 * jax.grad(lambda k: jnp.tanh(form(x, k, 2)).sum())(k)

    return lax.fori_loop(start, stop, step, k)


@pytest.mark.parametrize(("form", "reference"), FORMS)
def test_gradient_steps_in_a_fori_loop_equal_steps_outside(form, reference):
    x, k = arrays()
    inside = jax.jit(functools.partial(descend, form))(k, x, 0, 3)
    step = compiled(jax.grad(lambda k: jnp.tanh(reference(x, k, 2)).sum()))
    for _ in range(3):
        k -= 1e-3 * step(k)
    close(inside, k)


@pytest.mark.parametrize("form", [conv, conv_transpose, upsample])
def test_the_result_has_the_same_bits_however_the_loop_is_cut(form):
    x, k = arrays((14, 14), (4, 4), (8, 16), batch=16)
    run = jax.jit(functools.partial(descend, form))
    whole, pieces = run(k, x, 0, 8), k
    for start, stop in [(0, 1), (1, 2), (2, 7), (7, 8)]:
        pieces = run(pieces, x, start, stop)
    np.testing.assert_array_equal(whole, pieces)


@pytest.mark.parametrize(("form", "reference"), FORMS)
def test_only_the_cpu_gets_the_matmul_form(form, reference):
    x, k = arrays()

    def text(function, platform):
        grad = jax.grad(lambda x, k: jnp.square(function(x, k, 2)).sum(), (0, 1))
        return jax.jit(grad).trace(x, k).lower(lowering_platforms=(platform,)).as_text()

    assert "stablehlo.convolution" not in text(form, "cpu")
    assert "stablehlo.dot_general" in text(form, "cpu")
    for platform in ("cuda", "rocm", "tpu"):
        wanted = text(reference, platform).count("stablehlo.convolution")
        assert text(form, platform).count("stablehlo.convolution") == wanted > 0
        assert "stablehlo.dot_general" not in text(form, platform)


@pytest.mark.parametrize(
    ("layer", "form"),
    [
        (Conv(features=6, size=4, stride=2), conv),
        (ConvTranspose(features=6, size=4, stride=2), conv_transpose),
        (UpConv(features=6, size=4), upsample),
    ],
)
def test_a_module_is_its_function_plus_a_bias(layer, form, key):
    @compiled
    def both(params, x):
        bias = params["bias"].reshape(1, 1, 1, 6)
        return layer.apply({"params": params}, x), form(x, params["kernel"], 2) + bias

    x, _ = arrays()
    params = compiled(layer.init)(key, x)["params"]
    assert jax.tree.map(jnp.shape, params) == {"kernel": (4, 4, 3, 6), "bias": (6,)}
    assert not params["bias"].any()

    close(*both(params | {"bias": jnp.arange(6.0)}, x))


def test_the_kernel_of_a_convolution_may_start_as_told(key):
    x, _ = arrays()
    layer = Conv(6, 1, stride=1, kernel_init=jax.nn.initializers.zeros)
    assert not layer.init(key, x)["params"]["kernel"].any()


def operations(form, size, channels):
    """Of the value for a 3x3 kernel, as XLA counts them."""
    x, k = arrays(size, (3, 3), channels)
    lowered = compiled(form, static_argnums=2).lower(x, k, 1)
    return lowered.compile().cost_analysis()["flops"]


def test_the_cpu_takes_far_fewer_products_for_many_inputs():
    found = [operations(f, (16, 16), (64, 64)) for f in (conv_module._conv_lax, conv)]
    # 4 times fewer products; with the sums that make up for it, 3.06 in all.
    assert found[0] > 2.9 * found[1]


@pytest.mark.parametrize("outputs", [1, 8])
def test_the_cpu_has_a_number_for_every_tap_and_not_every_input_of_few_outputs(outputs):
    x, k = arrays((8, 8), (3, 3), (32, outputs), batch=1)
    jaxpr = jax.make_jaxpr(lambda x, k: conv_module._conv_matmul(x, k, 1))(x, k)
    of_products = [
        of.aval.size
        for equation in jaxpr.eqns
        for of in equation.outvars
        if equation.primitive.name == "dot_general"
    ]
    assert of_products == [9 * outputs * 10 * 10]  # with a border of padding
    assert max(of.aval.size for e in jaxpr.eqns for of in e.outvars) <= max(
        *of_products, 32 * 10 * 10
    )


def test_the_cpu_takes_2_25_times_fewer_products_to_upsample():
    found = [operations(f, (64, 64), (8, 8)) for f in (upsample_lax, upsample)]
    # But for the border, and for adding up kernels and biases.
    assert found[0] / found[1] == pytest.approx(2.25, rel=0.1)
