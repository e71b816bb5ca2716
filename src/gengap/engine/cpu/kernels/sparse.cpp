// Perceptrons with pruned weights: every product is of a weight that is left with samples, innermost in memory.
#include <algorithm>
#include <numeric>
#include <type_traits>
#include "kept_memory.h"
#include "layers.h"

namespace gengap {

// The weights of one layer of one network. Places in `weights` and `columns` are those of the whole network.
struct SparseMatrix {
    const float* weights;
    const int32_t *columns, *starts;
    int64_t rows;
};

// Samples some vectors at a time: with four, the sums of a row stay in registers.
template <class Work> static void each_strip(int64_t samples, Work work) {
    int64_t first = 0;
    for (; first + 4 * LANES <= samples; first += 4 * LANES) work(std::integral_constant<int, 4>(), first);
    for (; first < samples; first += LANES) work(std::integral_constant<int, 1>(), first);
}

static void multiply(const SparseMatrix& matrix, const float* x, const float* bias, float* y, int64_t samples,
                     bool rectify) {
    each_strip(samples, [&](auto vectors, int64_t first) {
        const float* weights = matrix.weights;
        const int32_t *columns = matrix.columns, *starts = matrix.starts;
        for (int64_t row = 0; row < matrix.rows; ++row) {
            Vector sums[vectors];
            for (int v = 0; v < vectors; ++v) sums[v] = Vector{} + bias[row];
            for (int32_t i = starts[row], end = starts[row + 1]; i < end; ++i) {
                const float* from = x + columns[i] * samples + first;
                for (int v = 0; v < vectors; ++v) sums[v] += weights[i] * load(from + v * LANES);
            }
            float* to = y + row * samples + first;
            for (int v = 0; v < vectors; ++v) store(to + v * LANES, rectify ? relu(sums[v]) : sums[v]);
        }
    });
}

// Gradients of a layer's weights, LANES of them at a time, across the ends of rows; added to what is there.
class WeightGradients {
public:
    explicit WeightGradients(float* to) : to(to) {}
    ~WeightGradients() { write(); }
    void take(Vector products) {
        waiting[count++] = products;
        if (count == LANES) write();
    }

private:
    void write() {
        std::fill(waiting + count, waiting + LANES, Vector{});
        const Vector sums = sums_of(waiting);
        for (int i = 0; i < count; ++i) to[i] += sums[i];
        to += count;
        count = 0;
    }
    float* to;
    alignas(64) Vector waiting[LANES];
    int count = 0;
};

// Gradients of a layer's weights and biases are added to what is there.
static void add_weight_gradients(const SparseMatrix& matrix, const float* y_gradient, const float* x,
                                 float* weight_gradient, float* bias_gradient, int64_t samples) {
    each_strip(samples, [&](auto vectors, int64_t first) {
        const int32_t *columns = matrix.columns, *starts = matrix.starts;
        WeightGradients gradients(weight_gradient + starts[0]);
        for (int64_t row = 0; row < matrix.rows; ++row) {
            Vector of_y[vectors], whole = {};
            for (int v = 0; v < vectors; ++v) {
                of_y[v] = in_register(load(y_gradient + row * samples + first + v * LANES));
                whole += of_y[v];
            }
            bias_gradient[row] += sum(whole);
            for (int32_t i = starts[row], end = starts[row + 1]; i < end; ++i) {
                const float* from = x + columns[i] * samples + first;
                Vector products = {};
                for (int v = 0; v < vectors; ++v) products += of_y[v] * load(from + v * LANES);
                gradients.take(products);
            }
        }
    });
}

// The gradient of what a layer reads is added to what is there.
static void add_input_gradients(const SparseMatrix& matrix, const float* y_gradient, float* x_gradient,
                                int64_t samples) {
    each_strip(samples, [&](auto vectors, int64_t first) {
        const float* weights = matrix.weights;
        const int32_t *columns = matrix.columns, *starts = matrix.starts;
        for (int64_t row = 0; row < matrix.rows; ++row) {
            Vector of_y[vectors];
            for (int v = 0; v < vectors; ++v) of_y[v] = in_register(load(y_gradient + row * samples + first + v * LANES));
            for (int32_t i = starts[row], end = starts[row + 1]; i < end; ++i) {
                float* to = x_gradient + columns[i] * samples + first;
                const float weight = weights[i];
                for (int v = 0; v < vectors; ++v) store(to + v * LANES, load(to + v * LANES) + weight * of_y[v]);
            }
        }
    });
}

static SparseMatrix matrix_of(const SparseRun& run, int64_t layer, int64_t network) {
    const int64_t first = std::accumulate(run.widths + 1, run.widths + layer + 1, int64_t(0));
    return {run.weights + network * run.n_weights, run.columns + network * run.n_weights,
            run.starts + network * (run.maps + 1) + first, run.widths[layer + 1]};
}

bool sparse_columns_are_below(int64_t width, const int32_t* columns, int64_t count) {
    uint32_t most = 0;  // a negative column is a large one
    for (int64_t i = 0; i < count; ++i) most = std::max(most, uint32_t(columns[i]));
    return count == 0 || most < width;
}

void sparse_forward(const SparseRun& run, const float* images, const float* biases, float* maps, int threads) {
    const int64_t n = run.samples, image = run.shared_images ? 0 : run.blocks * run.widths[0] * n;
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < run.networks; ++k)
        for (int64_t block = 0; block < run.blocks; ++block) {
            const float* x = images + k * image + block * run.widths[0] * n;
            const float* bias = biases + k * run.maps;
            float* y = maps + (k * run.blocks + block) * run.maps * n;
            for (int64_t layer = 0; layer < run.layers; ++layer) {
                const SparseMatrix matrix = matrix_of(run, layer, k);
                multiply(matrix, x, bias, y, n, layer + 1 < run.layers);
                x = y;
                bias += matrix.rows;
                y += matrix.rows * n;
            }
        }
}

