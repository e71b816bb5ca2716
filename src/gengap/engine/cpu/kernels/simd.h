// Vectors of float32 as wide as the processor's registers: 16 numbers with AVX-512, 8 with AVX, 4 otherwise.
#pragma once
#include <cstdint>
#include <utility>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace gengap {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));

static inline Vector load(const float* from) { return *(const Vector*)from; }
static inline void store(float* to, Vector values) { *(Vector*)to = values; }

// Keeps a value in a register: GCC would load it again for each of the multiplications that it enters.
static inline Vector in_register(Vector values) {
#if defined(__AVX512F__)
    asm("" : "+v"(values));
#elif defined(__x86_64__)
    asm("" : "+x"(values));
#endif
    return values;
}

// Writes past the cache what is read only after the cache has dropped it. `to` is aligned to a vector; `stream_fence`
// comes before any other thread reads it.
static inline void stream(float* to, Vector values) {
#if defined(__AVX512F__)
    _mm512_stream_ps(to, (__m512)values);
#elif defined(__AVX__)
    _mm256_stream_ps(to, (__m256)values);
#else
    store(to, values);
#endif
}
static inline void stream_fence() {
#if defined(__AVX__)
    _mm_sfence();
#endif
}

// Keeps NaN.
static inline Vector relu(Vector values) { return values < 0.0f ? Vector{} : values; }

// One vector of some lanes of each of two: with `ups` added to the lanes that lack the bit `step`, which are of `one`, and
// `downs` taken from the others, which are of `other`.
template <int step, int ups, int downs, int... lane>
static inline Vector mixed(Vector one, Vector other, std::integer_sequence<int, lane...>) {
#if defined(__clang__)
    return __builtin_shufflevector(one, other, (lane & step ? LANES + lane - downs : lane + ups)...);
#else
    typedef int32_t Lanes __attribute__((vector_size(LANES * sizeof(int32_t))));
    return __builtin_shuffle(one, other, Lanes{(lane & step ? LANES + lane - downs : lane + ups)...});
#endif
}
template <int step, int ups, int downs> static inline Vector mixed(Vector one, Vector other) {
    return mixed<step, ups, downs>(one, other, std::make_integer_sequence<int, LANES>());
}

// Rows become columns, in place: LANES vectors of LANES numbers.
template <int step = LANES / 2> static inline void transpose(Vector* rows) {
    for (int i = 0; i < LANES; ++i) {
        if (i & step) continue;
        const Vector one = rows[i], other = rows[i + step];
        rows[i] = mixed<step, 0, step>(one, other);
        rows[i + step] = mixed<step, step, 0>(one, other);
    }
    if constexpr (step > 1) transpose<step / 2>(rows);
}

// Lane i of the result is the sum of vector i of LANES; overwrites them.
template <int step = 1> static inline Vector sums_of(Vector* values) {
    for (int i = 0; i < LANES; i += 2 * step)
        values[i] = mixed<step, 0, 0>(values[i], values[i + step]) + mixed<step, step, step>(values[i], values[i + step]);
    if constexpr (2 * step < LANES) return sums_of<2 * step>(values);
    return values[0];
}

static inline float sum(Vector values) {
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; ++lane) values[lane] += values[lane + half];
    return values[0];
}

}  // namespace gengap
