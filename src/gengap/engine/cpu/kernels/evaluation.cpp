// Trained networks on many images: a block of images at a time goes through a whole network, so that its maps stay in
// the cache.
#include <cmath>
#include "image_block.h"

namespace gengap {

// What an instruction needs beside the weights of a network, made once for all blocks.
struct Prepared { Taps taps; std::vector<PackedWeights> weights; };  // weights of every network

static std::vector<Prepared> prepare(const Run& run, const float* weights) {
    std::vector<Prepared> prepared(run.length);
    for (int64_t i = 0; i < run.length; ++i) {
        const Instruction& step = run.program[i];
        const Geometry& g = step.geometry;
        if (step.kind == CONVOLVE || step.is_pool()) prepared[i].taps = taps_of(g);
        if (step.kind == CONVOLVE)
            for (int64_t k = 0; k < run.networks; ++k)
                prepared[i].weights.emplace_back(weights + k * run.n_weights + step.weights, g.out, g.in * g.taps(),
                                                 g.in, g.taps(), g.taps());
    }
    return prepared;
}

// Mean and sum of squared distances from it, per channel, of the maps of so many images of a block.
static void measure(const float* map, int64_t pixels, int64_t channels, int64_t images, float* moments) {
    for (int64_t c = 0; c < channels; ++c) {
        const auto total = [&](auto term) {
            Vector sums = {};
            float rest = 0.0f;
            for (int64_t p = 0; p < pixels; ++p) {
                const float* row = map + (p * channels + c) * BLOCK;
                const int64_t whole = images / LANES * LANES;
                for (int64_t b = 0; b < whole; b += LANES) sums += term(load(row + b));
                for (int64_t b = whole; b < images; ++b) rest += term(Vector{} + row[b])[0];
            }
            for (int lane = 0; lane < LANES; ++lane) rest += sums[lane];
            return rest;
        };
        const float mean = total([](Vector x) { return x; }) / float(pixels * images);
        moments[2 * c] = mean;
        moments[2 * c + 1] = total([=](Vector x) { return (x - mean) * (x - mean); });
    }
}

// Mean and biased variance of all images, from the moments of one block after another, `step` apart.
static void combine(const float* moments, int64_t step, int64_t n_images, int64_t pixels, float& mean,
                    float& variance) {
    const auto average = [&](auto term) {
        double sum = 0;
        const float* block = moments;
        for (int64_t first = 0; first < n_images; first += BLOCK, block += step)
            sum += term(block, double(std::min(BLOCK, n_images - first)));
        return sum / double(n_images);
    };
    const double center = average([](const float* block, double images) { return block[0] * images; });
    const double within = average([](const float* block, double) { return block[1]; }) / double(pixels);
    const double between =
        average([=](const float* block, double images) { return (block[0] - center) * (block[0] - center) * images; });
    mean = float(center);
    variance = float(within + between);
}

// One network, and where its maps of the block at hand lie.
struct Network {
    int64_t k;
    const float* weights;
    float* images;
    float* buffer;
    float* kept;
    float* at(int64_t offset) const {
        return offset < 0 ? kept + (-1 - offset) * BLOCK : offset == 0 ? images : buffer + offset * BLOCK;
    }

    void execute(const Instruction& step, const Prepared& prepared) const {
        const Geometry& g = step.geometry;
        const float* in = at(step.in);
        float* out = at(step.out);
        const int64_t count = g.in_pixels() * g.in * BLOCK;
        switch (step.kind) {
        case CONVOLVE:
            convolve(prepared.taps, {in, out, BLOCK, BLOCK, BLOCK}, prepared.weights[k], weights + step.bias, step.relu);
            break;
        case ADD: {
            const float* other = at(step.other);
            each(out, count, step.relu, [=](int64_t i) { return load(in + i) + load(other + i); });
            break;
        }
        case MAX_POOL:
            max_pool(prepared.taps, in, g.in * BLOCK, out, g.out * BLOCK, step.relu);
            break;
        case AVERAGE_POOL:
            average_pool(prepared.taps, in, g.in * BLOCK, out, g.out * BLOCK, step.relu);
            break;
        case SCALE:
            for (int64_t p = 0; p < g.in_pixels(); ++p)
                for (int64_t c = 0; c < g.in; ++c) {
                    const float* map = in + (p * g.in + c) * BLOCK;
                    const float scale = weights[step.weights + c], shift = weights[step.bias + c];
                    each(out + (p * g.in + c) * BLOCK, BLOCK, step.relu,
                         [=](int64_t i) { return load(map + i) * scale + shift; });
                }
            break;
        case COPY:
            each(out, count, step.relu, [=](int64_t i) { return load(in + i); });
            break;
        case PAD:
            pad_channels(g, in, BLOCK, out, step.relu);
            break;
        case KEEP:
            for (int64_t i = 0; i < count; i += LANES) stream(out + i, load(in + i));
            break;
        }
    }

