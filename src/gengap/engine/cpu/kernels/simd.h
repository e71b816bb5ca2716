// Vectors of float32 as wide as the processor's registers: 16 numbers with AVX-512, 8 with AVX, 4 otherwise.
#pragma once
#include <cstdint>
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

static inline float sum(Vector values) {
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; ++lane) values[lane] += values[lane + half];
    return values[0];
}

}  // namespace gengap
