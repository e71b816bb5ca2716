// The kernels as operators `gengap::*` of PyTorch: their schemas.
//
// This is the only unit that includes PyTorch's headers, which take longer to compile than all kernels.
#include <torch/library.h>

#include <vector>
#include "evaluation_operators.h"
#include "layer_operators.h"
#include "sparse_operators.h"
#include "training_operators.h"

namespace gengap {

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
    library.def("sparse_forward(Tensor images, Tensor weights, Tensor biases, Tensor columns, Tensor starts,"
                " int[] widths) -> Tensor", strides);
    library.def("sparse_backward(Tensor output_gradients, Tensor images, Tensor maps, Tensor weights, Tensor biases,"
                " Tensor columns, Tensor starts, int[] widths) -> (Tensor, Tensor)", strides);
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
    library.impl("sparse_forward", sparse_forward_op);
    library.impl("sparse_backward", sparse_backward_op);
    library.impl("evaluate", evaluate_op);
    library.impl("exact_statistics", exact_statistics_op);
    library.impl("patch_moments", patch_moments_op);
}

}  // namespace gengap
