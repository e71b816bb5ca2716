// Images as the kernels for trained networks read them: a block of them at a time, innermost.
#pragma once
#include "maps.h"

// As many as the registers of one product hold.
constexpr int64_t IMAGES = VECTORS * LANES;

// Images from the first on, [C, pixels] each, to the beginning of the room; beyond the last one, that one again.
static void read(const float* images, int64_t first, const int64_t* sizes, float* room) {
    const int64_t n_images = sizes[0], channels = sizes[1], pixels = sizes[2];
    const float* rows[IMAGES];
    for (int64_t b = 0; b < IMAGES; ++b) rows[b] = images + std::min(first + b, n_images - 1) * channels * pixels;
    for (int64_t p = 0; p < pixels; ++p)
        for (int64_t c = 0; c < channels; ++c, room += IMAGES)
            for (int64_t b = 0; b < IMAGES; ++b) room[b] = rows[b][c * pixels + p];
}
