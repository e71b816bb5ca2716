// Trained networks on many images: some images at a time go through a whole network, so that its maps stay in the cache.
#include "maps.h"

// As many as the registers of one product hold.
constexpr int64_t IMAGES = VECTORS * LANES;

enum Kind : int64_t { CONVOLVE, ADD, MAXIMUM, SCALE, COPY, MEASURE };

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

// One network, and where its maps of the images at hand lie.
struct Network {
    int64_t k;
    const float* numbers;
    float* room;
    float* kept;
    float* at(int64_t place) const { return place < 0 ? kept + (-1 - place) * IMAGES : room + place * IMAGES; }

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
        }
    }

    // What the last instruction made of these images, image by image.
    void give(const Instruction& last, int64_t images, int64_t n_outputs, float* outputs) const {
        const float* made = at(last.to);
        for (int64_t b = 0; b < images; ++b)
            for (int64_t d = 0; d < n_outputs; ++d) outputs[b * n_outputs + d] = made[d * IMAGES + b];
    }
};

// Images from the first on, [C, pixels] each, to the beginning of the room; beyond the last one, that one again.
static void read(const float* images, int64_t first, const int64_t* sizes, float* room) {
    const int64_t n_images = sizes[0], channels = sizes[1], pixels = sizes[2];
    const float* rows[IMAGES];
    for (int64_t b = 0; b < IMAGES; ++b) rows[b] = images + std::min(first + b, n_images - 1) * channels * pixels;
    for (int64_t p = 0; p < pixels; ++p)
        for (int64_t c = 0; c < channels; ++c, room += IMAGES)
            for (int64_t b = 0; b < IMAGES; ++b) room[b] = rows[b][c * pixels + p];
}

typedef double Doubles __attribute__((vector_size(LANES * sizeof(double)), aligned(8), may_alias));

static double dot(const double* one, const double* other, int64_t count) {
    Doubles sums[VECTORS] = {};
    for (int64_t i = 0; i < count; i += IMAGES)
        for (int64_t n = 0; n < VECTORS; ++n)
            sums[n] += *(const Doubles*)(one + i + n * LANES) * *(const Doubles*)(other + i + n * LANES);
    double total = 0;
    for (const Doubles& sum : sums)
        for (int lane = 0; lane < LANES; ++lane) total += sum[lane];
    return total;
}

extern "C" {

// images [M, C, pixels] -> totals [T + 1, T + 1], over all images and all places of a kernel of T numbers: of the products
// of any two numbers that it reads there, channel by channel, and in the last row of each of them alone; sizes M, C, pixels
void gengap_patches(const float* images, double* totals, const Shape* shape, const int64_t* sizes, int64_t threads) {
    const int64_t n_images = sizes[0], channels = sizes[1], pixels = sizes[2], parts = (n_images + IMAGES - 1) / IMAGES;
    const int64_t taps = shape->taps(), places = shape->out_height() * shape->out_width(), rows = channels * taps + 1;
    constexpr int64_t AT_ONCE = 8, COLUMNS = AT_ONCE * IMAGES;
    std::vector<int64_t> sources(places * taps, -1);
    each_pair(*shape, [&](int64_t source, int64_t made, int64_t tap) { sources[made * taps + tap] = source; });
    std::vector<double> found(parts * rows * rows);
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> room(pixels * channels * IMAGES);
        std::vector<double> panel(rows * COLUMNS);
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
                for (int64_t row = 0; row < rows; ++row)
                    for (int64_t column = 0; column <= row; ++column)
                        found[(part * rows + row) * rows + column] +=
                            dot(panel.data() + row * COLUMNS, panel.data() + column * COLUMNS, COLUMNS);
            }
        }
    }
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column <= row; ++column) {
            double total = 0;
            for (int64_t part = 0; part < parts; ++part) total += found[(part * rows + row) * rows + column];
            totals[row * rows + column] = totals[column * rows + row] = total;
        }
}

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
                const Network network{k, numbers + k * count, room.data(), nullptr};
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
// networks at a time, D. Kept is room for that, [networks at a time, M up to whole blocks, numbers kept].
//
// Instructions come in passes over all images, each of which ends with measurements. What lies behind the last of them is
// a pass that makes the outputs [K, M, D], with the statistics just found; where D is 0, it is left out.
void gengap_statistics(const float* images, float* numbers, float* means, float* variances, float* outputs, float* kept,
                       float eps, const Instruction* program, const int64_t* sizes, int64_t threads) {
    const int64_t n_images = sizes[0], networks = sizes[3], count = sizes[4], length = sizes[6], features = sizes[7];
    const int64_t parts = (n_images + IMAGES - 1) / IMAGES, of_part = sizes[8] * IMAGES, at_once = sizes[9];
    const int64_t n_outputs = sizes[10];
    const auto images_of = [=](int64_t part) { return std::min(IMAGES, n_images - part * IMAGES); };
    std::vector<Ready> readied;
    for (int64_t i = 0; i < length; ++i) readied.push_back(ready(program[i], numbers, networks, count));
    std::vector<float> moments(at_once * parts * features * 2);
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
                    if (reads) read(images, part * IMAGES, sizes, room.data());
                    for (int64_t g = 0; g < group; ++g) {
                        float* own = kept + (g * parts + part) * of_part;
                        const Network network{begin + g, numbers + (begin + g) * count, room.data(), own};
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
            }
            for (int64_t i = measured; i < end; ++i) {
                const Shape& s = program[i].shape;
                for (int64_t c = 0; c < s.in; ++c, ++feature)
                    for (int64_t g = 0; g < group; ++g) {
                        // Chan, Golub and LeVeque (1983), equation 1.5
                        double seen = 0, mean = 0, squares = 0;
                        for (int64_t part = 0; part < parts; ++part) {
                            const float* found = moments.data() + ((g * parts + part) * features + feature) * 2;
                            const double more = double(images_of(part) * s.height * s.width);
                            const double apart = found[0] - mean, total = seen + more;
                            squares += found[1] + apart * apart * (seen * more / total);
                            mean += apart * (more / total);
                            seen = total;
                        }
                        const int64_t at = (begin + g) * features + feature;
                        float* scale = numbers + (begin + g) * count + program[i].numbers;
                        means[at] = float(mean);
                        variances[at] = float(squares / seen);
                        scale[c] /= std::sqrt(variances[at] + eps);
                        scale[s.in + c] -= means[at] * scale[c];
                    }
            }
        }
    }
}
}
