// Checks of what PyTorch hands to the operators: tensors, maps, kernels and movements.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>
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

}  // namespace
}  // namespace gengap