void sparse_backward(const SparseRun& run, const float* output_gradients, const float* images, const float* maps,
                     float* weight_gradients, float* bias_gradients, int threads) {
    const int64_t n = run.samples, n_outputs = run.widths[run.layers];
    const Scratch kept(threads * run.maps * n);
#pragma omp parallel num_threads(threads)
    {
        float* gradients = kept.block.start + omp_get_thread_num() * run.maps * n;
#pragma omp for
        for (int64_t k = 0; k < run.networks; ++k) {
            std::fill_n(weight_gradients + k * run.n_weights, run.n_weights, 0.0f);
            std::fill_n(bias_gradients + k * run.maps, run.maps, 0.0f);
            for (int64_t block = 0; block < run.blocks; ++block) {
                const int64_t at = k * run.blocks + block;
                const float* image = images + at * run.widths[0] * n;
                const float* own_maps = maps + at * run.maps * n;
                std::fill_n(gradients, run.maps * n, 0.0f);
                std::copy_n(output_gradients + at * n_outputs * n, n_outputs * n, gradients + (run.maps - n_outputs) * n);
                int64_t first = run.maps;  // of the layer's rows
                for (int64_t layer = run.layers; layer-- > 0;) {
                    const SparseMatrix matrix = matrix_of(run, layer, k);
                    first -= matrix.rows;
                    const int64_t before = first - run.widths[layer];  // the map that it reads
                    float* of_y = gradients + first * n;
                    if (layer + 1 < run.layers)
                        each(of_y, matrix.rows * n, false, [y = own_maps + first * n, of_y](int64_t i) {
                            return masked(load(y + i), load(of_y + i));
                        });
                    add_weight_gradients(matrix, of_y, layer ? own_maps + before * n : image,
                                         weight_gradients + k * run.n_weights, bias_gradients + k * run.maps + first,
                                         n);
                    if (layer) add_input_gradients(matrix, of_y, gradients + before * n, n);
                }
            }
        }
    }
}

}  // namespace gengap
