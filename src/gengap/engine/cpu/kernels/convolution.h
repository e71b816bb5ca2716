// Convolutions of maps with the samples last: the maps of one network are [H, W, C, B].
//
// Every multiplication is of one weight, broadcast, with a vector of samples. So four channels are as fast as
// sixty-four, borders need no masks and strides cost nothing. A convolution is a list of taps (pixel read, position in
// the kernel) for every pixel that it writes; the gradient of its input is the same with the lists reversed. Sums of
// one network run in one fixed order, for every pack and number of threads.
#pragma once
#include <algorithm>
#include <vector>
#include "kernels.h"
#include "simd.h"

namespace gengap {

// Rows of weights and vectors of samples that stay in registers together: 16 or 8 sums.
constexpr int WIDE_ROWS = 8, WIDE_VECTORS = LANES == 16 ? 2 : 1;
constexpr int ROWS = 4, VECTORS = LANES == 16 ? 4 : 2;

struct Tap { int64_t pixel, position; };
using Taps = std::vector<std::vector<Tap>>;  // of every pixel written

// Calls visit(pixel read, pixel written, position in the kernel) for all that lie on the map.
template <class Visit> static void each_tap(const Geometry& g, Visit visit) {
    for (int64_t y = 0; y < g.out_height(); ++y)
        for (int64_t x = 0; x < g.out_width(); ++x)
            for (int64_t v = 0; v < g.kernel_height; ++v)
                for (int64_t u = 0; u < g.kernel_width; ++u) {
                    const int64_t row = y * g.stride + v * g.dilation - g.padding;
                    const int64_t column = x * g.stride + u * g.dilation - g.padding;
                    if (row >= 0 && row < g.height && column >= 0 && column < g.width)
                        visit(row * g.width + column, y * g.out_width() + x, v * g.kernel_width + u);
                }
}

static inline Taps taps_of(const Geometry& g) {
    Taps taps(g.out_pixels());
    each_tap(g, [&](int64_t read, int64_t written, int64_t position) { taps[written].push_back({read, position}); });
    return taps;
}

// Weights in the order in which `multiply` reads them: some rows at a time, a position's channels one after another.
struct PackedWeights {
    int64_t rows, channels, positions, rows_at_once;
    std::vector<float> values;
    // weight[row * row_step + channel * channel_step + position]
    PackedWeights(const float* weight, int64_t rows, int64_t row_step, int64_t channels, int64_t channel_step,
                  int64_t positions)
        : rows(rows), channels(channels), positions(positions), rows_at_once(rows > ROWS ? WIDE_ROWS : ROWS),
          values((rows + rows_at_once - 1) / rows_at_once * rows_at_once * positions * channels) {
        for (int64_t m = 0; m < rows; ++m) {
            const int64_t first = m / rows_at_once * rows_at_once;
            float* to = values.data() + first * positions * channels + (m - first);
            for (int64_t position = 0; position < positions; ++position)
                for (int64_t c = 0; c < channels; ++c, to += rows_at_once)
                    *to = weight[m * row_step + c * channel_step + position];
        }
    }
};

// Samples of maps: rows of `count` numbers, read `in_step` and written `out_step` numbers apart.
struct Rows {
    const float* in;
    float* out;
    int64_t in_step, out_step, count;
};

// out[pixel, row, :] = bias[row] + sum over taps and channels of weights[row, channel, position] * in[read, channel, :]
// for the samples from `first` to `last`, M rows and N vectors at a time
template <int M, int N>
static void multiply(const Taps& taps, const Rows& maps, const PackedWeights& weights, const float* bias,
                     int64_t first, int64_t last, bool rectify, bool add) {
    const int64_t step = N * LANES, rows = weights.rows, channels = weights.channels;
    for (size_t pixel = 0; pixel < taps.size(); ++pixel)
        for (int64_t row = 0; row < rows; row += M)
            for (int64_t b = first; b < last; b += step) {
                float* out = maps.out + (pixel * rows + row) * maps.out_step + b;
                Vector sums[M][N];
                for (int m = 0; m < M; ++m)
                    for (int n = 0; n < N; ++n)
                        sums[m][n] = add && row + m < rows
                                         ? load(out + m * maps.out_step + n * LANES)
                                         : Vector{} + (bias && row + m < rows ? bias[row + m] : 0.0f);
                const float* block = weights.values.data() + row * weights.positions * channels;
                for (const Tap& tap : taps[pixel]) {
                    const float* x = maps.in + tap.pixel * channels * maps.in_step + b;
                    const float* w = block + tap.position * channels * M;
                    for (int64_t c = 0; c < channels; ++c, x += maps.in_step, w += M) {
                        Vector values[N];
                        for (int n = 0; n < N; ++n) values[n] = load(x + n * LANES);
                        for (int m = 0; m < M; ++m)
                            for (int n = 0; n < N; ++n) sums[m][n] += w[m] * values[n];
                    }
                }
                for (int m = 0; m < M && row + m < rows; ++m)
                    for (int n = 0; n < N; ++n)
                        store(out + m * maps.out_step + n * LANES, rectify ? relu(sums[m][n]) : sums[m][n]);
            }
}

template <int M, int N>
static void multiply_all(const Taps& taps, const Rows& maps, const PackedWeights& weights, const float* bias,
                         bool rectify, bool add) {
    const int64_t whole = maps.count / (N * LANES) * (N * LANES);
    multiply<M, N>(taps, maps, weights, bias, 0, whole, rectify, add);
    multiply<M, 1>(taps, maps, weights, bias, whole, maps.count, rectify, add);
}

// in [pixels read, channels, samples] -> out [pixels written, rows, samples], to which it is added if `add`
static inline void convolve(const Taps& taps, const Rows& maps, const PackedWeights& weights, const float* bias,
                            bool rectify = false, bool add = false) {
    if (weights.rows_at_once == ROWS)
        multiply_all<ROWS, VECTORS>(taps, maps, weights, bias, rectify, add);
    else
        multiply_all<WIDE_ROWS, WIDE_VECTORS>(taps, maps, weights, bias, rectify, add);
}

template <class Value> static inline void each(float* out, int64_t count, bool rectify, Value value) {
    for (int64_t i = 0; i < count; i += LANES) store(out + i, rectify ? relu(value(i)) : value(i));
}

// As in PyTorch, the maximum of numbers of which one is NaN is NaN.
// `count` numbers per pixel, which are written `out_step` apart.
static inline void max_pool(const Taps& taps, const float* in, int64_t count, float* out, int64_t out_step,
                            bool rectify) {
    for (size_t pixel = 0; pixel < taps.size(); ++pixel)
        each(out + pixel * out_step, count, rectify, [&](int64_t i) {
            Vector greatest = load(in + taps[pixel][0].pixel * count + i);
            for (const Tap& tap : taps[pixel]) {
                const Vector value = load(in + tap.pixel * count + i);
                greatest = ((value > greatest) | (value != value)) ? value : greatest;
            }
            return greatest;
        });
}

// As `max_pool`; every window lies in the map.
static inline void average_pool(const Taps& taps, const float* in, int64_t count, float* out, int64_t out_step,
                                bool rectify) {
    for (size_t pixel = 0; pixel < taps.size(); ++pixel) {
        const float share = 1.0f / float(taps[pixel].size());
        each(out + pixel * out_step, count, rectify, [&](int64_t i) {
            Vector sum = {};
            for (const Tap& tap : taps[pixel]) sum += load(in + tap.pixel * count + i);
            return sum * share;
        });
    }
}

// A map with channels of zeros before and after its own, `count` numbers per channel.
static inline void pad_channels(const Geometry& g, const float* in, int64_t count, float* out, bool rectify) {
    for (int64_t pixel = 0; pixel < g.in_pixels(); ++pixel, in += g.in * count, out += g.out * count) {
        float* own = out + g.added_before() * count;
        std::fill(out, own, 0.0f);
        each(own, g.in * count, rectify, [=](int64_t i) { return load(in + i); });
        std::fill(own + g.in * count, out + g.out * count, 0.0f);
    }
}

}  // namespace gengap
