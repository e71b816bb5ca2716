// Whole networks in training: all layers forward, or all backward, one network after another, so that its maps stay in
// the cache of a core.
#include <map>
#include <memory>
#include <mutex>
#include "kept_memory.h"
#include "layers.h"

namespace gengap {

// An instruction, and the lists that its geometry makes.
struct Layer {
    TrainingInstruction step;
    Geometry geometry;
    Taps taps, reversed;
    Reads reads;
    explicit Layer(const TrainingInstruction& step) : step(step), geometry(step.geometry()) {
        if (step.kind == TRAIN_CONVOLVE || step.is_pool()) taps = taps_of(geometry);
        if (step.kind != TRAIN_CONVOLVE) return;
        if (step.read > 0) reversed = reversed_taps(geometry);
        reads = reads_of(geometry);
    }
};
using Layers = std::vector<Layer>;

// Made once per program and process: for one small network they cost more than a layer.
static const Layers& layers_of(const TrainingInstruction* program, int64_t length) {
    static std::mutex mutex;
    static std::map<std::vector<int64_t>, std::unique_ptr<Layers>> known;
    const int64_t* numbers = reinterpret_cast<const int64_t*>(program);
    const std::vector<int64_t> key(numbers, numbers + length * int64_t(sizeof(TrainingInstruction) / sizeof(int64_t)));
    const std::lock_guard<std::mutex> guard(mutex);
    std::unique_ptr<Layers>& layers = known[key];
    if (!layers) layers = std::make_unique<Layers>(program, program + length);
    return *layers;
}

// Numbers of the copies that any of the convolutions needs.
static int64_t most_copied(const Layers& layers, int64_t samples) {
    int64_t most = 0;
    for (const Layer& layer : layers)
        if (layer.step.kind == TRAIN_CONVOLVE) most = std::max(most, copied(layer.geometry, samples));
    return most;
}

// The gradient of a sum to a map that it adds.
static void pass_on(const float* gradient, float* to, int64_t count, bool added) {
    each(to, count, false, [=](int64_t i) { return added ? load(to + i) + load(gradient + i) : load(gradient + i); });
}

// The gradient of a pool goes to the first of the numbers that are its maximum, and to every NaN. Where windows lie
// apart, each number is in one of them, so that what is there is written over and not added to.
template <bool APART>
static void max_pool_backward_of(const Taps& taps, const float* x, const float* y, const float* y_gradient,
                                 float* x_gradient, int64_t count) {
    for (size_t pixel = 0; pixel < taps.size(); ++pixel)
        for (int64_t i = 0; i < count; i += LANES) {
            const Vector greatest = load(y + pixel * count + i);
            Vector left = load(y_gradient + pixel * count + i);
            for (const Tap& tap : taps[pixel]) {
                const Vector value = load(x + tap.pixel * count + i);
                float* to = x_gradient + tap.pixel * count + i;
                const auto hit = (value == greatest) | (value != value);
                store(to, APART ? (hit ? left : Vector{}) : load(to) + (hit ? left : Vector{}));
                left = hit ? Vector{} : left;
            }
        }
}

static void max_pool_backward(const Taps& taps, const float* x, const float* y, const float* y_gradient,
                              float* x_gradient, const Geometry& g, int64_t samples, bool added) {
    const int64_t count = g.in * samples;
    const bool apart = !added && g.windows_tile();
    if (!apart && !added) std::fill_n(x_gradient, g.in_pixels() * count, 0.0f);
    (apart ? max_pool_backward_of<true> : max_pool_backward_of<false>)(taps, x, y, y_gradient, x_gradient, count);
}

// Every number of a window takes an equal share.
static void average_pool_backward(const Taps& taps, const float* y_gradient, float* x_gradient, const Geometry& g,
                                  int64_t samples, bool added) {
    const int64_t count = g.in * samples;
    if (!added) std::fill_n(x_gradient, g.in_pixels() * count, 0.0f);
    const float share = 1.0f / float(g.taps());
    for (size_t pixel = 0; pixel < taps.size(); ++pixel)
        for (const Tap& tap : taps[pixel]) {
            float* to = x_gradient + tap.pixel * count;
            const float* from = y_gradient + pixel * count;
            each(to, count, false, [=](int64_t i) { return load(to + i) + load(from + i) * share; });
        }
}

// The gradient of a map before its ReLU, in place.
static void mask(const float* map, float* gradient, int64_t count) {
    each(gradient, count, false, [=](int64_t i) { return masked(load(map + i), load(gradient + i)); });
}

void train_forward(const TrainingRun& run, const float* images, const float* weights, float* maps, float* statistics,
                   float eps, int threads) {
    const Layers& layers = layers_of(run.program, run.length);
    const int64_t n = run.samples, most = most_copied(layers, n);
    threads = int(std::min(int64_t(threads), run.networks));
    const Scratch copies(threads * most);
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < run.networks; ++k) {
        float* copy = copies.block.start + omp_get_thread_num() * most;
        const float* batch = images + k * run.image * n;
        float* own_maps = maps + k * (run.size - run.image) * n;
        const auto at = [&](int64_t offset) { return own_maps + (offset - run.image) * n; };
        const auto read = [&](int64_t offset) { return offset == 0 ? batch : at(offset); };
        const float* own = weights + k * run.n_weights;
        float* means = statistics + k * 2 * run.n_features;
        float* variances = means + run.n_features;
        for (const Layer& layer : layers) {
            const TrainingInstruction& step = layer.step;
            const Geometry& g = layer.geometry;
            const float* bias = step.bias < 0 ? nullptr : own + step.bias;
            if (step.kind == TRAIN_CONVOLVE)
                convolve_samples(layer.taps, read(step.read), g.in_pixels() * g.in,
                                 PackedWeights(own + step.weight, g.out, g.in * g.taps(), g.in, g.taps(), g.taps()),
                                 bias, at(step.written), n, block_of(g, n), copy, step.relu);
            else if (step.kind == TRAIN_ADD)
                each(at(step.written), step.size * n, step.relu,
                     [a = read(step.read), b = read(step.other)](int64_t i) { return load(a + i) + load(b + i); });
            else if (step.kind == TRAIN_MAX_POOL)
                max_pool(layer.taps, read(step.read), g.in * n, at(step.written), g.in * n, step.relu);
            else if (step.kind == TRAIN_PAD)
                pad_channels(g, read(step.read), n, at(step.written), step.relu);
            else if (step.kind == TRAIN_AVERAGE_POOL)
                average_pool(layer.taps, read(step.read), g.in * n, at(step.written), g.in * n, step.relu);
            else
                normalise(read(step.read), own + step.weight, bias, at(step.written), means + step.norm,
                          variances + step.norm, eps, g.in_pixels(), g.in, n, step.relu);
        }
    }
}

