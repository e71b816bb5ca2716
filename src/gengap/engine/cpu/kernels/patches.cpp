// Moments of what a kernel reads of the images, from which those of any convolution of them follow.
#include "images.h"

constexpr int64_t DOUBLES = LANES / 2;  // as wide as a vector of floats
typedef double Doubles __attribute__((vector_size(DOUBLES * sizeof(double)), aligned(8), may_alias));

// Products of some rows with others, each summed over its columns, in registers together.
template <int M, int N>
static void products(const double* rows, const double* others, int64_t columns, double* to, int64_t to_step) {
    Doubles sums[M][N] = {};
    for (int64_t i = 0; i < columns; i += DOUBLES)
        for (int m = 0; m < M; ++m)
            for (int n = 0; n < N; ++n)
                sums[m][n] += *(const Doubles*)(rows + m * columns + i) * *(const Doubles*)(others + n * columns + i);
    for (int m = 0; m < M; ++m)
        for (int n = 0; n < N; ++n) {
            double lanes[DOUBLES];
            *(Doubles*)lanes = sums[m][n];
            for (int half = DOUBLES / 2; half > 0; half /= 2)
                for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
            to[m * to_step + n] += lanes[0];
        }
}

extern "C" {

// images [M, C, pixels] -> totals [T + 1, T + 1], over all images and all places of a kernel of T numbers: of the products
// of any two numbers that it reads there, channel by channel, and in the last row of each of them alone; sizes M, C, pixels
void gengap_patches(const float* images, double* totals, const Shape* shape, const int64_t* sizes, int64_t threads) {
    const int64_t n_images = sizes[0], channels = sizes[1], pixels = sizes[2], parts = (n_images + IMAGES - 1) / IMAGES;
    const int64_t taps = shape->taps(), places = shape->out_height() * shape->out_width(), rows = channels * taps + 1;
    constexpr int64_t AT_ONCE = 8, COLUMNS = AT_ONCE * IMAGES, SIDE = 4;
    const int64_t side = (rows + SIDE - 1) / SIDE * SIDE;  // the panel ends with rows of zeros
    std::vector<int64_t> sources(places * taps, -1);
    each_pair(*shape, [&](int64_t source, int64_t made, int64_t tap) { sources[made * taps + tap] = source; });
    std::vector<double> found(parts * side * side);
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> room(pixels * channels * IMAGES);
        std::vector<double> panel(side * COLUMNS);
#pragma omp for
        for (int64_t part = 0; part < parts; ++part) {
            const int64_t count = std::min(IMAGES, n_images - part * IMAGES);
            read(images, part * IMAGES, sizes, room.data());
            for (int64_t first = 0; first < places; first += AT_ONCE) {
                std::fill(panel.begin(), panel.end(), 0.0);
                for (int64_t place = first; place < std::min(places, first + AT_ONCE); ++place) {
                    double* to = panel.data() + (place - first) * IMAGES;
                    for (int64_t row = 0; row + 1 < rows; ++row) {
                        const int64_t source = sources[place * taps + row % taps];
                        if (source >= 0)
                            std::copy_n(room.data() + (source * channels + row / taps) * IMAGES, count, to + row * COLUMNS);
                    }
                    std::fill_n(to + (rows - 1) * COLUMNS, count, 1.0);
                }
                for (int64_t row = 0; row < rows; row += SIDE)
                    for (int64_t column = 0; column <= row; column += SIDE)
                        products<SIDE, SIDE>(panel.data() + row * COLUMNS, panel.data() + column * COLUMNS, COLUMNS,
                                             found.data() + (part * side + row) * side + column, side);
            }
        }
    }
    std::fill_n(totals, rows * rows, 0.0);
    for (int64_t part = 0; part < parts; ++part)
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t column = 0; column <= row; ++column)
                totals[row * rows + column] += found[(part * side + row) * side + column];
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < row; ++column) totals[column * rows + row] = totals[row * rows + column];
}
}
