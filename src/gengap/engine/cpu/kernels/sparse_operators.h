// Perceptrons with pruned weights as operators: checks of every argument, and memory for the results.
#pragma once
#include <numeric>
#include <tuple>
#include "arguments.h"

namespace gengap {
namespace {

// The arguments of one call, checked, and contiguous copies of those that are not.
struct SparseArguments {
    Tensor images, weights, biases, columns, starts;
    SparseRun run;

    SparseArguments(const Tensor& images, const Tensor& weights, const Tensor& biases, const Tensor& columns,
                    const Tensor& starts, IntArrayRef widths, bool trains)
        : images(images.contiguous()), weights(weights.contiguous()), biases(biases.contiguous()),
          columns(columns.contiguous()), starts(starts.contiguous()) {
        TORCH_CHECK(widths.size() >= 2 && *std::min_element(widths.begin(), widths.end()) >= 1,
                    "widths must be those of the image and of at least one layer, but are ", widths);
        check(weights, "weights", at::kFloat);
        TORCH_CHECK(weights.dim() == 2 && weights.size(0) >= 1, "weights must be [K, n_weights], but has shape ",
                    weights.sizes());
        const int64_t networks = weights.size(0), n_weights = weights.size(1);
        const int64_t maps = std::accumulate(widths.begin() + 1, widths.end(), int64_t(0));
        check(images, "images", at::kFloat);
        TORCH_CHECK(images.dim() == 4 && images.size(2) == widths[0] && images.size(3) % SAMPLES == 0 &&
                        images.numel() > 0 && (images.size(0) == networks || (images.size(0) == 1 && !trains)),
                    "images must be [K, blocks, ", widths[0], ", a multiple of ", SAMPLES, "], but has shape ",
                    images.sizes());
        check(biases, "biases", at::kFloat, {networks, maps});
        check(columns, "columns", at::kInt, {networks, n_weights});
        check(starts, "starts", at::kInt, {networks, maps + 1});
        run = {widths.data(), int64_t(widths.size()) - 1, networks, images.size(1), images.size(3), maps, n_weights,
               data(this->weights), this->columns.const_data_ptr<int32_t>(), this->starts.const_data_ptr<int32_t>(),
               images.size(0) < networks};
        for (int64_t k = 0; k < networks; ++k) check_rows(k);
    }

    // The gradients of the outputs or the maps: so many rows of every block.
    void check_maps(const Tensor& tensor, const char* name, int64_t rows) const {
        check(tensor, name, at::kFloat, {run.networks, run.blocks, rows, run.samples});
    }

private:
    void check_rows(int64_t network) const {
        const int32_t* start = run.starts + network * (run.maps + 1);
        const int32_t* column = run.columns + network * run.n_weights;
        TORCH_CHECK(*start == 0, "starts must begin with 0, but begins with ", *start);
        for (int64_t layer = 0; layer < run.layers; ++layer) {
            const int32_t* end = start + run.widths[layer + 1];
            for (; start < end; ++start)
                TORCH_CHECK(start[0] <= start[1] && start[1] <= run.n_weights, "starts must rise to at most ",
                            run.n_weights, ", but goes from ", start[0], " to ", start[1]);
            const int32_t first = start[-run.widths[layer + 1]];
            TORCH_CHECK(sparse_columns_are_below(run.widths[layer], column + first, *start - first),
                        "columns of layer ", layer, " must be from 0 to below ", run.widths[layer]);
        }
    }
};

Tensor sparse_forward_op(const Tensor& images, const Tensor& weights, const Tensor& biases, const Tensor& columns,
                         const Tensor& starts, IntArrayRef widths) {
    const SparseArguments own(images, weights, biases, columns, starts, widths, false);
    const SparseRun& run = own.run;
    const Tensor maps = images.new_empty({run.networks, run.blocks, run.maps, run.samples});
    sparse_forward(run, data(own.images), data(own.biases), results(maps), at::get_num_threads());
    return maps;
}

std::tuple<Tensor, Tensor> sparse_backward_op(const Tensor& output_gradients, const Tensor& images, const Tensor& maps,
                                              const Tensor& weights, const Tensor& biases, const Tensor& columns,
                                              const Tensor& starts, IntArrayRef widths) {
    const SparseArguments own(images, weights, biases, columns, starts, widths, true);
    own.check_maps(output_gradients, "output_gradients", widths.back());
    own.check_maps(maps, "maps", own.run.maps);
    const Tensor own_gradients = output_gradients.contiguous(), own_maps = maps.contiguous();
    const Tensor weight_gradients = weights.new_empty(weights.sizes()), bias_gradients = biases.new_empty(biases.sizes());
    sparse_backward(own.run, data(own_gradients), data(own.images), data(own_maps), results(weight_gradients),
                    results(bias_gradients), at::get_num_threads());
    return {weight_gradients, bias_gradients};
}

}  // namespace
}  // namespace gengap
