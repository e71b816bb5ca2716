// Layers of packs of small networks in training: maps are [K, H, W, C, B].
#include "maps.h"

static float sum(Vector values) {
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; ++lane) values[lane] += values[lane + half];
    return values[0];
}

// Keeps a value in a register: GCC would load it again for each of the multiplications that it enters.
static Vector held(Vector values) {
#if defined(__AVX512F__)
    asm("" : "+v"(values));
#elif defined(__x86_64__)
    asm("" : "+x"(values));
#endif
    return values;
}

// One channel of a map [pixels, C, B], walked in the one order in which it is summed.
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

struct Both { int64_t source, made; };
struct Tile { Vector sums[4][4]; };

// tile[i][j] = sum over pairs of pixels of left[made, d + i, :] * right[source, c + j, :]
static Tile products(const std::vector<Both>& pairs, const float* left, int64_t d, int64_t out, const float* right,
                     int64_t c, int64_t in, int64_t samples) {
    // Beyond the last channel, the last one is computed again and not kept.
    int64_t rows[4], columns[4];
    for (int i = 0; i < 4; ++i) {
        rows[i] = std::min(d + i, out - 1) * samples;
        columns[i] = std::min(c + i, in - 1) * samples;
    }
    Tile tile = {};
    for (const Both& pair : pairs) {
        const float* a = left + pair.made * out * samples;
        const float* b = right + pair.source * in * samples;
        for (int64_t n = 0; n < samples; n += LANES) {
            Vector values[4];
            for (int j = 0; j < 4; ++j) values[j] = held(load(b + columns[j] + n));
            for (int i = 0; i < 4; ++i) {
                const Vector factor = held(load(a + rows[i] + n));
                for (int j = 0; j < 4; ++j) tile.sums[i][j] += factor * values[j];
            }
        }
    }
    return tile;
}

extern "C" {

// x [K, H, W, C, B], weights [K, D, C, h, w], bias [K, D] or null -> y [K, H', W', D, B]
void gengap_conv(const float* x, const float* weights, const float* bias, float* y, const Shape* shape,
                 int64_t threads) {
    const Shape& s = *shape;
    const int64_t pixels = s.out_height() * s.out_width(), taps = s.taps();
    Lists lists(pixels);
    each_pair(s, [&](int64_t source, int64_t made, int64_t tap) { lists[made].push_back({source, tap}); });
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < s.networks; ++k)
        convolve(lists, x + k * s.height * s.width * s.in * s.samples,
                 Weights(weights + k * s.out * s.in * taps, s.out, s.in * taps, s.in, taps, taps),
                 bias ? bias + k * s.out : nullptr, y + k * pixels * s.out * s.samples, s.samples);
}

// Gradient of y [K, H', W', D, B], weights -> gradient of x [K, H, W, C, B]
void gengap_conv_input(const float* gradient, const float* weights, float* result, const Shape* shape,
                       int64_t threads) {
    const Shape& s = *shape;
    const int64_t pixels = s.height * s.width, taps = s.taps();
    Lists lists(pixels);
    each_pair(s, [&](int64_t source, int64_t made, int64_t tap) { lists[source].push_back({made, tap}); });
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < s.networks; ++k)
        convolve(lists, gradient + k * s.out_height() * s.out_width() * s.out * s.samples,
                 Weights(weights + k * s.out * s.in * taps, s.in, taps, s.out, s.in * taps, taps), nullptr,
                 result + k * pixels * s.in * s.samples, s.samples);
}

// Gradient of y, x -> gradients of the weights [K, D, C, h, w] and of the bias [K, D]
void gengap_conv_weight(const float* gradient, const float* x, float* weights, float* bias, const Shape* shape,
                        int64_t threads) {
    const Shape& s = *shape;
    const int64_t taps = s.taps(), pixels = s.out_height() * s.out_width();
    std::vector<std::vector<Both>> lists(taps);
    each_pair(s, [&](int64_t source, int64_t made, int64_t tap) { lists[tap].push_back({source, made}); });
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < s.networks; ++k) {
        const float* to = gradient + k * pixels * s.out * s.samples;
        const float* from = x + k * s.height * s.width * s.in * s.samples;
        for (int64_t d = 0; d < s.out; d += 4)
            for (int64_t c = 0; c < s.in; c += 4)
                for (int64_t tap = 0; tap < taps; ++tap) {
                    const Tile tile = products(lists[tap], to, d, s.out, from, c, s.in, s.samples);
                    for (int i = 0; i < 4 && d + i < s.out; ++i)
                        for (int j = 0; j < 4 && c + j < s.in; ++j)
                            weights[((k * s.out + d + i) * s.in + c + j) * taps + tap] = sum(tile.sums[i][j]);
                }
        for (int64_t d = 0; d < s.out; ++d) bias[k * s.out + d] = sum(Channel(to, d, pixels, s.out, s.samples).sum());
    }
}

// images [M, C, pixels], index [K, B] -> [K, pixels, C, B]; sizes K, B, C, pixels
void gengap_gather(const float* images, const int64_t* index, float* gathered, const int64_t* sizes, int64_t threads) {
    const int64_t networks = sizes[0], samples = sizes[1], channels = sizes[2], pixels = sizes[3];
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
                    *(Vector*)(gathered + ((k * pixels + p) * channels + c) * samples + b) = values;
                }
        }
}

// x [K, H, W, C, B], scale and shift [K, C] -> y, and mean and biased variance [K, C]
void gengap_normalise(const float* x, const float* scale, const float* shift, float* y, float* mean, float* variance,
                      float eps, const int64_t* sizes, int64_t threads) {
    const int64_t networks = sizes[0], pixels = sizes[1] * sizes[2], channels = sizes[3], samples = sizes[4];
    const float count = float(pixels * samples);
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t at = k * channels + c, first = k * pixels * channels * samples;
            const Channel values(x + first, c, pixels, channels, samples);
            const float middle = sum(values.sum()) / count;
            const float spread = sum(values.total([=](int64_t i) {
                const Vector d = load(x + first + i) - middle;
                return d * d;
            })) / count;
            const float slope = scale[at] / std::sqrt(spread + eps), start = shift[at];
            values.each([=](int64_t i) { store(y + first + i, (load(x + first + i) - middle) * slope + start); });
            mean[at] = middle;
            variance[at] = spread;
        }
}

// Gradient of y, and what the forward pass read and found -> gradients of x, scale and shift
void gengap_normalise_gradient(const float* gradient, const float* x, const float* scale, const float* mean,
                               const float* variance, float* result, float* scale_result, float* shift_result,
                               float eps, const int64_t* sizes, int64_t threads) {
    const int64_t networks = sizes[0], pixels = sizes[1] * sizes[2], channels = sizes[3], samples = sizes[4];
    const float count = float(pixels * samples);
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        for (int64_t c = 0; c < channels; ++c) {
            const int64_t at = k * channels + c, first = k * pixels * channels * samples;
            const Channel values(gradient + first, c, pixels, channels, samples);
            const float inverse = 1.0f / std::sqrt(variance[at] + eps), middle = mean[at];
            const float along = sum(values.total([=](int64_t i) {
                return load(gradient + first + i) * (load(x + first + i) - middle);
            })) * inverse;
            const float whole = sum(values.sum());
            const float slope = scale[at] * inverse, turn = along / count * inverse;
            values.each([=](int64_t i) {
                const Vector d = load(x + first + i) - middle;
                store(result + first + i, (load(gradient + first + i) - whole / count - d * turn) * slope);
            });
            scale_result[at] = along;
            shift_result[at] = whole;
        }
}
}
