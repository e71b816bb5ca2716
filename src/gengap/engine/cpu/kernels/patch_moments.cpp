// Moments of the patches that a kernel reads of the images, from which those of any convolution of them follow.
#include <vector>
#include "image_block.h"

namespace gengap {

constexpr int64_t DOUBLES = LANES / 2;  // as wide as a vector of floats
typedef double DoubleVector __attribute__((vector_size(DOUBLES * sizeof(double)), aligned(8), may_alias));

// Products of M rows with N others, each summed over its columns, in registers together; added to `sums`.
template <int M, int N>
static void add_products(const double* rows, const double* others, int64_t columns, double* sums, int64_t step) {
    DoubleVector products[M][N] = {};
    for (int64_t i = 0; i < columns; i += DOUBLES)
        for (int m = 0; m < M; ++m)
            for (int n = 0; n < N; ++n)
                products[m][n] +=
                    *(const DoubleVector*)(rows + m * columns + i) * *(const DoubleVector*)(others + n * columns + i);
    for (int m = 0; m < M; ++m)
        for (int n = 0; n < N; ++n) {
            double lanes[DOUBLES];
            *(DoubleVector*)lanes = products[m][n];
            for (int half = DOUBLES / 2; half > 0; half /= 2)
                for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
            sums[m * step + n] += lanes[0];
        }
}

void patch_moments(const float* images, double* sums, const Geometry& g, int64_t n_images, int threads) {
    const int64_t blocks = block_count(n_images), channels = g.in, pixels = g.in_pixels();
    const int64_t positions = g.taps(), out_pixels = g.out_pixels(), rows = channels * positions + 1;
    constexpr int64_t AT_ONCE = 8, COLUMNS = AT_ONCE * BLOCK, TILE = 4;
    const int64_t side = (rows + TILE - 1) / TILE * TILE;  // the panel ends with rows of zeros
    std::vector<int64_t> read(out_pixels * positions, -1);
    each_tap(g, [&](int64_t pixel, int64_t written, int64_t position) {
        read[written * positions + position] = pixel;
    });
    std::vector<double> block_sums(blocks * side * side);
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> block(pixels * channels * BLOCK);
        std::vector<double> panel(side * COLUMNS);
#pragma omp for
        for (int64_t index = 0; index < blocks; ++index) {
            const int64_t count = std::min(BLOCK, n_images - index * BLOCK);
            read_block(images, index * BLOCK, n_images, channels, pixels, block.data());
            for (int64_t first = 0; first < out_pixels; first += AT_ONCE) {
                std::fill(panel.begin(), panel.end(), 0.0);
                for (int64_t pixel = first; pixel < std::min(out_pixels, first + AT_ONCE); ++pixel) {
                    double* to = panel.data() + (pixel - first) * BLOCK;
                    for (int64_t row = 0; row + 1 < rows; ++row) {
                        const int64_t from = read[pixel * positions + row % positions];
                        if (from < 0) continue;  // past the border
                        const float* values = block.data() + (from * channels + row / positions) * BLOCK;
                        std::copy_n(values, count, to + row * COLUMNS);
                    }
                    std::fill_n(to + (rows - 1) * COLUMNS, count, 1.0);
                }
                for (int64_t row = 0; row < rows; row += TILE)
                    for (int64_t column = 0; column <= row; column += TILE)
                        add_products<TILE, TILE>(panel.data() + row * COLUMNS, panel.data() + column * COLUMNS, COLUMNS,
                                                 block_sums.data() + (index * side + row) * side + column, side);
            }
        }
    }
    std::fill_n(sums, rows * rows, 0.0);
    for (int64_t index = 0; index < blocks; ++index)
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t column = 0; column <= row; ++column)
                sums[row * rows + column] += block_sums[(index * side + row) * side + column];
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < row; ++column) sums[column * rows + row] = sums[row * rows + column];
}

}  // namespace gengap
