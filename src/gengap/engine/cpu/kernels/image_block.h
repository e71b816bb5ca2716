// Images as the kernels for evaluation read them: a block of them at a time, innermost in memory.
#pragma once
#include <algorithm>
#include "convolution.h"

namespace gengap {

// As many as the registers of one product hold: 64 with AVX-512.
constexpr int64_t BLOCK = VECTORS * LANES;

static inline int64_t block_count(int64_t n_images) { return (n_images + BLOCK - 1) / BLOCK; }

// Images `first` to `first + BLOCK` of [M, C, pixels] -> block [pixels, C, BLOCK]; past the last image, that one again.
static inline void read_block(const float* images, int64_t first, int64_t n_images, int64_t channels, int64_t pixels,
                              float* block) {
    const float* rows[BLOCK];
    for (int64_t b = 0; b < BLOCK; ++b) rows[b] = images + std::min(first + b, n_images - 1) * channels * pixels;
    for (int64_t p = 0; p < pixels; ++p)
        for (int64_t c = 0; c < channels; ++c, block += BLOCK)
            for (int64_t b = 0; b < BLOCK; ++b) block[b] = rows[b][c * pixels + p];
}

}  // namespace gengap
