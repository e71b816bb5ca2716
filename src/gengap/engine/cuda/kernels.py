"""Triton kernels that train a network of a pack per program: all layers forward, or all backward, in one launch.

Maps lie in memory as ``[K, numbers, N]``, the samples last, so that a thread works on a sample of its own and reads a
weight together with its neighbours; within a network, maps follow one another, each as ``[H, W, C]``. Every sum is in
one fixed order, which depends on the sizes of one network alone, so its bits depend on neither pack nor neighbours.

`PROGRAM` holds the numbers of `gengap.engine.cuda.program.Instruction`, one instruction after another. It is known when
a kernel is compiled, so loops over instructions and choices between them cost nothing when it runs.
"""

import triton
import triton.language as tl

CONVOLVE, ADD, SCALE = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
FIELDS = tl.constexpr(20)


@triton.jit
def forward(
    maps, weights, statistics, samples, SIZE, N_WEIGHTS, N_FEATURES, EPS: tl.constexpr, PROGRAM: tl.constexpr,
    LENGTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Every layer's map and every BatchNorm's mean and variance, from images in the first map.

    Args:
        maps: ``[K, SIZE, N]``; the images are there.
        weights: ``[K, N_WEIGHTS]``.
        statistics: ``[K, 2, N_FEATURES]``, mean and biased variance.
        samples: N.
        SIZE: Numbers of all maps of one sample.
        N_WEIGHTS: Of one network.
        N_FEATURES: Of all BatchNorms of one network.
        EPS: Added to every variance.
        PROGRAM: The instructions.
        LENGTH: How many.
        BLOCK: Samples that are read together.
    """
    network = tl.program_id(0).to(tl.int64)
    maps += network * SIZE * samples
    weights += network * N_WEIGHTS
    statistics += network * 2 * N_FEATURES
    for at in tl.static_range(LENGTH):
        if PROGRAM[at * FIELDS] == CONVOLVE:
            _convolve(maps, weights, samples, PROGRAM, at, BLOCK)
        elif PROGRAM[at * FIELDS] == ADD:
            _add(maps, samples, PROGRAM, at, BLOCK)
        else:
            _normalise(maps, weights, statistics, samples, N_FEATURES, EPS, PROGRAM, at, BLOCK)
        tl.debug_barrier()  # the next layer's threads read what those of this one have written


@triton.jit
def backward(
    maps, gradients, weights, weight_gradients, statistics, samples, SIZE, N_WEIGHTS, N_FEATURES,
    EPS: tl.constexpr, PROGRAM: tl.constexpr, LENGTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradients of all weights, from that of the last map.

    Args:
        maps: As `forward` left them.
        gradients: Of the maps; that of the last one is there, and those of the images are left out.
        weights: As for `forward`.
        weight_gradients: ``[K, N_WEIGHTS]``; every number is written.
        statistics: As `forward` left them.
        samples: N.
        SIZE: Numbers of all maps of one sample.
        N_WEIGHTS: Of one network.
        N_FEATURES: Of all BatchNorms of one network.
        EPS: Added to every variance.
        PROGRAM: The instructions, in the order of `forward`.
        LENGTH: How many.
        BLOCK: Samples that are read together.
    """
    network = tl.program_id(0).to(tl.int64)
    maps += network * SIZE * samples
    gradients += network * SIZE * samples
    weights += network * N_WEIGHTS
    weight_gradients += network * N_WEIGHTS
    statistics += network * 2 * N_FEATURES
    for step in tl.static_range(LENGTH):
        if PROGRAM[(LENGTH - 1 - step) * FIELDS + 4]:
            _mask(maps, gradients, samples, PROGRAM, LENGTH - 1 - step, BLOCK)
            tl.debug_barrier()
        if PROGRAM[(LENGTH - 1 - step) * FIELDS] == CONVOLVE:
            _weight_gradient(maps, gradients, weight_gradients, samples, PROGRAM, LENGTH - 1 - step, BLOCK)
            if PROGRAM[(LENGTH - 1 - step) * FIELDS + 1] > 0:  # else it reads the images
                _input_gradient(gradients, weights, samples, PROGRAM, LENGTH - 1 - step, BLOCK)
        elif PROGRAM[(LENGTH - 1 - step) * FIELDS] == ADD:
            _pass_on(gradients, samples, PROGRAM, LENGTH - 1 - step, BLOCK)
        else:
            _normalise_backward(
                maps, gradients, weights, weight_gradients, statistics, samples, N_FEATURES, EPS, PROGRAM,
                LENGTH - 1 - step, BLOCK,
            )  # fmt: skip
        tl.debug_barrier()


@triton.jit
def _convolve(maps, weights, samples, PROGRAM: tl.constexpr, at: tl.constexpr, BLOCK: tl.constexpr):
    """Pixel by pixel of the map that is written; a linear layer is a kernel as large as its map."""
    READ: tl.constexpr = PROGRAM[at * FIELDS + 1]
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    RELU: tl.constexpr = PROGRAM[at * FIELDS + 4]
    WEIGHT: tl.constexpr = PROGRAM[at * FIELDS + 5]
    BIAS: tl.constexpr = PROGRAM[at * FIELDS + 6]
    H: tl.constexpr = PROGRAM[at * FIELDS + 8]
    W: tl.constexpr = PROGRAM[at * FIELDS + 9]
    C: tl.constexpr = PROGRAM[at * FIELDS + 10]
    D: tl.constexpr = PROGRAM[at * FIELDS + 11]
    KH: tl.constexpr = PROGRAM[at * FIELDS + 12]
    KW: tl.constexpr = PROGRAM[at * FIELDS + 13]
    STRIDE: tl.constexpr = PROGRAM[at * FIELDS + 14]
    PADDING: tl.constexpr = PROGRAM[at * FIELDS + 15]
    DILATION: tl.constexpr = PROGRAM[at * FIELDS + 16]
    OW: tl.constexpr = (W + 2 * PADDING - DILATION * (KW - 1) - 1) // STRIDE + 1
    OH: tl.constexpr = (H + 2 * PADDING - DILATION * (KH - 1) - 1) // STRIDE + 1
    DS: tl.constexpr = triton.next_power_of_2(D)
    d = tl.arange(0, DS)
    for start in range(0, samples, BLOCK):
        n = start + tl.arange(0, BLOCK)
        for pixel in range(OH * OW):
            total = tl.zeros([DS, BLOCK], maps.dtype.element_ty)
            if BIAS >= 0:
                total += tl.load(weights + BIAS + d, mask=d < D, other=0.0)[:, None]
            for tap in range(KH * KW):
                row = pixel // OW * STRIDE + tap // KW * DILATION - PADDING
                column = pixel % OW * STRIDE + tap % KW * DILATION - PADDING
                if (row >= 0) & (row < H) & (column >= 0) & (column < W):
                    for c in range(C):
                        x = tl.load(
                            maps + (READ + (row * W + column) * C + c) * samples + n, mask=n < samples, other=0.0
                        )
                        w = tl.load(weights + WEIGHT + (d * C + c) * KH * KW + tap, mask=d < D, other=0.0)
                        total += w[:, None] * x[None, :]
            if RELU:
                total = tl.where(total <= 0, 0.0, total)
            to = (WRITTEN + pixel * D + d[:, None]) * samples + n[None, :]
            tl.store(maps + to, total, mask=(d[:, None] < D) & (n[None, :] < samples))


@triton.jit
def _weight_gradient(
    maps, gradients, weight_gradients, samples, PROGRAM: tl.constexpr, at: tl.constexpr, BLOCK: tl.constexpr
):
    """Of a convolution's weights and bias: every weight is a sum over pixels and samples."""
    READ: tl.constexpr = PROGRAM[at * FIELDS + 1]
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    WEIGHT: tl.constexpr = PROGRAM[at * FIELDS + 5]
    BIAS: tl.constexpr = PROGRAM[at * FIELDS + 6]
    H: tl.constexpr = PROGRAM[at * FIELDS + 8]
    W: tl.constexpr = PROGRAM[at * FIELDS + 9]
    C: tl.constexpr = PROGRAM[at * FIELDS + 10]
    D: tl.constexpr = PROGRAM[at * FIELDS + 11]
    KH: tl.constexpr = PROGRAM[at * FIELDS + 12]
    KW: tl.constexpr = PROGRAM[at * FIELDS + 13]
    STRIDE: tl.constexpr = PROGRAM[at * FIELDS + 14]
    PADDING: tl.constexpr = PROGRAM[at * FIELDS + 15]
    DILATION: tl.constexpr = PROGRAM[at * FIELDS + 16]
    OW: tl.constexpr = (W + 2 * PADDING - DILATION * (KW - 1) - 1) // STRIDE + 1
    OH: tl.constexpr = (H + 2 * PADDING - DILATION * (KH - 1) - 1) // STRIDE + 1
    DS: tl.constexpr = triton.next_power_of_2(D)
    CS: tl.constexpr = 4 if C >= 4 else triton.next_power_of_2(C)  # as many as the registers hold beside DS
    d = tl.arange(0, DS)
    if BIAS >= 0:
        bias = tl.zeros([DS, BLOCK], maps.dtype.element_ty)
        for start in range(0, samples, BLOCK):
            n = start + tl.arange(0, BLOCK)
            for pixel in range(OH * OW):
                of_y = (WRITTEN + pixel * D + d[:, None]) * samples + n[None, :]
                bias += tl.load(gradients + of_y, mask=(d[:, None] < D) & (n[None, :] < samples), other=0.0)
        tl.store(weight_gradients + BIAS + d, tl.sum(bias, axis=1), mask=d < D)
    for first in range(0, C, CS):
        c = first + tl.arange(0, CS)
        for tap in range(KH * KW):
            total = tl.zeros([DS, CS, BLOCK], maps.dtype.element_ty)
            for start in range(0, samples, BLOCK):
                n = start + tl.arange(0, BLOCK)
                for pixel in range(OH * OW):
                    row = pixel // OW * STRIDE + tap // KW * DILATION - PADDING
                    column = pixel % OW * STRIDE + tap % KW * DILATION - PADDING
                    if (row >= 0) & (row < H) & (column >= 0) & (column < W):
                        of_x = (READ + (row * W + column) * C + c[:, None]) * samples + n[None, :]
                        x = tl.load(maps + of_x, mask=(c[:, None] < C) & (n[None, :] < samples), other=0.0)
                        of_y = (WRITTEN + pixel * D + d[:, None]) * samples + n[None, :]
                        y = tl.load(gradients + of_y, mask=(d[:, None] < D) & (n[None, :] < samples), other=0.0)
                        total += y[:, None, :] * x[None, :, :]
            to = WEIGHT + (d[:, None] * C + c[None, :]) * KH * KW + tap
            tl.store(weight_gradients + to, tl.sum(total, axis=2), mask=(d[:, None] < D) & (c[None, :] < C))


@triton.jit
def _input_gradient(gradients, weights, samples, PROGRAM: tl.constexpr, at: tl.constexpr, BLOCK: tl.constexpr):
    """Of the map that a convolution reads, pixel by pixel of it."""
    READ: tl.constexpr = PROGRAM[at * FIELDS + 1]
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    WEIGHT: tl.constexpr = PROGRAM[at * FIELDS + 5]
    H: tl.constexpr = PROGRAM[at * FIELDS + 8]
    W: tl.constexpr = PROGRAM[at * FIELDS + 9]
    C: tl.constexpr = PROGRAM[at * FIELDS + 10]
    D: tl.constexpr = PROGRAM[at * FIELDS + 11]
    KH: tl.constexpr = PROGRAM[at * FIELDS + 12]
    KW: tl.constexpr = PROGRAM[at * FIELDS + 13]
    STRIDE: tl.constexpr = PROGRAM[at * FIELDS + 14]
    PADDING: tl.constexpr = PROGRAM[at * FIELDS + 15]
    DILATION: tl.constexpr = PROGRAM[at * FIELDS + 16]
    ADDED: tl.constexpr = PROGRAM[at * FIELDS + 17]
    OW: tl.constexpr = (W + 2 * PADDING - DILATION * (KW - 1) - 1) // STRIDE + 1
    OH: tl.constexpr = (H + 2 * PADDING - DILATION * (KH - 1) - 1) // STRIDE + 1
    CS: tl.constexpr = triton.next_power_of_2(C)
    c = tl.arange(0, CS)
    for start in range(0, samples, BLOCK):
        n = start + tl.arange(0, BLOCK)
        for pixel in range(H * W):
            to = (READ + pixel * C + c[:, None]) * samples + n[None, :]
            mask = (c[:, None] < C) & (n[None, :] < samples)
            total = tl.zeros([CS, BLOCK], gradients.dtype.element_ty)
            if ADDED:
                total += tl.load(gradients + to, mask=mask, other=0.0)
            for tap in range(KH * KW):
                row = pixel // W + PADDING - tap // KW * DILATION
                column = pixel % W + PADDING - tap % KW * DILATION
                # Divisions round towards zero on a GPU, so that numbers below it are asked first.
                inside = (row >= 0) & (column >= 0) & (row < OH * STRIDE) & (column < OW * STRIDE)
                if inside & (row % STRIDE == 0) & (column % STRIDE == 0):
                    for d in range(D):
                        of_y = WRITTEN + (row // STRIDE * OW + column // STRIDE) * D + d
                        y = tl.load(gradients + of_y * samples + n, mask=n < samples, other=0.0)
                        w = tl.load(weights + WEIGHT + (d * C + c) * KH * KW + tap, mask=c < C, other=0.0)
                        total += w[:, None] * y[None, :]
            tl.store(gradients + to, total, mask=mask)


@triton.jit
def _normalise(
    maps, weights, statistics, samples, N_FEATURES, EPS: tl.constexpr, PROGRAM: tl.constexpr, at: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """BatchNorm by the batch's own statistics: the mean, then the squares of what is left, then the map."""
    READ: tl.constexpr = PROGRAM[at * FIELDS + 1]
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    RELU: tl.constexpr = PROGRAM[at * FIELDS + 4]
    WEIGHT: tl.constexpr = PROGRAM[at * FIELDS + 5]
    BIAS: tl.constexpr = PROGRAM[at * FIELDS + 6]
    NORM: tl.constexpr = PROGRAM[at * FIELDS + 7]
    PIXELS: tl.constexpr = PROGRAM[at * FIELDS + 8] * PROGRAM[at * FIELDS + 9]
    C: tl.constexpr = PROGRAM[at * FIELDS + 10]
    CS: tl.constexpr = triton.next_power_of_2(C)
    c = tl.arange(0, CS)
    total = tl.zeros([CS, BLOCK], maps.dtype.element_ty)
    for start in range(0, samples, BLOCK):
        n = start + tl.arange(0, BLOCK)
        for pixel in range(PIXELS):
            of_x = (READ + pixel * C + c[:, None]) * samples + n[None, :]
            total += tl.load(maps + of_x, mask=(c[:, None] < C) & (n[None, :] < samples), other=0.0)
    mean = tl.sum(total, axis=1) / (samples * PIXELS)
    squares = tl.zeros([CS, BLOCK], maps.dtype.element_ty)
    for start in range(0, samples, BLOCK):
        n = start + tl.arange(0, BLOCK)
        mask = (c[:, None] < C) & (n[None, :] < samples)
        for pixel in range(PIXELS):
            of_x = (READ + pixel * C + c[:, None]) * samples + n[None, :]
            rest = tl.where(mask, tl.load(maps + of_x, mask=mask, other=0.0) - mean[:, None], 0.0)
            squares += rest * rest
    variance = tl.sum(squares, axis=1) / (samples * PIXELS)
    tl.store(statistics + NORM + c, mean, mask=c < C)
    tl.store(statistics + N_FEATURES + NORM + c, variance, mask=c < C)
    scale = tl.load(weights + WEIGHT + c, mask=c < C, other=0.0) / tl.sqrt(variance + EPS)
    shift = tl.load(weights + BIAS + c, mask=c < C, other=0.0)
    for start in range(0, samples, BLOCK):
        n = start + tl.arange(0, BLOCK)
        mask = (c[:, None] < C) & (n[None, :] < samples)
        for pixel in range(PIXELS):
            at_x = (pixel * C + c[:, None]) * samples + n[None, :]
            x = tl.load(maps + READ * samples + at_x, mask=mask, other=0.0)
            y = (x - mean[:, None]) * scale[:, None] + shift[:, None]
            if RELU:
                y = tl.where(y <= 0, 0.0, y)
            tl.store(maps + WRITTEN * samples + at_x, y, mask=mask)


@triton.jit
def _normalise_backward(
    maps, gradients, weights, weight_gradients, statistics, samples, N_FEATURES, EPS: tl.constexpr,
    PROGRAM: tl.constexpr, at: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Ioffe and Szegedy (2015), section 3: through the statistics as well."""
    READ: tl.constexpr = PROGRAM[at * FIELDS + 1]
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    WEIGHT: tl.constexpr = PROGRAM[at * FIELDS + 5]
    BIAS: tl.constexpr = PROGRAM[at * FIELDS + 6]
    NORM: tl.constexpr = PROGRAM[at * FIELDS + 7]
    PIXELS: tl.constexpr = PROGRAM[at * FIELDS + 8] * PROGRAM[at * FIELDS + 9]
    C: tl.constexpr = PROGRAM[at * FIELDS + 10]
    ADDED: tl.constexpr = PROGRAM[at * FIELDS + 17]
    CS: tl.constexpr = triton.next_power_of_2(C)
    c = tl.arange(0, CS)
    mean = tl.load(statistics + NORM + c, mask=c < C, other=0.0)
    variance = tl.load(statistics + N_FEATURES + NORM + c, mask=c < C, other=1.0)
    scale = 1 / tl.sqrt(variance + EPS)
    of_weight = tl.zeros([CS, BLOCK], maps.dtype.element_ty)
    of_bias = tl.zeros([CS, BLOCK], maps.dtype.element_ty)
    for start in range(0, samples, BLOCK):
        n = start + tl.arange(0, BLOCK)
        mask = (c[:, None] < C) & (n[None, :] < samples)
        for pixel in range(PIXELS):
            at_x = (pixel * C + c[:, None]) * samples + n[None, :]
            x = tl.load(maps + READ * samples + at_x, mask=mask, other=0.0)
            y = tl.load(gradients + WRITTEN * samples + at_x, mask=mask, other=0.0)
            of_weight += y * (x - mean[:, None]) * scale[:, None]
            of_bias += y
    weight_gradient, bias_gradient = tl.sum(of_weight, axis=1), tl.sum(of_bias, axis=1)
    tl.store(weight_gradients + WEIGHT + c, weight_gradient, mask=c < C)
    tl.store(weight_gradients + BIAS + c, bias_gradient, mask=c < C)
    along = weight_gradient / (samples * PIXELS)
    constant = bias_gradient / (samples * PIXELS)
    factor = tl.load(weights + WEIGHT + c, mask=c < C, other=0.0) * scale
    for start in range(0, samples, BLOCK):
        n = start + tl.arange(0, BLOCK)
        mask = (c[:, None] < C) & (n[None, :] < samples)
        for pixel in range(PIXELS):
            at_x = (pixel * C + c[:, None]) * samples + n[None, :]
            x = tl.load(maps + READ * samples + at_x, mask=mask, other=0.0)
            y = tl.load(gradients + WRITTEN * samples + at_x, mask=mask, other=0.0)
            normalised = (x - mean[:, None]) * scale[:, None]
            result = factor[:, None] * (y - constant[:, None] - normalised * along[:, None])
            if ADDED:
                result += tl.load(gradients + READ * samples + at_x, mask=mask, other=0.0)
            tl.store(gradients + READ * samples + at_x, result, mask=mask)


@triton.jit
def _add(maps, samples, PROGRAM: tl.constexpr, at: tl.constexpr, BLOCK: tl.constexpr):
    """The sum of two maps, number by number."""
    READ: tl.constexpr = PROGRAM[at * FIELDS + 1]
    OTHER: tl.constexpr = PROGRAM[at * FIELDS + 2]
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    RELU: tl.constexpr = PROGRAM[at * FIELDS + 4]
    SIZE: tl.constexpr = PROGRAM[at * FIELDS + 8] * PROGRAM[at * FIELDS + 9] * PROGRAM[at * FIELDS + 10]
    for start in range(0, SIZE * samples, BLOCK):
        i = start + tl.arange(0, BLOCK)
        mask = i < SIZE * samples
        y = tl.load(maps + READ * samples + i, mask=mask) + tl.load(maps + OTHER * samples + i, mask=mask)
        if RELU:
            y = tl.where(y <= 0, 0.0, y)
        tl.store(maps + WRITTEN * samples + i, y, mask=mask)


@triton.jit
def _pass_on(gradients, samples, PROGRAM: tl.constexpr, at: tl.constexpr, BLOCK: tl.constexpr):
    """The gradient of a sum to both maps that it adds."""
    READ: tl.constexpr = PROGRAM[at * FIELDS + 1]
    OTHER: tl.constexpr = PROGRAM[at * FIELDS + 2]
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    SIZE: tl.constexpr = PROGRAM[at * FIELDS + 8] * PROGRAM[at * FIELDS + 9] * PROGRAM[at * FIELDS + 10]
    ADDED: tl.constexpr = PROGRAM[at * FIELDS + 17]
    OTHER_ADDED: tl.constexpr = PROGRAM[at * FIELDS + 18]
    for start in range(0, SIZE * samples, BLOCK):
        i = start + tl.arange(0, BLOCK)
        mask = i < SIZE * samples
        y = tl.load(gradients + WRITTEN * samples + i, mask=mask)
        one = y
        if ADDED:
            one += tl.load(gradients + READ * samples + i, mask=mask)
        tl.store(gradients + READ * samples + i, one, mask=mask)
        other = y
        if OTHER_ADDED:
            other += tl.load(gradients + OTHER * samples + i, mask=mask)
        tl.store(gradients + OTHER * samples + i, other, mask=mask)


@triton.jit
def _mask(maps, gradients, samples, PROGRAM: tl.constexpr, at: tl.constexpr, BLOCK: tl.constexpr):
    """The gradient of a map before its ReLU, in place."""
    WRITTEN: tl.constexpr = PROGRAM[at * FIELDS + 3]
    SIZE: tl.constexpr = PROGRAM[at * FIELDS + 19]
    for start in range(0, SIZE * samples, BLOCK):
        i = start + tl.arange(0, BLOCK)
        mask = i < SIZE * samples
        y = tl.load(gradients + WRITTEN * samples + i, mask=mask)
        x = tl.load(maps + WRITTEN * samples + i, mask=mask)
        tl.store(gradients + WRITTEN * samples + i, tl.where(x <= 0, 0.0, y), mask=mask)
