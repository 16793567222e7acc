/* A path of three steps, one join at a time, and the gradient of its last coordinate: operators of torch, no Python. */
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <cstdio>
#include <dlfcn.h>
#include <torch/csrc/autograd/autograd.h>

int main(int argc, char **argv)
{
    if (argc != 2 || !dlopen(argv[1], RTLD_NOW)) { /* the extension defines the operators when it is loaded */
        std::fprintf(stderr, "usage: %s liblogsig_d2_n3_torch.so\n%s\n", argv[0], argc == 2 ? dlerror() : "");
        return 1;
    }
    using Join = at::Tensor(const at::Tensor &, const at::Tensor &, int64_t, int64_t, int64_t);
    const auto join =
        c10::Dispatcher::singleton().findSchemaOrThrow("logsig_codegen::join", "").typed<Join>();
    const at::Tensor steps = at::tensor({1.0, 0.0, 0.0, 1.0, -1.0, 2.0}, at::kDouble).reshape({3, 2});
    const at::Tensor leaf = steps.requires_grad_();
    at::Tensor log_sig = at::zeros({5}, at::kDouble);
    for (int64_t k = 0; k < leaf.size(0); k++) log_sig = join.call(log_sig, leaf.select(0, k), 2, 3, 1);
    const auto gradient = torch::autograd::grad({log_sig.select(0, 4)}, {leaf}).at(0).contiguous();
    for (int64_t k = 0; k < 5; k++) std::printf("%.6f ", log_sig.data_ptr<double>()[k]);
    for (int64_t k = 0; k < 6; k++) std::printf("%.6f%c", gradient.data_ptr<double>()[k], k < 5 ? ' ' : '\n');
    return 0;
}
