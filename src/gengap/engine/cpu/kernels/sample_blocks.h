// Blocks of the samples of large maps, copied so that they stay in the cache while a layer reads them again and again.
//
// Rows of a map lie as many numbers apart as the batch has samples, often a power of two: rows of some samples alone
// would then share few of the cache's places.
#pragma once
#include <algorithm>
#include "kernels.h"

namespace gengap {

constexpr int64_t LEAST_BLOCK = 128, MOST_BLOCK = 1024;  // samples
constexpr int64_t CACHED = 1 << 17;                      // numbers of a block of both maps of a layer

// Samples of a block, all of them if they are few.
static inline int64_t block_of(const Geometry& g, int64_t samples) {
    const int64_t fits = CACHED / g.numbers() / LEAST_BLOCK * LEAST_BLOCK;
    return std::min(samples, std::clamp(fits, LEAST_BLOCK, MOST_BLOCK));
}

// Numbers of the copies of a block of both maps; none where all samples are one block.
static inline int64_t copied(const Geometry& g, int64_t samples) {
    const int64_t block = block_of(g, samples);
    return block < samples ? g.numbers() * block : 0;
}

// `count` samples from `first` on of each of `rows` rows.
static inline void copy_samples(const float* map, int64_t rows, int64_t samples, int64_t first, int64_t count,
                                float* copy) {
    for (int64_t row = 0; row < rows; ++row) std::copy_n(map + row * samples + first, count, copy + row * count);
}

}  // namespace gengap
