// Trained networks on many images: some images at a time go through a whole network, so that its maps stay in the cache.
#include "images.h"

enum Kind : int64_t { CONVOLVE, ADD, MAXIMUM, SCALE, COPY, KEEP, MEASURE };

// One instruction, as Python passes it: to = kind(from, other), and 0 in the place of what is negative if it says so.
// Maps are places in the room of one image, or, where negative, -1 - place in what is kept of every image.
// Numbers is where a convolution's weights begin, its bias behind them, or a normalisation's scale, its shift behind it.
struct Instruction { int64_t kind, from, other, to, rectify, numbers; Shape shape; };

// What an instruction needs beside the numbers of a network.
struct Ready { Lists lists; std::vector<Weights> weights; };

static Ready ready(const Instruction& one, const float* numbers, int64_t networks, int64_t count) {
    const Shape& s = one.shape;
    Ready result;
    if (one.kind == CONVOLVE || one.kind == MAXIMUM) {
        result.lists.resize(s.out_height() * s.out_width());
        each_pair(s, [&](int64_t source, int64_t made, int64_t tap) { result.lists[made].push_back({source, tap}); });
    }
    if (one.kind == CONVOLVE)
        for (int64_t k = 0; k < networks; ++k)
            result.weights.emplace_back(numbers + k * count + one.numbers, s.out, s.in * s.taps(), s.in, s.taps(), s.taps());
    return result;
}

template <class Made> static void each(float* to, int64_t count, bool rectify, Made made) {
    for (int64_t i = 0; i < count; i += LANES) store(to + i, rectify ? rectified(made(i)) : made(i));
}

// As everywhere, the greatest of numbers of which one is not a number is not a number.
static void maximum(const Lists& lists, const float* from, int64_t channels, float* to, bool rectify) {
    const int64_t count = channels * IMAGES;
    for (size_t pixel = 0; pixel < lists.size(); ++pixel)
        each(to + pixel * count, count, rectify, [&](int64_t i) {
            Vector greatest = load(from + lists[pixel][0].pixel * count + i);
            for (const Pair& pair : lists[pixel]) {
                const Vector value = load(from + pair.pixel * count + i);
                greatest = ((value > greatest) | (value != value)) ? value : greatest;
            }
            return greatest;
        });
}

