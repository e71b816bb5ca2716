// The kernels as operators `gengap::*` of PyTorch: schemas, checks of every argument, and memory for the results.
//
// The operators of training take a pack's tensors, [K, ...], or those of one network, without K: `vmap` adds it, and
// views in between would make Inductor copy maps. This is the only file that includes PyTorch's headers, which take
// longer to compile than all kernels.
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <torch/library.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>
#include "kept_memory.h"
#include "kernels.h"

namespace at {
int get_num_threads();  // ATen/Parallel.h would include OpenMP's headers
}

namespace gengap {
namespace {

using at::IntArrayRef;
using at::Tensor;
using Sizes = std::vector<int64_t>;

// Batches are multiples of this: the lanes of the widest vectors.
constexpr int64_t SAMPLES = 16;
constexpr int64_t INSTRUCTION = sizeof(Instruction) / sizeof(int64_t);

void check(const Tensor& tensor, const char* name, at::ScalarType type) {
    TORCH_CHECK(tensor.device().is_cpu(), name, " must be on the CPU, but is on ", tensor.device());
    TORCH_CHECK(tensor.scalar_type() == type, name, " must be ", type, ", but is ", tensor.scalar_type());
    TORCH_CHECK(tensor.layout() == at::kStrided, name, " must be dense");
}

void check(const Tensor& tensor, const char* name, at::ScalarType type, IntArrayRef sizes) {
    check(tensor, name, type);
    TORCH_CHECK(tensor.sizes() == sizes, name, " must have shape ", sizes, ", but has ", tensor.sizes());
}

const float* data(const Tensor& tensor) { return tensor.const_data_ptr<float>(); }
float* results(const Tensor& tensor) { return tensor.mutable_data_ptr<float>(); }

// Maps [K, H, W, C, B], or [H, W, C, B] of one network.
struct Maps {
    int64_t networks, height, width, channels, samples;
    bool pack;
    Maps(const Tensor& maps, const char* name) {
        check(maps, name, at::kFloat);
        TORCH_CHECK(maps.dim() == 4 || maps.dim() == 5, name,
                    " must be [K, H, W, C, B] or [H, W, C, B], but has shape ", maps.sizes());
        TORCH_CHECK(maps.size(-1) % SAMPLES == 0, name, " must have a multiple of ", SAMPLES, " samples, but has ",
                    maps.size(-1));
        TORCH_CHECK(maps.numel() > 0, name, " must not be empty, but has shape ", maps.sizes());
        pack = maps.dim() == 5;
        networks = pack ? maps.size(0) : 1;
        height = maps.size(-4), width = maps.size(-3), channels = maps.size(-2), samples = maps.size(-1);
    }
    // With K in front, if the maps have it.
    Sizes of_each(Sizes sizes) const {
        if (pack) sizes.insert(sizes.begin(), networks);
        return sizes;
    }
};

void check_movement(int64_t stride, int64_t padding, int64_t dilation) {
    TORCH_CHECK(stride >= 1 && padding >= 0 && dilation >= 1,
                "stride and dilation must be at least 1 and padding at least 0, but are ", stride, ", ", dilation,
                " and ", padding);
}

Geometry geometry_of(const Maps& x, const Tensor& weight, int64_t stride, int64_t padding, int64_t dilation) {
    check_movement(stride, padding, dilation);
    check(weight, "weight", at::kFloat);
    TORCH_CHECK(weight.dim() == (x.pack ? 5 : 4), "weight must be [K, D, C, h, w], without K like x, but has shape ",
                weight.sizes());
    const Geometry g{x.height,        x.width, x.channels, weight.size(-4), weight.size(-2), weight.size(-1), stride,
                     padding, dilation};
    check(weight, "weight", at::kFloat, x.of_each({g.out, g.in, g.kernel_height, g.kernel_width}));
    TORCH_CHECK(weight.numel() > 0 && g.height + 2 * padding > dilation * (g.kernel_height - 1) &&
                    g.width + 2 * padding > dilation * (g.kernel_width - 1),
                "a kernel of ", g.kernel_height, " x ", g.kernel_width, " does not fit on the padded map");
    return g;
}

// Nothing is read of `after`: a compiler that reorders operators must have computed it first.
Tensor gather_op(const Tensor& index, const Tensor& images, const std::optional<Tensor>& /*after*/) {
    check(index, "index", at::kLong);
    check(images, "images", at::kFloat);
    TORCH_CHECK(images.dim() == 4, "images must be [M, C, H, W], but has shape ", images.sizes());
    TORCH_CHECK(index.dim() == 2 && index.size(1) % SAMPLES == 0, "index must be [K, B], B a multiple of ", SAMPLES,
                ", but has shape ", index.sizes());
    const Tensor own_index = index.contiguous(), own_images = images.contiguous();
    const int64_t* rows = own_index.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < index.numel(); ++i)
        TORCH_CHECK_INDEX(rows[i] >= 0 && rows[i] < images.size(0), "index ", rows[i], " is out of range for ",
                          images.size(0), " images");
    const Tensor batches =
        images.new_empty({index.size(0), images.size(2), images.size(3), images.size(1), index.size(1)});
    gather(data(own_images), rows, results(batches), index.size(0), index.size(1), images.size(1),
           images.size(2) * images.size(3), at::get_num_threads());
    return batches;
}

Tensor conv2d_op(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias, int64_t stride,
                 int64_t padding, int64_t dilation) {
    const Maps maps(x, "x");
    const Geometry g = geometry_of(maps, weight, stride, padding, dilation);
    if (bias) check(*bias, "bias", at::kFloat, maps.of_each({g.out}));
    const Tensor own_x = x.contiguous(), own_weight = weight.contiguous();
    const Tensor own_bias = bias ? bias->contiguous() : Tensor();
    const Tensor y = x.new_empty(maps.of_each({g.out_height(), g.out_width(), g.out, maps.samples}));
    conv2d(data(own_x), data(own_weight), bias ? data(own_bias) : nullptr, results(y), g, maps.networks, maps.samples,
           at::get_num_threads());
    return y;
}

Tensor conv2d_backward_input_op(const Tensor& y_gradient, const Tensor& x, const Tensor& weight, int64_t stride,
                                int64_t padding, int64_t dilation) {
    const Maps maps(x, "x");
    const Geometry g = geometry_of(maps, weight, stride, padding, dilation);
    check(y_gradient, "y_gradient", at::kFloat, maps.of_each({g.out_height(), g.out_width(), g.out, maps.samples}));
    const Tensor own_gradient = y_gradient.contiguous(), own_weight = weight.contiguous();
    const Tensor x_gradient = x.new_empty(x.sizes());
    conv2d_backward_input(data(own_gradient), data(own_weight), results(x_gradient), g, maps.networks, maps.samples,
                          at::get_num_threads());
    return x_gradient;
}

std::tuple<Tensor, Tensor> conv2d_backward_weight_op(const Tensor& y_gradient, const Tensor& x, const Tensor& weight,
                                                     int64_t stride, int64_t padding, int64_t dilation) {
    const Maps maps(x, "x");
    const Geometry g = geometry_of(maps, weight, stride, padding, dilation);
    check(y_gradient, "y_gradient", at::kFloat, maps.of_each({g.out_height(), g.out_width(), g.out, maps.samples}));
    const Tensor own_gradient = y_gradient.contiguous(), own_x = x.contiguous();
    const Tensor weight_gradient = weight.new_empty(weight.sizes());
    const Tensor bias_gradient = weight.new_empty(maps.of_each({g.out}));
    conv2d_backward_weight(data(own_gradient), data(own_x), results(weight_gradient), results(bias_gradient), g,
                           maps.networks, maps.samples, at::get_num_threads());
    return {weight_gradient, bias_gradient};
}

std::tuple<Tensor, Tensor, Tensor> batch_norm_op(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                                 double eps) {
    const Maps maps(x, "x");
    const Sizes features = maps.of_each({maps.channels});
    check(weight, "weight", at::kFloat, features);
    check(bias, "bias", at::kFloat, features);
    const Tensor own_x = x.contiguous(), own_weight = weight.contiguous(), own_bias = bias.contiguous();
    const Tensor y = x.new_empty(x.sizes()), mean = x.new_empty(features), variance = x.new_empty(features);
    batch_norm(data(own_x), data(own_weight), data(own_bias), results(y), results(mean), results(variance), float(eps),
               maps.networks, maps.height * maps.width, maps.channels, maps.samples, at::get_num_threads());
    return {y, mean, variance};
}

std::tuple<Tensor, Tensor, Tensor> batch_norm_backward_op(const Tensor& y_gradient, const Tensor& x,
                                                          const Tensor& weight, const Tensor& mean,
                                                          const Tensor& variance, double eps) {
    const Maps maps(x, "x");
    const Sizes features = maps.of_each({maps.channels});
    check(y_gradient, "y_gradient", at::kFloat, x.sizes());
    check(weight, "weight", at::kFloat, features);
    check(mean, "mean", at::kFloat, features);
    check(variance, "variance", at::kFloat, features);
    const Tensor own_gradient = y_gradient.contiguous(), own_x = x.contiguous(), own_weight = weight.contiguous();
    const Tensor own_mean = mean.contiguous(), own_variance = variance.contiguous();
    const Tensor x_gradient = x.new_empty(x.sizes()), weight_gradient = x.new_empty(features);
    const Tensor bias_gradient = x.new_empty(features);
    batch_norm_backward(data(own_gradient), data(own_x), data(own_weight), data(own_mean), data(own_variance),
                        results(x_gradient), results(weight_gradient), results(bias_gradient), float(eps),
                        maps.networks, maps.height * maps.width, maps.channels, maps.samples, at::get_num_threads());
    return {x_gradient, weight_gradient, bias_gradient};
}

void check_instruction(const TrainingRun& run, int64_t index) {
    const TrainingInstruction& step = run.program[index];
    const Geometry g = step.geometry();
    TORCH_CHECK(step.kind >= TRAIN_CONVOLVE && step.kind <= TRAIN_AVERAGE_POOL, "instruction ", index, ": unknown kind ",
                step.kind);
    check_movement(g.stride, g.padding, g.dilation);
    TORCH_CHECK(g.height >= 1 && g.width >= 1 && g.in >= 1 && g.out >= 1 && g.taps() >= 1 && g.out_height() >= 1 &&
                    g.out_width() >= 1,
                "instruction ", index, ": an empty map or kernel");
    const int64_t read = g.in_pixels() * g.in, written = g.out_pixels() * g.out;
    TORCH_CHECK(!step.is_pool() || (g.padding == 0 && g.in == g.out), "instruction ", index,
                ": pools have no padding and keep their channels");
    const bool resizes = step.kind == TRAIN_CONVOLVE || step.is_pool();
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
    TORCH_CHECK(step.kind == TRAIN_ADD || step.is_pool() ||
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

void check_instruction(const Run& run, int64_t index) {
    const Instruction& step = run.program[index];
    const Geometry& g = step.geometry;
    TORCH_CHECK(step.kind >= CONVOLVE && step.kind <= MEASURE, "instruction ", index, ": unknown kind ", step.kind);
    check_movement(g.stride, g.padding, g.dilation);
    TORCH_CHECK(g.height >= 1 && g.width >= 1 && g.in >= 1 && g.out >= 1 && g.taps() >= 1 && g.out_height() >= 1 &&
                    g.out_width() >= 1,
                "instruction ", index, ": an empty map or kernel");
    TORCH_CHECK(!step.is_pool() || g.padding == 0, "instruction ", index, ": pools have no padding");
    const int64_t read = g.in_pixels() * g.in, written = g.out_pixels() * g.out;
    const auto lies = [&](int64_t offset, int64_t size) {
        if (offset < 0) return -1 - offset + size <= run.kept_size;
        return offset + size <= (offset == 0 ? run.channels * run.pixels : run.buffer_size);
    };
    TORCH_CHECK(lies(step.in, read) && (step.kind != ADD || lies(step.other, read)), "instruction ", index,
                ": reads past the end of its maps");
    TORCH_CHECK(step.kind == MEASURE || (step.out != 0 && lies(step.out, written)), "instruction ", index,
                ": writes past the end of its maps");
    const int64_t own = step.kind == CONVOLVE                          ? (g.in * g.taps() + 1) * g.out
                        : step.kind == SCALE || step.kind == MEASURE ? 2 * g.in
                                                                     : 0;
    TORCH_CHECK(step.weights >= 0 && step.weights + own <= run.n_weights, "instruction ", index,
                ": reads past the end of its weights");
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
        TORCH_CHECK(last.kind < KEEP && last.geometry.out_pixels() * last.geometry.out == n_outputs,
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

TORCH_LIBRARY(gengap, library) {
    // Inductor then writes maps as the kernels read them, and nothing has to be copied.
    const std::vector<at::Tag> strides{at::Tag::STRIDES_TAG};
    library.def("gather(Tensor index, Tensor images, Tensor? after=None) -> Tensor", strides);
    library.def("conv2d(Tensor x, Tensor weight, Tensor? bias, int stride, int padding, int dilation) -> Tensor",
                strides);
    library.def("conv2d_backward_input(Tensor y_gradient, Tensor x, Tensor weight,"
                " int stride, int padding, int dilation) -> Tensor", strides);
    library.def("conv2d_backward_weight(Tensor y_gradient, Tensor x, Tensor weight,"
                " int stride, int padding, int dilation) -> (Tensor, Tensor)", strides);
    library.def("batch_norm(Tensor x, Tensor weight, Tensor bias, float eps) -> (Tensor, Tensor, Tensor)", strides);
    library.def("batch_norm_backward(Tensor y_gradient, Tensor x, Tensor weight, Tensor mean, Tensor variance,"
                " float eps) -> (Tensor, Tensor, Tensor)", strides);
    library.def("train_forward(Tensor batches, Tensor weights, str program, int size, int n_features, float eps)"
                " -> (Tensor, Tensor)", strides);
    library.def("train_backward(Tensor output_gradients, Tensor batches, Tensor maps, Tensor statistics,"
                " Tensor weights, str program, float eps) -> Tensor", strides);
    library.def("evaluate(Tensor images, Tensor weights, int[] program, int buffer_size, int n_outputs) -> Tensor");
    library.def("exact_statistics(Tensor images, Tensor weights, Tensor(a!) scratch, int[] program, int buffer_size,"
                " int kept_size, int n_outputs, int n_features, float eps) -> (Tensor, Tensor, Tensor)");
    library.def("patch_moments(Tensor images, int kernel_height, int kernel_width,"
                " int stride, int padding, int dilation) -> Tensor");
}

TORCH_LIBRARY_IMPL(gengap, CPU, library) {
    library.impl("gather", gather_op);
    library.impl("conv2d", conv2d_op);
    library.impl("conv2d_backward_input", conv2d_backward_input_op);
    library.impl("conv2d_backward_weight", conv2d_backward_weight_op);
    library.impl("batch_norm", batch_norm_op);
    library.impl("batch_norm_backward", batch_norm_backward_op);
    library.impl("train_forward", train_forward_op);
    library.impl("train_backward", train_backward_op);
    library.impl("evaluate", evaluate_op);
    library.impl("exact_statistics", exact_statistics_op);
    library.impl("patch_moments", patch_moments_op);
}

}  // namespace gengap
