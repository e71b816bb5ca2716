// Convolutions of maps with the samples innermost: the maps of one network are [H, W, C, B].
//
// Every multiplication is then of one weight, broadcast, with a whole vector of samples, so that four channels are as
// fast as sixty-four, borders need no masks and strides cost nothing. A convolution is a list of pairs (source pixel,
// tap) for every pixel it writes; the gradient of its input is the same with the lists turned round. Sums of one
// network run in one fixed order, whatever the pack and the number of threads.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

// Rows of weights and vectors of samples that stay in registers together: 16 or 8 sums.
constexpr int WIDE_ROWS = 8, WIDE_VECTORS = LANES == 16 ? 2 : 1;
constexpr int ROWS = 4, VECTORS = LANES == 16 ? 4 : 2;

// Sizes as Python passes them: those of x, of the weights, and how the one moves over the other.
struct Shape {
    int64_t networks, height, width, in, samples, out, kernel_height, kernel_width, stride, padding, dilation;
    int64_t out_height() const { return side(height, kernel_height); }
    int64_t out_width() const { return side(width, kernel_width); }
    int64_t taps() const { return kernel_height * kernel_width; }
    int64_t side(int64_t length, int64_t kernel) const {
        return (length + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
    }
};

static Vector load(const float* at) { return *(const Vector*)at; }
static void store(float* at, Vector values) { *(Vector*)at = values; }

// Past the cache, for what is read only when it would have left it: to an aligned place, and `streamed` before it is read.
static void stream(float* at, Vector values) {
#if defined(__AVX512F__)
    _mm512_stream_ps(at, (__m512)values);
#elif defined(__AVX__)
    _mm256_stream_ps(at, (__m256)values);
#else
    store(at, values);
#endif
}
static void streamed() {
#if defined(__AVX__)
    _mm_sfence();
#endif
}

struct Pair { int64_t pixel, tap; };
using Lists = std::vector<std::vector<Pair>>;

template <class Found> static void each_pair(const Shape& s, Found found) {
    for (int64_t y = 0; y < s.out_height(); ++y)
        for (int64_t x = 0; x < s.out_width(); ++x)
            for (int64_t v = 0; v < s.kernel_height; ++v)
                for (int64_t u = 0; u < s.kernel_width; ++u) {
                    int64_t row = y * s.stride + v * s.dilation - s.padding;
                    int64_t column = x * s.stride + u * s.dilation - s.padding;
                    if (row >= 0 && row < s.height && column >= 0 && column < s.width)
                        found(row * s.width + column, y * s.out_width() + x, v * s.kernel_width + u);
                }
}

// Weights in the order in which `blocks` reads them: some rows at a time, a tap's channels one after another.
struct Weights {
    int64_t rows, channels, taps, at_once;
    std::vector<float> values;
    // given[row * row_step + channel * channel_step + tap]
    Weights(const float* given, int64_t rows, int64_t row_step, int64_t channels, int64_t channel_step, int64_t taps)
        : rows(rows), channels(channels), taps(taps), at_once(rows > ROWS ? WIDE_ROWS : ROWS) {
        values.reserve((rows + at_once - 1) / at_once * at_once * taps * channels);
        for (int64_t row = 0; row < rows; row += at_once)
            for (int64_t tap = 0; tap < taps; ++tap)
                for (int64_t c = 0; c < channels; ++c)
                    for (int64_t m = row; m < row + at_once; ++m)
                        values.push_back(m < rows ? given[m * row_step + c * channel_step + tap] : 0.0f);
    }
};

// Not a number stays so.
static Vector rectified(Vector values) { return values < 0.0f ? Vector{} : values; }

// out[pixel, row, :] = start[row] + sum over pairs and channels of weights[row, channel, tap] * in[source, channel, :]
template <int M, int N>
static void blocks(const Lists& lists, const float* in, const Weights& weights, const float* start, float* out,
                   int64_t samples, int64_t first, int64_t last, bool rectify) {
    const int64_t step = N * LANES, rows = weights.rows, channels = weights.channels;
    for (size_t pixel = 0; pixel < lists.size(); ++pixel)
        for (int64_t row = 0; row < rows; row += M)
            for (int64_t b = first; b < last; b += step) {
                Vector sums[M][N];
                for (int m = 0; m < M; ++m)
                    for (int n = 0; n < N; ++n)
                        sums[m][n] = Vector{} + (start && row + m < rows ? start[row + m] : 0.0f);
                const float* block = weights.values.data() + row * weights.taps * channels;
                for (const Pair& pair : lists[pixel]) {
                    const float* x = in + pair.pixel * channels * samples + b;
                    const float* w = block + pair.tap * channels * M;
                    for (int64_t c = 0; c < channels; ++c, x += samples, w += M) {
                        Vector values[N];
                        for (int n = 0; n < N; ++n) values[n] = load(x + n * LANES);
                        for (int m = 0; m < M; ++m)
                            for (int n = 0; n < N; ++n) sums[m][n] += w[m] * values[n];
                    }
                }
                for (int m = 0; m < M && row + m < rows; ++m)
                    for (int n = 0; n < N; ++n)
                        store(out + (pixel * rows + row + m) * samples + b + n * LANES,
                              rectify ? rectified(sums[m][n]) : sums[m][n]);
            }
}

template <int M, int N>
static void product(const Lists& lists, const float* in, const Weights& weights, const float* start, float* out,
                    int64_t samples, bool rectify) {
    const int64_t whole = samples / (N * LANES) * (N * LANES);
    blocks<M, N>(lists, in, weights, start, out, samples, 0, whole, rectify);
    blocks<M, 1>(lists, in, weights, start, out, samples, whole, samples, rectify);
}

static void convolve(const Lists& lists, const float* in, const Weights& weights, const float* start, float* out,
                     int64_t samples, bool rectify = false) {
    if (weights.at_once == ROWS)
        product<ROWS, VECTORS>(lists, in, weights, start, out, samples, rectify);
    else
        product<WIDE_ROWS, WIDE_VECTORS>(lists, in, weights, start, out, samples, rectify);
}
