// Evaluation by a program, exact statistics of BatchNorm, and moments of patches, each an operator.
#pragma once
#include <algorithm>
#include <tuple>
#include "arguments.h"

namespace gengap {
namespace {

constexpr int64_t INSTRUCTION = sizeof(Instruction) / sizeof(int64_t);

void check_instruction(const Run& run, int64_t index) {
    const Instruction& step = run.program[index];
    const Geometry& g = step.geometry;
    TORCH_CHECK(step.kind >= CONVOLVE && step.kind <= MEASURE, "instruction ", index, ": unknown kind ", step.kind);
    check_movement(g.stride, g.padding, g.dilation);
    TORCH_CHECK(g.height >= 1 && g.width >= 1 && g.in >= 1 && g.out >= 1 && g.taps() >= 1 && g.out_height() >= 1 &&
                    g.out_width() >= 1,
                "instruction ", index, ": an empty map or kernel");
    TORCH_CHECK(!step.is_pool() || g.padding == 0, "instruction ", index, ": pools have no padding");
    const int64_t read = g.in_pixels() * g.in;
    const int64_t written = g.out_pixels() * g.out - (step.is_pool() ? g.out - g.in : 0);
    TORCH_CHECK(step.kind != PAD || (g.taps() == 1 && g.in_pixels() == g.out_pixels()), "instruction ", index,
                ": only channels are padded");
    TORCH_CHECK((step.kind != PAD && !step.is_pool()) || g.in <= g.out, "instruction ", index,
                ": reads more channels than it writes");
    const bool resizes = step.kind == CONVOLVE || step.kind == PAD || step.is_pool();
    TORCH_CHECK(resizes || step.kind == MEASURE || read == written, "instruction ", index,
                ": writes a map of another size than it reads");
    const auto lies = [&](int64_t offset, int64_t size) {
        if (offset < 0) return -1 - offset + size <= run.kept_size;
        return offset + size <= (offset == 0 ? run.channels * run.pixels : run.buffer_size);
    };
    TORCH_CHECK(lies(step.in, read) && (step.kind != ADD || lies(step.other, read)), "instruction ", index,
                ": reads past the end of its maps");
    TORCH_CHECK(step.kind == MEASURE || (step.out != 0 && lies(step.out, written)), "instruction ", index,
                ": writes past the end of its maps");
    const bool scales = step.kind == SCALE || step.kind == MEASURE;
    const int64_t weight = step.kind == CONVOLVE ? g.in * g.taps() * g.out : scales ? g.in : 0;
    const int64_t bias = step.kind == CONVOLVE ? g.out : scales ? g.in : 0;
    TORCH_CHECK(step.weights >= 0 && step.weights + weight <= run.n_weights && step.bias >= 0 &&
                    step.bias + bias <= run.n_weights,
                "instruction ", index, ": reads past the end of its weights");
}

// Checks images, weights and program; images and weights must be contiguous.
Run checked_run(const Tensor& images, const Tensor& weights, IntArrayRef program, int64_t buffer_size,
                int64_t kept_size, int64_t n_outputs) {
    check(images, "images", at::kFloat);
    check(weights, "weights", at::kFloat);
    TORCH_CHECK(images.dim() == 4 && images.numel() > 0, "images must be [M, C, H, W] and not empty, but has shape ",
                images.sizes());
    TORCH_CHECK(weights.dim() == 2, "weights must be [K, numbers of a network], but has shape ", weights.sizes());
    TORCH_CHECK(images.is_contiguous() && weights.is_contiguous(), "images and weights must be contiguous");
    const int64_t length = int64_t(program.size()) / INSTRUCTION, pixels = images.size(2) * images.size(3);
    TORCH_CHECK(int64_t(program.size()) == length * INSTRUCTION, "program must be instructions of ", INSTRUCTION,
                " numbers, but has ", program.size());
    TORCH_CHECK(kept_size >= 0 && n_outputs >= 0 && buffer_size >= images.size(1) * pixels,
                "sizes must not be negative, and the buffer must hold an image");
    const Run run{reinterpret_cast<const Instruction*>(program.data()), length, buffer_size, kept_size, n_outputs,
                  data(images), images.size(0), images.size(1), pixels, weights.size(0), weights.size(1)};
    for (int64_t i = 0; i < length; ++i) check_instruction(run, i);
    if (n_outputs > 0) {
        TORCH_CHECK(length > 0, "a program without instructions has no outputs");
        const Instruction& last = run.program[length - 1];
        const bool whole = !last.is_pool() || last.geometry.in == last.geometry.out;
        TORCH_CHECK(last.kind < KEEP && whole && last.geometry.out_pixels() * last.geometry.out == n_outputs,
                    "the last instruction must compute ", n_outputs, " outputs");
    }
    return run;
}

Tensor evaluate_op(const Tensor& images, const Tensor& weights, IntArrayRef program, int64_t buffer_size,
                   int64_t n_outputs) {
    TORCH_CHECK(n_outputs > 0, "a program for evaluation must have outputs");
    const Run run = checked_run(images, weights, program, buffer_size, 0, n_outputs);
    for (int64_t i = 0; i < run.length; ++i)
        TORCH_CHECK(run.program[i].kind < KEEP, "a program for evaluation neither keeps nor measures maps");
    const Tensor outputs = images.new_empty({run.networks, run.n_images, n_outputs});
    evaluate(run, data(weights), results(outputs), at::get_num_threads());
    return outputs;
}

std::tuple<Tensor, Tensor, Tensor> exact_statistics_op(const Tensor& images, const Tensor& weights,
                                                       const Tensor& scratch, IntArrayRef program, int64_t buffer_size,
                                                       int64_t kept_size, int64_t n_outputs, int64_t n_features,
                                                       double eps) {
    const Run run = checked_run(images, weights, program, buffer_size, kept_size, n_outputs);
    int64_t measured = 0;
    for (int64_t i = 0; i < run.length; ++i)
        if (run.program[i].kind == MEASURE) measured += run.program[i].geometry.in;
    TORCH_CHECK(measured == n_features, "the program measures ", measured, " features, not ", n_features);
    const int64_t n_images = (run.n_images + block_size() - 1) / block_size() * block_size();
    const int64_t image_numbers = run.channels * run.pixels * n_images, network_numbers = kept_size * n_images;
    check(scratch, "scratch", at::kFloat);
    TORCH_CHECK(scratch.is_contiguous() && scratch.numel() >= network_numbers, "scratch must hold ", network_numbers,
                " numbers in a row, but has shape ", scratch.sizes());
    // Where there is room, the images are laid out once, and not for every pass.
    float* kept = results(scratch);
    float* blocks = nullptr;
    int64_t room = scratch.numel();
    if (image_numbers + network_numbers <= room) {
        blocks = kept;
        kept += image_numbers;
        room -= image_numbers;
    }
    const int64_t networks_at_once =
        std::max<int64_t>(1, std::min(run.networks, room / std::max<int64_t>(1, network_numbers)));
    const Tensor own = weights.clone();
    const Tensor means = images.new_empty({run.networks, n_features});
    const Tensor variances = images.new_empty({run.networks, n_features});
    const Tensor outputs = images.new_empty({run.networks, run.n_images, n_outputs});
    exact_statistics(run, results(own), results(means), results(variances), results(outputs), kept, blocks, n_features,
                     networks_at_once, float(eps), at::get_num_threads());
    return {means, variances, outputs};
}

Tensor patch_moments_op(const Tensor& images, int64_t kernel_height, int64_t kernel_width, int64_t stride,
                        int64_t padding, int64_t dilation) {
    check(images, "images", at::kFloat);
    check_movement(stride, padding, dilation);
    TORCH_CHECK(images.dim() == 4 && images.numel() > 0, "images must be [M, C, H, W] and not empty, but has shape ",
                images.sizes());
    const Geometry g{images.size(2), images.size(3), images.size(1), 1, kernel_height, kernel_width, stride, padding,
                     dilation};
    TORCH_CHECK(kernel_height >= 1 && kernel_width >= 1 && g.out_height() >= 1 && g.out_width() >= 1, "a kernel of ",
                kernel_height, " x ", kernel_width, " does not fit on the padded images");
    const int64_t side = g.in * g.taps() + 1;
    const Tensor own_images = images.contiguous(), sums = images.new_empty({side, side}, at::kDouble);
    patch_moments(data(own_images), sums.mutable_data_ptr<double>(), g, images.size(0), at::get_num_threads());
    return sums;
}

}  // namespace
}  // namespace gengap
