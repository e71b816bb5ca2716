// Layers of packs of small networks in training: maps are [K, H, W, C, B].
#include <algorithm>
#include <cmath>
#include "convolution.h"

namespace gengap {

// Keeps a value in a register: GCC would load it again for each of the multiplications that it enters.
static Vector in_register(Vector values) {
#if defined(__AVX512F__)
    asm("" : "+v"(values));
#elif defined(__x86_64__)
    asm("" : "+x"(values));
#endif
    return values;
}

// One channel of a map [pixels, C, B], read in the one order in which it is summed.
struct Channel {
    const float* map;
    int64_t channel, pixels, channels, samples;
    Channel(const float* map, int64_t channel, int64_t pixels, int64_t channels, int64_t samples)
        : map(map), channel(channel), pixels(pixels), channels(channels), samples(samples) {}
    template <class Work> void each(Work work) const {
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t first = (p * channels + channel) * samples;
            for (int64_t b = 0; b < samples; b += LANES) work(first + b);
        }
    }
    // Pixel by pixel, so that rounding errors do not grow with the size of the map times that of the batch.
    template <class Term> Vector total(Term term) const {
        Vector result = {};
        for (int64_t p = 0; p < pixels; ++p) {
            const int64_t first = (p * channels + channel) * samples;
            Vector part = {};
            for (int64_t b = 0; b < samples; b += LANES) part += term(first + b);
            result += part;
        }
        return result;
    }
    Vector sum() const {
        return total([this](int64_t i) { return load(map + i); });
    }
};

struct PixelPair { int64_t read, written; };
struct Tile { Vector sums[4][4]; };

// tile[i][j] = sum over pairs of pixels of left[written, d + i, :] * right[read, c + j, :]
static Tile products(const std::vector<PixelPair>& pairs, const float* left, int64_t d, int64_t out,
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

void conv2d(const float* x, const float* weight, const float* bias, float* y, const Geometry& g, int64_t networks,
            int64_t samples, int threads) {
    const Taps taps = taps_of(g);
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        convolve(taps, x + k * g.in_pixels() * g.in * samples,
                 PackedWeights(weight + k * g.out * g.in * g.taps(), g.out, g.in * g.taps(), g.in, g.taps(), g.taps()),
                 bias ? bias + k * g.out : nullptr, y + k * g.out_pixels() * g.out * samples, samples);
}

void conv2d_backward_input(const float* y_gradient, const float* weight, float* x_gradient, const Geometry& g,
                           int64_t networks, int64_t samples, int threads) {
    Taps taps(g.in_pixels());
    each_tap(g, [&](int64_t read, int64_t written, int64_t position) { taps[read].push_back({written, position}); });
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        convolve(taps, y_gradient + k * g.out_pixels() * g.out * samples,
                 PackedWeights(weight + k * g.out * g.in * g.taps(), g.in, g.taps(), g.out, g.in * g.taps(), g.taps()),
                 nullptr, x_gradient + k * g.in_pixels() * g.in * samples, samples);
}

void conv2d_backward_weight(const float* y_gradient, const float* x, float* weight_gradient, float* bias_gradient,
                            const Geometry& g, int64_t networks, int64_t samples, int threads) {
    const int64_t positions = g.taps(), pixels = g.out_pixels();
    std::vector<std::vector<PixelPair>> pairs(positions);
    each_tap(g, [&](int64_t read, int64_t written, int64_t position) { pairs[position].push_back({read, written}); });
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k) {
        const float* left = y_gradient + k * pixels * g.out * samples;
        const float* right = x + k * g.in_pixels() * g.in * samples;
        for (int64_t d = 0; d < g.out; d += 4)
            for (int64_t c = 0; c < g.in; c += 4)
                for (int64_t position = 0; position < positions; ++position) {
                    const Tile tile = products(pairs[position], left, d, g.out, right, c, g.in, samples);
                    for (int i = 0; i < 4 && d + i < g.out; ++i)
                        for (int j = 0; j < 4 && c + j < g.in; ++j)
                            weight_gradient[((k * g.out + d + i) * g.in + c + j) * positions + position] =
                                sum(tile.sums[i][j]);
                }
        for (int64_t d = 0; d < g.out; ++d)
            bias_gradient[k * g.out + d] = sum(Channel(left, d, pixels, g.out, samples).sum());
    }
}

void gather(const float* images, const int64_t* index, float* batches, int64_t networks, int64_t samples,
            int64_t channels, int64_t pixels, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        for (int64_t b = 0; b < samples; b += LANES) {
            const float* rows[LANES];
            for (int lane = 0; lane < LANES; ++lane)
                rows[lane] = images + index[k * samples + b + lane] * channels * pixels;
            for (int64_t c = 0; c < channels; ++c)
                for (int64_t p = 0; p < pixels; ++p) {
                    Vector values;
                    for (int lane = 0; lane < LANES; ++lane) values[lane] = rows[lane][c * pixels + p];
                    store(batches + ((k * pixels + p) * channels + c) * samples + b, values);
                }
        }
}

void batch_norm(const float* x, const float* weight, const float* bias, float* y, float* mean, float* variance,
                float eps, int64_t networks, int64_t pixels, int64_t channels, int64_t samples, int threads) {
    const float count = float(pixels * samples);
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t at = k * channels + c, first = k * pixels * channels * samples;
            const Channel values(x + first, c, pixels, channels, samples);
            const float center = sum(values.sum()) / count;
            const float spread = sum(values.total([=](int64_t i) {
                const Vector d = load(x + first + i) - center;
                return d * d;
            })) / count;
            const float slope = weight[at] / std::sqrt(spread + eps), start = bias[at];
            values.each([=](int64_t i) { store(y + first + i, (load(x + first + i) - center) * slope + start); });
            mean[at] = center;
            variance[at] = spread;
        }
}

void batch_norm_backward(const float* y_gradient, const float* x, const float* weight, const float* mean,
                         const float* variance, float* x_gradient, float* weight_gradient, float* bias_gradient,
                         float eps, int64_t networks, int64_t pixels, int64_t channels, int64_t samples, int threads) {
    const float count = float(pixels * samples);
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t at = k * channels + c, first = k * pixels * channels * samples;
            const Channel values(y_gradient + first, c, pixels, channels, samples);
            const float inverse = 1.0f / std::sqrt(variance[at] + eps), center = mean[at];
            const float along = sum(values.total([=](int64_t i) {
                return load(y_gradient + first + i) * (load(x + first + i) - center);
            })) * inverse;
            const float whole = sum(values.sum());
            const float slope = weight[at] * inverse, turn = along / count * inverse;
            values.each([=](int64_t i) {
                const Vector d = load(x + first + i) - center;
                store(x_gradient + first + i, (load(y_gradient + first + i) - whole / count - d * turn) * slope);
            });
            weight_gradient[at] = along;
            bias_gradient[at] = whole;
        }
}

}  // namespace gengap