// Mean and sum of squared distances from it, per channel, of the maps of so many images.
static void measure(const float* from, int64_t pixels, int64_t channels, int64_t images, float* moments) {
    for (int64_t c = 0; c < channels; ++c) {
        const auto total = [&](auto term) {
            Vector sums = {};
            float rest = 0.0f;
            for (int64_t p = 0; p < pixels; ++p) {
                const float* row = from + (p * channels + c) * IMAGES;
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

// Mean and biased variance of all images, from what `measure` found of one block after another.
static void combine(const float* moments, int64_t step, int64_t n_images, int64_t pixels, float& mean, float& variance) {
    const auto total = [&](auto term) {
        double sum = 0;
        const float* of = moments;
        for (int64_t first = 0; first < n_images; first += IMAGES, of += step)
            sum += term(of, double(std::min(IMAGES, n_images - first)));
        return sum / double(n_images);
    };
    const double middle = total([](const float* of, double images) { return of[0] * images; });
    const double within = total([](const float* of, double) { return of[1]; }) / double(pixels);
    const double between = total([=](const float* of, double images) { return (of[0] - middle) * (of[0] - middle) * images; });
    mean = float(middle);
    variance = float(within + between);
}

// One network, and where its maps of the images at hand lie.
struct Network {
    int64_t k;
    const float* numbers;
    float* images;
    float* room;
    float* kept;
    float* at(int64_t place) const {
        return place < 0 ? kept + (-1 - place) * IMAGES : place == 0 ? images : room + place * IMAGES;
    }

    void run(const Instruction& one, const Ready& ready) const {
        const Shape& s = one.shape;
        const float* from = at(one.from);
        const float* own = numbers + one.numbers;
        float* to = at(one.to);
        const int64_t count = s.height * s.width * s.in * IMAGES;
        switch (one.kind) {
        case CONVOLVE:
            convolve(ready.lists, from, ready.weights[k], own + s.out * s.in * s.taps(), to, IMAGES, one.rectify);
            break;
        case ADD: {
            const float* other = at(one.other);
            each(to, count, one.rectify, [=](int64_t i) { return load(from + i) + load(other + i); });
            break;
        }
        case MAXIMUM:
            maximum(ready.lists, from, s.in, to, one.rectify);
            break;
        case SCALE:
            for (int64_t p = 0; p < s.height * s.width; ++p)
                for (int64_t c = 0; c < s.in; ++c) {
                    const float* map = from + (p * s.in + c) * IMAGES;
                    const float scale = own[c], shift = own[s.in + c];
                    each(to + (p * s.in + c) * IMAGES, IMAGES, one.rectify,
                         [=](int64_t i) { return load(map + i) * scale + shift; });
                }
            break;
        case COPY:
            each(to, count, one.rectify, [=](int64_t i) { return load(from + i); });
            break;
        case KEEP:
            for (int64_t i = 0; i < count; i += LANES) stream(to + i, load(from + i));
            break;
        }
    }

    // What the last instruction made of these images, image by image.
    void give(const Instruction& last, int64_t images, int64_t n_outputs, float* outputs) const {
        const float* made = at(last.to);
        for (int64_t b = 0; b < images; ++b)
            for (int64_t d = 0; d < n_outputs; ++d) outputs[b * n_outputs + d] = made[d * IMAGES + b];
    }
};

extern "C" {

// images [M, C, pixels], numbers [K, count] -> outputs [K, M, D], which the last instruction makes;
// sizes M, C, pixels, K, count, numbers in the room of one image, instructions, D
void gengap_forward(const float* images, const float* numbers, float* outputs, const Instruction* program,
                    const int64_t* sizes, int64_t threads) {
    const int64_t n_images = sizes[0], networks = sizes[3], count = sizes[4], length = sizes[6], n_outputs = sizes[7];
    std::vector<Ready> readied;
    for (int64_t i = 0; i < length; ++i) readied.push_back(ready(program[i], numbers, networks, count));
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> room(sizes[5] * IMAGES);
#pragma omp for
        for (int64_t first = 0; first < n_images; first += IMAGES) {
            read(images, first, sizes, room.data());
            for (int64_t k = 0; k < networks; ++k) {
                const Network network{k, numbers + k * count, room.data(), room.data(), nullptr};
                for (int64_t i = 0; i < length; ++i) network.run(program[i], readied[i]);
                network.give(program[length - 1], std::min(IMAGES, n_images - first), n_outputs,
                             outputs + (k * n_images + first) * n_outputs);
            }
        }
    }
}

// images [M, C, pixels], numbers [K, count] -> numbers in which every normalisation's scale and shift became those of
// the mean and biased variance of all images, which are given too, [K, features], in the order of instructions;
// sizes M, C, pixels, K, count, numbers in the room of one image, instructions, features, numbers kept of one image,
// networks at a time, D. Kept is room for that, [networks at a time, M up to whole blocks, numbers kept], turned is room
// for the images as the instructions read them, [M up to whole blocks, C, pixels], or nothing: then they are read for
// every pass of every so many networks.
//
// Instructions come in passes over all images, each of which ends with measurements. What lies behind the last of them is
// a pass that makes the outputs [K, M, D], with the statistics just found; where D is 0, it is left out.
void gengap_statistics(const float* images, float* numbers, float* means, float* variances, float* outputs, float* kept,
                       float* turned, float eps, const Instruction* program, const int64_t* sizes, int64_t threads) {
    const int64_t n_images = sizes[0], networks = sizes[3], count = sizes[4], length = sizes[6], features = sizes[7];
    const int64_t parts = (n_images + IMAGES - 1) / IMAGES, of_part = sizes[8] * IMAGES, at_once = sizes[9];
    const int64_t n_outputs = sizes[10], of_images = sizes[1] * sizes[2] * IMAGES;
    const auto images_of = [=](int64_t part) { return std::min(IMAGES, n_images - part * IMAGES); };
    std::vector<Ready> readied;
    for (int64_t i = 0; i < length; ++i) readied.push_back(ready(program[i], numbers, networks, count));
    std::vector<float> moments(at_once * parts * features * 2);
    if (turned) {
#pragma omp parallel for num_threads(threads)
        for (int64_t part = 0; part < parts; ++part) read(images, part * IMAGES, sizes, turned + part * of_images);
    }
    for (int64_t begin = 0; begin < networks; begin += at_once) {
        const int64_t group = std::min(at_once, networks - begin);
        int64_t feature = 0;
        for (int64_t start = 0, end; start < length; start = end) {
            int64_t measured = start;
            while (measured < length && program[measured].kind != MEASURE) ++measured;
            if (measured == length && n_outputs == 0) break;
            for (end = measured; end < length && program[end].kind == MEASURE;) ++end;
            const bool reads = std::any_of(program + start, program + end, [](const Instruction& one) {
                return one.from == 0 || (one.kind == ADD && one.other == 0);
            });
#pragma omp parallel num_threads(threads)
            {
                std::vector<float> room(sizes[5] * IMAGES);
#pragma omp for
                for (int64_t part = 0; part < parts; ++part) {
                    float* given = turned ? turned + part * of_images : room.data();
                    if (reads && !turned) read(images, part * IMAGES, sizes, given);
                    for (int64_t g = 0; g < group; ++g) {
                        float* own = kept + (g * parts + part) * of_part;
                        const Network network{begin + g, numbers + (begin + g) * count, given, room.data(), own};
                        for (int64_t i = start; i < measured; ++i) network.run(program[i], readied[i]);
                        float* found = moments.data() + ((g * parts + part) * features + feature) * 2;
                        for (int64_t i = measured; i < end; ++i) {
                            const Shape& s = program[i].shape;
                            measure(network.at(program[i].from), s.height * s.width, s.in, images_of(part), found);
                            found += 2 * s.in;
                        }
                        if (measured == length)
                            network.give(program[length - 1], images_of(part), n_outputs,
                                         outputs + ((begin + g) * n_images + part * IMAGES) * n_outputs);
                    }
                }
                streamed();
            }
#pragma omp parallel for num_threads(threads)
            for (int64_t g = 0; g < group; ++g) {
                int64_t at = feature;
                for (int64_t i = measured; i < end; ++i)
                    for (int64_t c = 0; c < program[i].shape.in; ++c, ++at) {
                        const float* found = moments.data() + (g * parts * features + at) * 2;
                        const int64_t to = (begin + g) * features + at;
                        const int64_t pixels = program[i].shape.height * program[i].shape.width;
                        combine(found, features * 2, n_images, pixels, means[to], variances[to]);
                        float* scale = numbers + (begin + g) * count + program[i].numbers + c;
                        float* shift = scale + program[i].shape.in;
                        *scale /= std::sqrt(variances[to] + eps);
                        *shift -= means[to] * *scale;
                    }
            }
            for (int64_t i = measured; i < end; ++i) feature += program[i].shape.in;
        }
    }
}
}
