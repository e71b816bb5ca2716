// The gradient of a convolution's weights, of ONE network whose maps are [pixels, C, B].
//
// A weight has a row, its channel of the output, and a column, its position in the kernel and channel of the input. Its
// gradient is a sum over pixels and samples: the output's gradient there times what the position reads. The sums of a
// tile of rows and columns stay in registers while the maps are read, and the maps of a block of samples stay in the
// cache while all tiles read them. Every sum runs in one fixed order, for every pack and number of threads.
#pragma once
#include <array>
#include "convolution.h"
#include "sample_blocks.h"

namespace gengap {

constexpr int TILE_ROWS = LANES == 16 ? 6 : 4, TILE_COLUMNS = LANES == 16 ? 4 : 2;  // for 32 or 16 registers

// The pixel that each position of the kernel reads for each pixel written: [pixels written, positions]; -1 for none.
using Reads = std::vector<int64_t>;

static inline Reads reads_of(const Geometry& g) {
    Reads reads(g.out_pixels() * g.taps(), -1);
    each_tap(g, [&](int64_t read, int64_t written, int64_t position) { reads[written * g.taps() + position] = read; });
    return reads;
}

// Maps of some samples of one network: rows of `count` numbers, `step` apart.
struct Maps {
    const float *y_gradient, *x;
    int64_t step, count;
};

// result[i][j] = sum over pixels and samples of y_gradient[pixel, row + i, :] times what column + j reads there
template <int ROWS, int COLUMNS>
static void sum_tile(const Maps& maps, const Geometry& g, const Reads& reads, int64_t row, int64_t column,
                     float* result) {
    alignas(64) static const float nothing[MOST_BLOCK] = {};  // outside of the map
    constexpr int COUNT = (ROWS * COLUMNS + LANES - 1) / LANES * LANES;
    const int64_t positions = g.taps(), pixels = g.out_pixels();
    int64_t position[COLUMNS], channel[COLUMNS];
    for (int j = 0; j < COLUMNS; ++j) {
        position[j] = (column + j) / g.in;
        channel[j] = (column + j) % g.in;
    }
    Vector sums[COUNT] = {};
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
        const float* b[COLUMNS];
        bool any = false;
        for (int j = 0; j < COLUMNS; ++j) {
            const int64_t read = reads[pixel * positions + position[j]];
            any |= read >= 0;
            b[j] = read < 0 ? nothing : maps.x + (read * g.in + channel[j]) * maps.step;
        }
        if (!any) continue;
        const float* a = maps.y_gradient + (pixel * g.out + row) * maps.step;
        for (int64_t n = 0; n < maps.count; n += LANES) {
            Vector values[COLUMNS];
            for (int j = 0; j < COLUMNS; ++j) values[j] = in_register(load(b[j] + n));
            for (int i = 0; i < ROWS; ++i) {
                const Vector factor = in_register(load(a + i * maps.step + n));
                for (int j = 0; j < COLUMNS; ++j) sums[COLUMNS * i + j] += factor * values[j];
            }
        }
    }
    for (int i = 0; i < COUNT; i += LANES) store(result + i, sums_of(sums + i));
}

using SumTile = decltype(&sum_tile<1, 1>);
template <int... at> static constexpr std::array<SumTile, sizeof...(at)> tiles_of(std::integer_sequence<int, at...>) {
    return {sum_tile<at / TILE_COLUMNS + 1, at % TILE_COLUMNS + 1>...};
}

// Gradients [out, in, positions] of the weights; `copy` takes so many numbers as `copied` says.
static inline void convolve_backward_weight(const Reads& reads, const float* y_gradient, const float* x,
                                            float* weight_gradient, const Geometry& g, int64_t samples, float* copy) {
    static constexpr auto tiles = tiles_of(std::make_integer_sequence<int, TILE_ROWS * TILE_COLUMNS>());
    const int64_t positions = g.taps(), columns = positions * g.in, block = block_of(g, samples);
    const int64_t of_y = g.out_pixels() * g.out;
    for (int64_t first = 0; first < samples; first += block) {
        const int64_t count = std::min(block, samples - first);
        Maps maps{y_gradient, x, samples, count};
        if (count < samples) {
            float* copy_of_x = copy + of_y * count;
            copy_samples(y_gradient, of_y, samples, first, count, copy);
            copy_samples(x, g.in_pixels() * g.in, samples, first, count, copy_of_x);
            maps = {copy, copy_of_x, count, count};
        }
        for (int64_t row = 0; row < g.out; row += TILE_ROWS)
            for (int64_t column = 0; column < columns; column += TILE_COLUMNS) {
                const int64_t height = std::min(int64_t(TILE_ROWS), g.out - row);
                const int64_t width = std::min(int64_t(TILE_COLUMNS), columns - column);
                float sums[TILE_ROWS * TILE_COLUMNS + LANES];
                tiles[(height - 1) * TILE_COLUMNS + width - 1](maps, g, reads, row, column, sums);
                for (int64_t i = 0; i < height; ++i)
                    for (int64_t j = 0; j < width; ++j) {
                        const int64_t position = (column + j) / g.in, channel = (column + j) % g.in;
                        float& to = weight_gradient[((row + i) * g.in + channel) * positions + position];
                        to = (first ? to : 0.0f) + sums[width * i + j];
                    }
            }
    }
}

}  // namespace gengap
