// Batches and layers of training, each an operator: checks of every argument, and memory for the results.
//
// They take a pack's tensors, [K, ...], or those of one network, without K: `vmap` adds it, and views in between would
// make Inductor copy maps.
#pragma once
#include <algorithm>
#include <tuple>
#include "arguments.h"

namespace gengap {
namespace {

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

}  // namespace
}  // namespace gengap
