// The layers of ONE network in training and their gradients: maps are [pixels, C, B].
#pragma once
#include <algorithm>
#include <cmath>
#include "convolution.h"

namespace gengap {

// Keeps a value in a register: GCC would load it again for each of the multiplications that it enters.
static inline Vector in_register(Vector values) {
#if defined(__AVX512F__)
    asm("" : "+v"(values));
#elif defined(__x86_64__)
    asm("" : "+x"(values));
#endif
    return values;
}

// The gradient of a convolution's input is a convolution with these lists.
static inline Taps reversed_taps(const Geometry& g) {
    Taps taps(g.in_pixels());
    each_tap(g, [&](int64_t read, int64_t written, int64_t position) { taps[read].push_back({written, position}); });
    return taps;
}

struct PixelPair { int64_t read, written; };
using Pairs = std::vector<std::vector<PixelPair>>;  // of every position in the kernel

static inline Pairs pairs_of(const Geometry& g) {
    Pairs pairs(g.taps());
    each_tap(g, [&](int64_t read, int64_t written, int64_t position) { pairs[position].push_back({read, written}); });
    return pairs;
}

struct Tile { Vector sums[4][4]; };

// tile[i][j] = sum over pairs of pixels of left[written, d + i, :] * right[read, c + j, :]
static inline Tile products(const std::vector<PixelPair>& pairs, const float* left, int64_t d, int64_t out,
                            const float* right, int64_t c, int64_t in, int64_t samples) {
    // Past the last channel, the last one is computed again and dropped.
    int64_t rows[4], columns[4];
    for (int i = 0; i < 4; ++i) {
        rows[i] = std::min(d + i, out - 1) * samples;
        columns[i] = std::min(c + i, in - 1) * samples;
    }
    Tile tile = {};
    for (const PixelPair& pair : pairs) {
        const float* a = left + pair.written * out * samples;
        const float* b = right + pair.read * in * samples;
        for (int64_t n = 0; n < samples; n += LANES) {
            Vector values[4];
            for (int j = 0; j < 4; ++j) values[j] = in_register(load(b + columns[j] + n));
            for (int i = 0; i < 4; ++i) {
                const Vector factor = in_register(load(a + rows[i] + n));
                for (int j = 0; j < 4; ++j) tile.sums[i][j] += factor * values[j];
            }
        }
    }
    return tile;
}

// One channel of a map, read in the one order in which it is summed.
struct Channel {
    int64_t channel, pixels, channels, samples;
    template <class Work> void each(Work work) const {
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t first = (p * channels + channel) * samples;
            for (int64_t b = 0; b < samples; b += LANES) work(first + b);
        }
    }
    // Pixel by pixel, so that rounding errors do not grow with the size of the map times that of the batch.
    template <class Term> float total(Term term) const {
        Vector result = {};
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t first = (p * channels + channel) * samples;
            Vector parts[4] = {};  // each addition waits for the one before it in its part
            int64_t b = 0;
            for (; b + 4 * LANES <= samples; b += 4 * LANES)
                for (int i = 0; i < 4; ++i) parts[i] += term(first + b + i * LANES);
            for (; b < samples; b += LANES) parts[0] += term(first + b);
            result += (parts[0] + parts[1]) + (parts[2] + parts[3]);
        }
        return sum(result);
    }
};

// Gradients of a convolution's weight and bias (or null).
static inline void convolve_backward_weight(const Pairs& pairs, const float* y_gradient, const float* x,
                                            float* weight_gradient, float* bias_gradient, const Geometry& g,
                                            int64_t samples) {
    const int64_t positions = g.taps();
    for (int64_t d = 0; d < g.out; d += 4)
        for (int64_t c = 0; c < g.in; c += 4)
            for (int64_t position = 0; position < positions; ++position) {
                Tile tile = products(pairs[position], y_gradient, d, g.out, x, c, g.in, samples);
                float sums[16];
                for (int i = 0; i < 16; i += LANES) store(sums + i, sums_of(&tile.sums[0][0] + i));
                for (int i = 0; i < 4 && d + i < g.out; ++i)
                    for (int j = 0; j < 4 && c + j < g.in; ++j)
                        weight_gradient[((d + i) * g.in + c + j) * positions + position] = sums[4 * i + j];
            }
    for (int64_t d = 0; bias_gradient && d < g.out; ++d)
        bias_gradient[d] =
            Channel{d, g.out_pixels(), g.out, samples}.total([=](int64_t i) { return load(y_gradient + i); });
}

// BatchNorm by the batch's own statistics; mean and biased variance are results.
static inline void normalise(const float* x, const float* weight, const float* bias, float* y, float* mean,
                             float* variance, float eps, int64_t pixels, int64_t channels, int64_t samples,
                             bool rectify) {
    const float count = float(pixels * samples);
    for (int64_t c = 0; c < channels; ++c) {
        const Channel channel{c, pixels, channels, samples};
        const float center = channel.total([=](int64_t i) { return load(x + i); }) / count;
        const float spread = channel.total([=](int64_t i) {
            const Vector d = load(x + i) - center;
            return d * d;
        }) / count;
        const float slope = weight[c] / std::sqrt(spread + eps), start = bias[c];
        channel.each([=](int64_t i) {
            const Vector value = (load(x + i) - center) * slope + start;
            store(y + i, rectify ? relu(value) : value);
        });
        mean[c] = center;
        variance[c] = spread;
    }
}

// Its gradients; that of x is added to what is there if `add`.
static inline void normalise_backward(const float* y_gradient, const float* x, const float* weight, const float* mean,
                                      const float* variance, float* x_gradient, float* weight_gradient,
                                      float* bias_gradient, float eps, int64_t pixels, int64_t channels,
                                      int64_t samples, bool add) {
    const float count = float(pixels * samples);
    for (int64_t c = 0; c < channels; ++c) {
        const Channel channel{c, pixels, channels, samples};
        const float inverse = 1.0f / std::sqrt(variance[c] + eps), center = mean[c];
        const float along =
            channel.total([=](int64_t i) { return load(y_gradient + i) * (load(x + i) - center); }) * inverse;
        const float whole = channel.total([=](int64_t i) { return load(y_gradient + i); });
        const float slope = weight[c] * inverse, turn = along / count * inverse;
        channel.each([=](int64_t i) {
            const Vector d = load(x + i) - center;
            const Vector value = (load(y_gradient + i) - whole / count - d * turn) * slope;
            store(x_gradient + i, add ? load(x_gradient + i) + value : value);
        });
        weight_gradient[c] = along;
        bias_gradient[c] = whole;
    }
}

}  // namespace gengap
