// The arithmetic that `operators.cpp` offers to PyTorch: functions of pointers and sizes, without a header of PyTorch,
// which would take seconds to compile.
//
// K networks, M images, B samples of a batch, C channels read, D channels written, [H, W] read, [H', W'] written.
#pragma once
#include <cstdint>

namespace gengap {

// A convolution or pool: sizes of the map that it reads, its channels, and how the kernel moves.
struct Geometry {
    int64_t height, width, in, out, kernel_height, kernel_width, stride, padding, dilation;
    int64_t out_height() const { return out_size(height, kernel_height); }
    int64_t out_width() const { return out_size(width, kernel_width); }
    int64_t in_pixels() const { return height * width; }
    int64_t out_pixels() const { return out_height() * out_width(); }
    int64_t taps() const { return kernel_height * kernel_width; }
    int64_t added_before() const { return (out - in) / 2; }  // where channels of zeros are added
    int64_t numbers() const { return in_pixels() * in + out_pixels() * out; }  // of both maps
    // Whether every pixel is in one window.
    bool windows_tile() const {
        return kernel_height == stride && kernel_width == stride && dilation == 1 && padding == 0 &&
               in_pixels() == out_pixels() * taps();
    }
    int64_t out_size(int64_t size, int64_t kernel) const {
        return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
    }
};

// Training. Maps are [K, H, W, C, B]; B is a multiple of 16, the lanes of the widest vectors.

// images [M, C, pixels], index [K, B] -> batches [K, pixels, C, B]
void gather(const float* images, const int64_t* index, float* batches, int64_t networks, int64_t samples,
            int64_t channels, int64_t pixels, int threads);

// x [K, H, W, C, B], weight [K, D, C, h, w], bias [K, D] or null -> y [K, H', W', D, B]
void conv2d(const float* x, const float* weight, const float* bias, float* y, const Geometry& geometry,
            int64_t networks, int64_t samples, int threads);

// Gradient of y, weight -> gradient of x
void conv2d_backward_input(const float* y_gradient, const float* weight, float* x_gradient, const Geometry& geometry,
                           int64_t networks, int64_t samples, int threads);

// Gradient of y, x -> gradients of weight and bias
void conv2d_backward_weight(const float* y_gradient, const float* x, float* weight_gradient, float* bias_gradient,
                            const Geometry& geometry, int64_t networks, int64_t samples, int threads);

// x [K, pixels, C, B], weight and bias [K, C] -> y, and mean and biased variance [K, C]
void batch_norm(const float* x, const float* weight, const float* bias, float* y, float* mean, float* variance,
                float eps, int64_t networks, int64_t pixels, int64_t channels, int64_t samples, int threads);

// Gradient of y, and what the forward pass read and computed -> gradients of x, weight and bias
void batch_norm_backward(const float* y_gradient, const float* x, const float* weight, const float* mean,
                         const float* variance, float* x_gradient, float* weight_gradient, float* bias_gradient,
                         float eps, int64_t networks, int64_t pixels, int64_t channels, int64_t samples, int threads);

// Whole networks in training. Where their maps lie is in numbers per sample: 0 is the images, the others follow one
// another.
enum TrainingKind : int64_t {
    TRAIN_CONVOLVE, TRAIN_ADD, TRAIN_SCALE, TRAIN_MAX_POOL, TRAIN_AVERAGE_POOL, TRAIN_PAD
};

// One instruction, as `fused/program.py` writes and explains it.
struct TrainingInstruction {
    int64_t kind, read, other, written, relu, weight, bias, norm, height, width, in, out, kernel_height, kernel_width,
        stride, padding, dilation, added, other_added, size;
    Geometry geometry() const {
        return {height, width, in, out, kernel_height, kernel_width, stride, padding, dilation};
    }
    bool is_pool() const { return kind == TRAIN_MAX_POOL || kind == TRAIN_AVERAGE_POOL; }
};

// A program, and the sizes that it runs on. `image` and `size`: numbers of one sample's image, and of all its maps with
// the image.
struct TrainingRun {
    const TrainingInstruction* program;
    int64_t length, networks, samples, image, size, n_weights, n_features;
};

// images [K, image, B], weights [K, n_weights] -> maps [K, size - image, B], and mean and biased variance of every
// BatchNorm's features, [K, 2, n_features]
void train_forward(const TrainingRun& run, const float* images, const float* weights, float* maps, float* statistics,
                   float eps, int threads);

// Gradients of the outputs [K, n_outputs, B], and what the forward pass read and computed -> gradients of the weights
void train_backward(const TrainingRun& run, const float* output_gradients, const float* images, const float* maps,
                    const float* statistics, const float* weights, float* weight_gradients, int64_t n_outputs,
                    float eps, int threads);

// Perceptrons with pruned weights, of linear layers with ReLUs between them. The weights that are left lie as in a sparse
// matrix in compressed rows: those of each row follow one another, layer by layer.

// `widths`: of the image and of every layer. `maps`: rows of all layers. `samples`: of a block. `n_weights`: places for
// weights, of which a network with fewer uses the first.
struct SparseRun {
    const int64_t* widths;
    int64_t layers, networks, blocks, samples, maps, n_weights;
    const float* weights;     // [K, n_weights]
    const int32_t* columns;   // [K, n_weights], what each weight reads of the map before
    const int32_t* starts;    // [K, maps + 1], where each row starts, and the last ends
    bool shared_images;       // by all networks
};

// Whether all of so many columns are from 0 to below `width`.
bool sparse_columns_are_below(int64_t width, const int32_t* columns, int64_t count);

// images [K or 1, blocks, widths[0], samples], biases [K, maps] -> maps [K, blocks, maps, samples]
void sparse_forward(const SparseRun& run, const float* images, const float* biases, float* maps, int threads);

// Gradients of the outputs [K, blocks, outputs, samples], and what the forward pass read and computed -> gradients of
// the weights [K, n_weights], 0 in places that hold none, and of the biases [K, maps]
void sparse_backward(const SparseRun& run, const float* output_gradients, const float* images, const float* maps,
                     float* weight_gradients, float* bias_gradients, int threads);

// Evaluation. Images go through a network in blocks of so many, innermost in memory.
int64_t block_size();

enum Kind : int64_t { CONVOLVE, ADD, MAX_POOL, AVERAGE_POOL, SCALE, COPY, PAD, KEEP, MEASURE };

// One instruction, as `program.py` writes it: out = kind(in, other), and negative numbers become 0 if `relu`.
// `in`, `other` and `out` are offsets, in numbers per image: 0 is the images, what is above is in the buffer of one
// pass, and -1 - offset is in what is kept for later passes. `weights` and `bias` are offsets among the weights of the
// network: of a convolution's weight and bias, or of a BatchNorm's scale and shift. A pool may read and write some of the
// channels of a map that has more: it writes `geometry.in` of `geometry.out`.
struct Instruction {
    int64_t kind, in, other, out, relu, weights, bias;
    Geometry geometry;
    bool is_pool() const { return kind == MAX_POOL || kind == AVERAGE_POOL; }
};

// A program, the images [M, C, pixels] and the weights [K, n_weights] that it runs on.
struct Run {
    const Instruction* program;
    int64_t length, buffer_size, kept_size, n_outputs;
    const float* images;
    int64_t n_images, channels, pixels, networks, n_weights;
};

// -> outputs [K, M, n_outputs] of the last instruction
void evaluate(const Run& run, const float* weights, float* outputs, int threads);

// A program in passes over all images, each of which ends with measurements: mean and biased variance of every map that
// a BatchNorm reads, [K, n_features] in the order of instructions. The BatchNorm's scale and shift in `weights` become
// those that normalise by them. What follows the last measurement is a pass that makes the outputs [K, M, n_outputs];
// where n_outputs is 0, it is left out.
//
// `kept` has room for what is kept of all images of `networks_at_once` networks, [networks_at_once, M rounded up to
// blocks, kept_size]; `blocks` for the images as instructions read them, [M rounded up to blocks, C, pixels], or it is
// null: the images are then read again for every pass.
void exact_statistics(const Run& run, float* weights, float* means, float* variances, float* outputs, float* kept,
                      float* blocks, int64_t n_features, int64_t networks_at_once, float eps, int threads);

// images [M, C, pixels] -> sums over all images and positions of a kernel of T numbers, [T + 1, T + 1], of the products
// of any two numbers that it reads there, channel by channel; in the last row and column of each number alone, and in
// the corner the count.
void patch_moments(const float* images, double* sums, const Geometry& geometry, int64_t n_images, int threads);

}  // namespace gengap
