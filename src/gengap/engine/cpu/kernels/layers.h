// The layers of ONE network in training and their gradients: maps are [pixels, C, B].
#pragma once
#include <array>
#include <cmath>
#include "weight_gradient.h"

namespace gengap {

// The gradient of a convolution's input is a convolution with these lists.
static inline Taps reversed_taps(const Geometry& g) {
    Taps taps(g.in_pixels());
    each_tap(g, [&](int64_t read, int64_t written, int64_t position) { taps[read].push_back({written, position}); });
    return taps;
}

// As `convolve`, of whole maps: in [pixels read, channels, samples]; `copy` takes so many numbers as `copied` says.
static inline void convolve_samples(const Taps& taps, const float* in, int64_t in_rows, const PackedWeights& weights,
                                    const float* bias, float* out, int64_t samples, int64_t block, float* copy,
                                    bool rectify = false, bool add = false) {
    for (int64_t first = 0; first < samples; first += block) {
        const int64_t count = std::min(block, samples - first);
        if (count < samples) copy_samples(in, in_rows, samples, first, count, copy);
        const bool whole = count == samples;
        convolve(taps, {whole ? in : copy, out + first, whole ? samples : count, samples, count}, weights, bias,
                 rectify, add);
    }
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

// The gradient of a convolution's bias.
static inline void convolve_backward_bias(const float* y_gradient, float* bias_gradient, const Geometry& g,
                                          int64_t samples) {
    for (int64_t d = 0; d < g.out; ++d)
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
