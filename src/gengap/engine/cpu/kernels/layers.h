// The layers of ONE network in training and their gradients: maps are [pixels, C, B].
#pragma once
#include <algorithm>
#include <array>
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

// result[i][j] = sum over pairs of pixels of left[written, i, :] * right[read, j, :]
template <int ROWS, int COLUMNS>
static void products(const std::vector<PixelPair>& pairs, const float* left, int64_t out, const float* right,
                     int64_t in, int64_t samples, float* result) {
    static_assert(ROWS * COLUMNS <= 16);
    Vector sums[16] = {};
    for (const PixelPair& pair : pairs) {
        const float* a = left + pair.written * out * samples;
        const float* b = right + pair.read * in * samples;
        for (int64_t n = 0; n < samples; n += LANES) {
            Vector values[COLUMNS];
            for (int j = 0; j < COLUMNS; ++j) values[j] = in_register(load(b + j * samples + n));
            for (int i = 0; i < ROWS; ++i) {
                const Vector factor = in_register(load(a + i * samples + n));
                for (int j = 0; j < COLUMNS; ++j) sums[COLUMNS * i + j] += factor * values[j];
            }
        }
    }
    for (int i = 0; i < 16; i += LANES) store(result + i, sums_of(sums + i));
}

// The tile of rows and columns that are left, at most 4 x 4, or 8 rows of one column.
using Products = decltype(&products<4, 4>);
static inline Products products_of(int64_t rows, int64_t columns) {
    static constexpr Products tiles[4][4] = {
        {products<1, 1>, products<1, 2>, products<1, 3>, products<1, 4>},
        {products<2, 1>, products<2, 2>, products<2, 3>, products<2, 4>},
        {products<3, 1>, products<3, 2>, products<3, 3>, products<3, 4>},
        {products<4, 1>, products<4, 2>, products<4, 3>, products<4, 4>}};
    static constexpr Products tall[4] = {products<5, 1>, products<6, 1>, products<7, 1>, products<8, 1>};
    return rows > 4 && columns == 1 ? tall[rows - 5] : tiles[rows - 1][columns - 1];
}

// The gradient of a map before its ReLU.
static inline Vector masked(Vector y, Vector gradient) { return y <= 0.0f ? Vector{} : gradient; }

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
    template <int COUNT, class Terms> std::array<float, COUNT> totals(Terms terms) const {
        Vector results[COUNT] = {};
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t first = (p * channels + channel) * samples;
            Vector parts[4][COUNT] = {};  // each addition waits for the one before it in its part
            const auto add = [&](int part, int64_t i) {
                const std::array<Vector, COUNT> values = terms(i);
                for (int k = 0; k < COUNT; ++k) parts[part][k] += values[k];
            };
            int64_t b = 0;
            for (; b + 4 * LANES <= samples; b += 4 * LANES)
                for (int part = 0; part < 4; ++part) add(part, first + b + part * LANES);
            for (; b < samples; b += LANES) add(0, first + b);
            for (int k = 0; k < COUNT; ++k) results[k] += (parts[0][k] + parts[1][k]) + (parts[2][k] + parts[3][k]);
        }
        std::array<float, COUNT> sums;
        for (int k = 0; k < COUNT; ++k) sums[k] = sum(results[k]);
        return sums;
    }
    template <class Term> float total(Term term) const {
        return totals<1>([=](int64_t i) { return std::array<Vector, 1>{term(i)}; })[0];
    }
};

// Gradients of a convolution's weight and bias (or null).
static inline void convolve_backward_weight(const Pairs& pairs, const float* y_gradient, const float* x,
                                            float* weight_gradient, float* bias_gradient, const Geometry& g,
                                            int64_t samples) {
    const int64_t positions = g.taps(), most = g.in == 1 ? 8 : 4;
    for (int64_t d = 0; d < g.out; d += most)
        for (int64_t c = 0; c < g.in; c += 4) {
            const int64_t rows = std::min(most, g.out - d), columns = std::min(int64_t(4), g.in - c);
            const Products tile = products_of(rows, columns);
            for (int64_t position = 0; position < positions; ++position) {
                float sums[16];
                tile(pairs[position], y_gradient + d * samples, g.out, x + c * samples, g.in, samples, sums);
                for (int64_t i = 0; i < rows; ++i)
                    for (int64_t j = 0; j < columns; ++j)
                        weight_gradient[((d + i) * g.in + c + j) * positions + position] = sums[columns * i + j];
            }
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

// Its gradients, before the ReLU where it has one; that of x is added to what is there if `add`.
template <bool RECTIFIED>
static void normalise_backward_of(const float* y_gradient, const float* x, const float* y, const float* weight,
                                  const float* mean, const float* variance, float* x_gradient, float* weight_gradient,
                                  float* bias_gradient, float eps, int64_t pixels, int64_t channels, int64_t samples,
                                  bool add) {
    const float count = float(pixels * samples);
    const auto gradient = [=](int64_t i) {
        const Vector of_y = load(y_gradient + i);
        return RECTIFIED ? masked(load(y + i), of_y) : of_y;
    };
    for (int64_t c = 0; c < channels; ++c) {
        const Channel channel{c, pixels, channels, samples};
        const float inverse = 1.0f / std::sqrt(variance[c] + eps), center = mean[c];
        const auto [product, whole] = channel.totals<2>([=](int64_t i) {
            const Vector of_y = gradient(i);
            return std::array<Vector, 2>{of_y * (load(x + i) - center), of_y};
        });
        const float along = product * inverse, average = whole / count;
        const float slope = weight[c] * inverse, turn = along / count * inverse;
        channel.each([=](int64_t i) {
            const Vector d = load(x + i) - center;
            const Vector value = (gradient(i) - average - d * turn) * slope;
            store(x_gradient + i, add ? load(x_gradient + i) + value : value);
        });
        weight_gradient[c] = along;
        bias_gradient[c] = whole;
    }
}

// `y` is the map after the ReLU, or null.
static inline void normalise_backward(const float* y_gradient, const float* x, const float* y, const float* weight,
                                      const float* mean, const float* variance, float* x_gradient,
                                      float* weight_gradient, float* bias_gradient, float eps, int64_t pixels,
                                      int64_t channels, int64_t samples, bool add) {
    const auto work = y ? normalise_backward_of<true> : normalise_backward_of<false>;
    work(y_gradient, x, y, weight, mean, variance, x_gradient, weight_gradient, bias_gradient, eps, pixels, channels,
         samples, add);
}

}  // namespace gengap