void train_backward(const TrainingRun& run, const float* output_gradients, const float* images, const float* maps,
                    const float* statistics, const float* weights, float* weight_gradients, int64_t n_outputs,
                    float eps, int threads) {
    const Layers& layers = layers_of(run.program, run.length);
    const int64_t n = run.samples, most = most_copied(layers, n);
    threads = int(std::min(int64_t(threads), run.networks));
    const Scratch gradients(threads * run.size * n);  // of the images as well, if a sum reads them
    const Scratch copies(threads * most);
#pragma omp parallel num_threads(threads)
    {
        float* own_gradients = gradients.block.start + omp_get_thread_num() * run.size * n;
        float* copy = copies.block.start + omp_get_thread_num() * most;
        const auto gradient = [&](int64_t offset) { return own_gradients + offset * n; };
#pragma omp for
        for (int64_t k = 0; k < run.networks; ++k) {
            const float* batch = images + k * run.image * n;
            const float* own_maps = maps + k * (run.size - run.image) * n;
            const auto read = [&](int64_t offset) {
                return offset == 0 ? batch : own_maps + (offset - run.image) * n;
            };
            const float* own = weights + k * run.n_weights;
            const float* means = statistics + k * 2 * run.n_features;
            const float* variances = means + run.n_features;
            float* result = weight_gradients + k * run.n_weights;
            std::copy_n(output_gradients + k * n_outputs * n, n_outputs * n, gradient(run.size - n_outputs));
            for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
                const TrainingInstruction& step = layer->step;
                const Geometry& g = layer->geometry;
                float* of_y = gradient(step.written);
                float* of_bias = step.bias < 0 ? nullptr : result + step.bias;
                const bool normalises = step.kind == TRAIN_SCALE;  // which masks as it reads
                if (step.relu && !normalises) mask(read(step.written), of_y, step.size * n);
                if (step.kind == TRAIN_CONVOLVE) {
                    convolve_backward_weight(layer->reads, of_y, read(step.read), result + step.weight, g, n,
                                             copy);
                    if (of_bias) convolve_backward_bias(of_y, of_bias, g, n);
                    if (step.read > 0)
                        convolve_samples(
                            layer->reversed, of_y, g.out_pixels() * g.out,
                            PackedWeights(own + step.weight, g.in, g.taps(), g.out, g.in * g.taps(), g.taps()), nullptr,
                            gradient(step.read), n, block_of(g, n), copy, false, step.added);
                } else if (step.kind == TRAIN_ADD) {
                    pass_on(of_y, gradient(step.read), step.size * n, step.added);
                    pass_on(of_y, gradient(step.other), step.size * n, step.other_added);
                } else if (step.kind == TRAIN_MAX_POOL) {
                    max_pool_backward(layer->taps, read(step.read), read(step.written), of_y, gradient(step.read), g, n,
                                      step.added);
                } else if (step.kind == TRAIN_PAD) {
                    for (int64_t pixel = 0; pixel < g.in_pixels(); ++pixel)
                        pass_on(of_y + (pixel * g.out + g.added_before()) * n, gradient(step.read) + pixel * g.in * n,
                                g.in * n, step.added);
                } else if (step.kind == TRAIN_AVERAGE_POOL) {
                    average_pool_backward(layer->taps, of_y, gradient(step.read), g, n, step.added);
                } else {
                    normalise_backward(of_y, read(step.read), step.relu ? read(step.written) : nullptr,
                                       own + step.weight, means + step.norm, variances + step.norm,
                                       gradient(step.read), result + step.weight, of_bias, eps, g.in_pixels(), g.in, n,
                                       step.added);
                }
            }
        }
    }
}

}  // namespace gengap
