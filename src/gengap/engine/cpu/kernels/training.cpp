// Layers of packs of small networks in training, one by one: maps are [K, H, W, C, B].
#include "kept_memory.h"
#include "layers.h"

namespace gengap {

// Calls work(network, memory for copies of a block) for every network, on several threads.
template <class Work>
static void each_network(const Geometry& g, int64_t networks, int64_t samples, int threads, Work work) {
    threads = int(std::min(int64_t(threads), networks));
    const int64_t numbers = copied(g, samples);
    const Scratch copies(threads * numbers);
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k) work(k, copies.block.start + omp_get_thread_num() * numbers);
}

void conv2d(const float* x, const float* weight, const float* bias, float* y, const Geometry& g, int64_t networks,
            int64_t samples, int threads) {
    const Taps taps = taps_of(g);
    each_network(g, networks, samples, threads, [&](int64_t k, float* copy) {
        const float* own = weight + k * g.out * g.in * g.taps();
        convolve_samples(taps, x + k * g.in_pixels() * g.in * samples, g.in_pixels() * g.in,
                         PackedWeights(own, g.out, g.in * g.taps(), g.in, g.taps(), g.taps()),
                         bias ? bias + k * g.out : nullptr, y + k * g.out_pixels() * g.out * samples, samples,
                         block_of(g, samples), copy);
    });
}

void conv2d_backward_input(const float* y_gradient, const float* weight, float* x_gradient, const Geometry& g,
                           int64_t networks, int64_t samples, int threads) {
    const Taps taps = reversed_taps(g);
    each_network(g, networks, samples, threads, [&](int64_t k, float* copy) {
        const float* own = weight + k * g.out * g.in * g.taps();
        convolve_samples(taps, y_gradient + k * g.out_pixels() * g.out * samples, g.out_pixels() * g.out,
                         PackedWeights(own, g.in, g.taps(), g.out, g.in * g.taps(), g.taps()), nullptr,
                         x_gradient + k * g.in_pixels() * g.in * samples, samples, block_of(g, samples), copy);
    });
}

void conv2d_backward_weight(const float* y_gradient, const float* x, float* weight_gradient, float* bias_gradient,
                            const Geometry& g, int64_t networks, int64_t samples, int threads) {
    const Reads reads = reads_of(g);
    each_network(g, networks, samples, threads, [&](int64_t k, float* copy) {
        const float* of_y = y_gradient + k * g.out_pixels() * g.out * samples;
        convolve_backward_weight(reads, of_y, x + k * g.in_pixels() * g.in * samples,
                                 weight_gradient + k * g.out * g.in * g.taps(), g, samples, copy);
        if (bias_gradient) convolve_backward_bias(of_y, bias_gradient + k * g.out, g, samples);
    });
}

void gather(const float* images, const int64_t* index, float* batches, int64_t networks, int64_t samples,
            int64_t channels, int64_t pixels, int threads) {
    const int64_t numbers = channels * pixels;
    std::vector<int64_t> written(numbers);
    for (int64_t i = 0; i < numbers; ++i) written[i] = (i % pixels * channels + i / pixels) * samples;
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k)
        for (int64_t b = 0; b < samples; b += LANES) {
            const float *rows[LANES], *next[LANES];  // the images of these samples, and those that come next
            for (int lane = 0; lane < LANES; ++lane) {
                const int64_t* at = index + k * samples + b + lane;
                rows[lane] = images + at[0] * numbers;
                next[lane] = b + LANES < samples ? images + at[LANES] * numbers : rows[lane];
            }
            float* batch = batches + k * numbers * samples + b;
            int64_t i = 0;
            for (; i + LANES <= numbers; i += LANES) {
                Vector block[LANES];
                for (int lane = 0; lane < LANES; ++lane) {
                    block[lane] = load(rows[lane] + i);
                    __builtin_prefetch(next[lane] + i);
                }
                transpose(block);
                for (int lane = 0; lane < LANES; ++lane) store(batch + written[i + lane], block[lane]);
            }
            for (; i < numbers; ++i)
                for (int lane = 0; lane < LANES; ++lane) batch[written[i] + lane] = rows[lane][i];
        }
}

void batch_norm(const float* x, const float* weight, const float* bias, float* y, float* mean, float* variance,
                float eps, int64_t networks, int64_t pixels, int64_t channels, int64_t samples, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k) {
        const int64_t at = k * channels, map = at * pixels * samples;
        normalise(x + map, weight + at, bias + at, y + map, mean + at, variance + at, eps, pixels, channels, samples,
                  false);
    }
}

void batch_norm_backward(const float* y_gradient, const float* x, const float* weight, const float* mean,
                         const float* variance, float* x_gradient, float* weight_gradient, float* bias_gradient,
                         float eps, int64_t networks, int64_t pixels, int64_t channels, int64_t samples, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t k = 0; k < networks; ++k) {
        const int64_t at = k * channels, map = at * pixels * samples;
        normalise_backward(y_gradient + map, x + map, nullptr, weight + at, mean + at, variance + at, x_gradient + map,
                           weight_gradient + at, bias_gradient + at, eps, pixels, channels, samples, false);
    }
}

}  // namespace gengap
