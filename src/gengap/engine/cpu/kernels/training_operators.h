// A pack's forward and backward pass by a program, each an operator.
#pragma once
#include <ATen/ops/from_blob.h>

#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>
#include "arguments.h"
#include "kept_memory.h"

namespace gengap {
namespace {

void check_instruction(const TrainingRun& run, int64_t index) {
    const TrainingInstruction& step = run.program[index];
    const Geometry g = step.geometry();
    TORCH_CHECK(step.kind >= TRAIN_CONVOLVE && step.kind <= TRAIN_PAD, "instruction ", index, ": unknown kind ", step.kind);
    check_movement(g.stride, g.padding, g.dilation);
    TORCH_CHECK(g.height >= 1 && g.width >= 1 && g.in >= 1 && g.out >= 1 && g.taps() >= 1 && g.out_height() >= 1 &&
                    g.out_width() >= 1,
                "instruction ", index, ": an empty map or kernel");
    const int64_t read = g.in_pixels() * g.in, written = g.out_pixels() * g.out;
    TORCH_CHECK(!step.is_pool() || (g.padding == 0 && g.in == g.out), "instruction ", index,
                ": pools have no padding and keep their channels");
    TORCH_CHECK(step.kind != TRAIN_PAD || (g.taps() == 1 && g.in_pixels() == g.out_pixels() && g.in <= g.out),
                "instruction ", index, ": only channels are padded");
    const bool resizes = step.kind == TRAIN_CONVOLVE || step.kind == TRAIN_PAD || step.is_pool();
    TORCH_CHECK(step.size == written && (resizes || read == written), "instruction ", index,
                ": writes a map of another size than it says");
    const auto lies = [&](int64_t offset) {
        return offset == 0 ? read <= run.image : offset >= run.image && offset + read <= run.size;
    };
    TORCH_CHECK(lies(step.read) && (step.kind != TRAIN_ADD || lies(step.other)), "instruction ", index,
                ": reads past the end of its maps");
    TORCH_CHECK(step.written >= run.image && step.written + written <= run.size, "instruction ", index,
                ": writes past the end of its maps");
    const auto owns = [&](int64_t offset, int64_t count) { return offset >= 0 && offset + count <= run.n_weights; };
    const bool scales = step.kind == TRAIN_SCALE, has_bias = scales || step.bias >= 0;
    const int64_t n_weights = scales ? g.in : g.in * g.out * g.taps();
    TORCH_CHECK(step.kind == TRAIN_ADD || step.kind == TRAIN_PAD || step.is_pool() ||
                    (owns(step.weight, n_weights) && (!has_bias || owns(step.bias, g.out))),
                "instruction ", index, ": reads past the end of its weights");
    TORCH_CHECK(!scales || (step.norm >= 0 && step.norm + g.in <= run.n_features), "instruction ", index,
                ": measures past the last feature");
}

// The numbers of a program. It comes as text, which PyTorch hands over at once, and is read once per process: hundreds of
// integers would take longer in every call than a small layer.
const std::vector<int64_t>& numbers_of(c10::string_view text) {
    static std::mutex mutex;
    static std::map<std::string, std::vector<int64_t>, std::less<>> known;
    const std::lock_guard<std::mutex> guard(mutex);
    const auto found = known.find(std::string_view(text.data(), text.size()));
    if (found != known.end()) return found->second;
    std::istringstream read{std::string(text)};
    std::vector<int64_t> numbers;
    for (int64_t number; read >> number;) numbers.push_back(number);
    TORCH_CHECK(read.eof(), "program must be whole numbers with spaces between them");
    return known.emplace(text, std::move(numbers)).first->second;
}

// Checks batches [K, H, W, C, B], weights and program.
TrainingRun checked_run(const Tensor& batches, const Tensor& weights, c10::string_view text, int64_t size,
                        int64_t n_features) {
    constexpr int64_t fields = sizeof(TrainingInstruction) / sizeof(int64_t);
    const std::vector<int64_t>& program = numbers_of(text);
    const Maps maps(batches, "batches");
    TORCH_CHECK(maps.pack, "batches must be [K, H, W, C, B], but has shape ", batches.sizes());
    check(weights, "weights", at::kFloat);
    TORCH_CHECK(weights.dim() == 2 && weights.size(0) == maps.networks,
                "weights must be [K, numbers of a network], but has shape ", weights.sizes());
    const int64_t length = int64_t(program.size()) / fields, image = maps.height * maps.width * maps.channels;
    TORCH_CHECK(length > 0 && int64_t(program.size()) == length * fields, "program must be instructions of ", fields,
                " numbers, but has ", program.size());
    TORCH_CHECK(n_features >= 0 && size >= image, "sizes must not be negative, and maps must hold an image");
    const TrainingRun run{reinterpret_cast<const TrainingInstruction*>(program.data()), length, maps.networks,
                          maps.samples, image, size, weights.size(1), n_features};
    for (int64_t i = 0; i < length; ++i) check_instruction(run, i);
    return run;
}

// A tensor with memory that goes back to `kept_memory`.
Tensor kept_empty(IntArrayRef sizes, at::TensorOptions options) {
    const Block block = kept_memory().take(c10::multiply_integers(sizes));
    return at::from_blob(block.start, sizes, [block](void*) { kept_memory().give_back(block); }, options);
}

std::tuple<Tensor, Tensor> train_forward_op(const Tensor& batches, const Tensor& weights, c10::string_view program,
                                            int64_t size, int64_t n_features, double eps) {
    const TrainingRun run = checked_run(batches, weights, program, size, n_features);
    const Tensor own_batches = batches.contiguous(), own_weights = weights.contiguous();
    const Tensor maps = kept_empty({run.networks, run.size - run.image, run.samples}, batches.options());
    const Tensor statistics = batches.new_empty({run.networks, 2, n_features});
    train_forward(run, data(own_batches), data(own_weights), results(maps), results(statistics), float(eps),
                  at::get_num_threads());
    return {maps, statistics};
}

Tensor train_backward_op(const Tensor& output_gradients, const Tensor& batches, const Tensor& maps,
                         const Tensor& statistics, const Tensor& weights, c10::string_view program, double eps) {
    TORCH_CHECK(maps.dim() == 3 && statistics.dim() == 3 && output_gradients.dim() == 3,
                "maps, statistics and gradients must be [K, numbers, B]");
    const int64_t image = batches.dim() == 5 ? batches.size(1) * batches.size(2) * batches.size(3) : 0;
    const TrainingRun run = checked_run(batches, weights, program, maps.size(1) + image, statistics.size(2));
    check(maps, "maps", at::kFloat, {run.networks, run.size - run.image, run.samples});
    check(statistics, "statistics", at::kFloat, {run.networks, 2, run.n_features});
    const int64_t n_outputs = output_gradients.size(1);
    check(output_gradients, "output_gradients", at::kFloat, {run.networks, n_outputs, run.samples});
    TORCH_CHECK(run.program[run.length - 1].size == n_outputs && run.program[run.length - 1].written == run.size - n_outputs,
                "the last instruction must compute the ", n_outputs, " outputs");
    const Tensor own_gradients = output_gradients.contiguous(), own_batches = batches.contiguous();
    const Tensor own_maps = maps.contiguous(), own_statistics = statistics.contiguous();
    const Tensor own_weights = weights.contiguous(), weight_gradients = weights.new_empty(weights.sizes());
    train_backward(run, data(own_gradients), data(own_batches), data(own_maps), data(own_statistics),
                   data(own_weights), results(weight_gradients), n_outputs, float(eps), at::get_num_threads());
    return weight_gradients;
}

}  // namespace
}  // namespace gengap