    // What the last instruction made, image by image.
    void write_outputs(const Instruction& last, int64_t images, int64_t n_outputs, float* outputs) const {
        const float* map = at(last.out);
        for (int64_t b = 0; b < images; ++b)
            for (int64_t d = 0; d < n_outputs; ++d) outputs[b * n_outputs + d] = map[d * BLOCK + b];
    }
};

int64_t block_size() { return BLOCK; }

void evaluate(const Run& run, const float* weights, float* outputs, int threads) {
    const std::vector<Prepared> prepared = prepare(run, weights);
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> buffer(run.buffer_size * BLOCK);
#pragma omp for
        for (int64_t first = 0; first < run.n_images; first += BLOCK) {
            read_block(run.images, first, run.n_images, run.channels, run.pixels, buffer.data());
            for (int64_t k = 0; k < run.networks; ++k) {
                const Network network{k, weights + k * run.n_weights, buffer.data(), buffer.data(), nullptr};
                for (int64_t i = 0; i < run.length; ++i) network.execute(run.program[i], prepared[i]);
                network.write_outputs(run.program[run.length - 1], std::min(BLOCK, run.n_images - first), run.n_outputs,
                                      outputs + (k * run.n_images + first) * run.n_outputs);
            }
        }
    }
}

void exact_statistics(const Run& run, float* weights, float* means, float* variances, float* outputs, float* kept,
                      float* blocks, int64_t n_features, int64_t networks_at_once, float eps, int threads) {
    const Instruction* program = run.program;
    const int64_t n_blocks = block_count(run.n_images), kept_of_block = run.kept_size * BLOCK;
    const int64_t size_of_block = run.channels * run.pixels * BLOCK;
    const auto images_of = [&](int64_t block) { return std::min(BLOCK, run.n_images - block * BLOCK); };
    const auto read = [&](int64_t block, float* to) {
        read_block(run.images, block * BLOCK, run.n_images, run.channels, run.pixels, to);
    };
    const std::vector<Prepared> prepared = prepare(run, weights);
    std::vector<float> moments(networks_at_once * n_blocks * n_features * 2);
    if (blocks) {
#pragma omp parallel for num_threads(threads)
        for (int64_t block = 0; block < n_blocks; ++block) read(block, blocks + block * size_of_block);
    }
    for (int64_t begin = 0; begin < run.networks; begin += networks_at_once) {
        const int64_t group = std::min(networks_at_once, run.networks - begin);
        int64_t feature = 0;
        // One pass: instructions from `start`, measurements from `measures` to `end`.
        for (int64_t start = 0, end; start < run.length; start = end) {
            int64_t measures = start;
            while (measures < run.length && program[measures].kind != MEASURE) ++measures;
            if (measures == run.length && run.n_outputs == 0) break;
            for (end = measures; end < run.length && program[end].kind == MEASURE;) ++end;
            const bool reads_images = std::any_of(program + start, program + end, [](const Instruction& step) {
                return step.in == 0 || (step.kind == ADD && step.other == 0);
            });
#pragma omp parallel num_threads(threads)
            {
                std::vector<float> buffer(run.buffer_size * BLOCK);
#pragma omp for
                for (int64_t block = 0; block < n_blocks; ++block) {
                    float* images = blocks ? blocks + block * size_of_block : buffer.data();
                    if (reads_images && !blocks) read(block, images);
                    for (int64_t g = 0; g < group; ++g) {
                        const int64_t k = begin + g;
                        const Network network{k, weights + k * run.n_weights, images, buffer.data(),
                                              kept + (g * n_blocks + block) * kept_of_block};
                        for (int64_t i = start; i < measures; ++i) network.execute(program[i], prepared[i]);
                        float* to = moments.data() + ((g * n_blocks + block) * n_features + feature) * 2;
                        for (int64_t i = measures; i < end; ++i) {
                            const Geometry& geometry = program[i].geometry;
                            measure(network.at(program[i].in), geometry.in_pixels(), geometry.in, images_of(block), to);
                            to += 2 * geometry.in;
                        }
                        if (measures == run.length)
                            network.write_outputs(program[run.length - 1], images_of(block), run.n_outputs,
                                                  outputs + (k * run.n_images + block * BLOCK) * run.n_outputs);
                    }
                }
                stream_fence();
            }
#pragma omp parallel for num_threads(threads)
            for (int64_t g = 0; g < group; ++g) {
                const int64_t k = begin + g;
                int64_t at = feature;
                for (int64_t i = measures; i < end; ++i)
                    for (int64_t c = 0; c < program[i].geometry.in; ++c, ++at) {
                        const int64_t to = k * n_features + at;
                        combine(moments.data() + (g * n_blocks * n_features + at) * 2, n_features * 2, run.n_images,
                                program[i].geometry.in_pixels(), means[to], variances[to]);
                        float* own = weights + k * run.n_weights;
                        float& scale = own[program[i].weights + c];
                        scale /= std::sqrt(variances[to] + eps);
                        own[program[i].bias + c] -= means[to] * scale;
                    }
            }
            for (int64_t i = measures; i < end; ++i) feature += program[i].geometry.in;
        }
    }
}

}  // namespace gengap
