/* The operators of whole paths: log-signatures, streams, windows, and their gradients. */
#ifndef LOGSIG_TORCH_LOG_SIG_H
#define LOGSIG_TORCH_LOG_SIG_H

#include "logsig_torch_gpu_walks.h"
#include "logsig_torch_walks.h"

namespace logsig_torch {
namespace {

/* Another operator of the namespace, which Python has and this file does not. */
template <class... Rest> Tensor convert(const char *name, const Tensor &tensor, Rest... rest)
{
    const auto conversion = operator_named(name);
    TORCH_CHECK_NOT_IMPLEMENTED(conversion, "method: expected 2 or 3 (Lyndon brackets), for which there are kernels; "
                                            "others need logsig_codegen.torch_api to be imported");
    torch::jit::Stack stack{tensor, rest...};
    conversion->callBoxed(stack);
    return stack.at(0).toTensor();
}

inline Tensor log_sig(const Tensor &path, const std::optional<Tensor> &lengths, const std::optional<Tensor> &initial,
                      int64_t dimension, int64_t degree, bool stream, Windows windows, State state, int64_t method,
                      int64_t n_jobs)
{
    const Request made =
        request(path, lengths, initial, dimension, degree, stream, windows, state, method, n_jobs);
    if (!path.is_cuda()) return cpu::log_sig(made, initial);
    Tensor result = gpu::forward(made, stream ? initial_rows(made, initial) : Tensor());
    if (!stream && initial.has_value()) {
        result = RowKernels<COMBINE>::run(*initial, result, dimension, degree, n_jobs);
    }
    if (method >= 2) return result;
    return convert("change_method", result, dimension, degree, int64_t{2}, method, false);
}

inline std::tuple<Tensor, Tensor> log_sig_backprop(
    const Tensor &d_out_given, const std::optional<Tensor> &result_given, const Tensor &path,
    const std::optional<Tensor> &lengths, const std::optional<Tensor> &initial, int64_t dimension, int64_t degree,
    bool stream, Windows windows, State state, int64_t method, int64_t n_jobs)
{
    const Request made =
        request(path, lengths, initial, dimension, degree, stream, windows, state, method, n_jobs);
    check_dtype("d_out", d_out_given, path);
    if (!path.is_cuda()) return cpu::log_sig_backprop(made, d_out_given, result_given, initial);
    at::DimVector shape = made.rows;
    shape.push_back(made.problem.size);
    Tensor d_out = d_out_given, d_initial = at::empty({0}, path.options());
    std::optional<Tensor> known = result_given;
    if (method < 2) {
        d_out = convert("change_method_backprop", d_out, dimension, degree, int64_t{2}, method, false);
        known = std::nullopt;
    }
    if (initial.has_value() && !stream) {
        const Tensor along = gpu::forward(made, Tensor());
        std::tie(d_initial, d_out) =
            RowKernels<COMBINE_BACKPROP>::run(d_out, *initial, along, dimension, degree, n_jobs);
        known = along;
    }
    const auto [d_data, d_before] =
        gpu::backward(made, d_out.expand(shape).contiguous(), known.has_value() ? known->contiguous() : Tensor(),
                      stream ? initial_rows(made, initial) : Tensor());
    if (d_before.defined()) d_initial = summed_to(d_before, initial->sizes());
    return {d_data, d_initial};
}

inline Tensor log_sig_meta(const Tensor &path, const std::optional<Tensor> &,
                           const std::optional<Tensor> &initial, int64_t dimension, int64_t degree, bool stream,
                           Windows windows, State, int64_t method, int64_t)
{
    Problem &problem = problem_of(dimension, degree);
    check_dtype("path", path, path);
    TORCH_CHECK_VALUE(path.dim() >= 2 && path.sym_size(-1) == dimension, "path: expected shape (..., length, ",
                      dimension, "), got ", path.sym_sizes());
    const c10::SymInt length = path.sym_size(-2);
    at::SymDimVector shape(path.sym_sizes().begin(), path.sym_sizes().end() - 2);
    if (initial.has_value() && !stream) {
        shape = at::infer_size_symdimvector(initial->sym_sizes().slice(0, initial->dim() - 1), shape);
    }
    if (stream) shape.push_back((length - 1).max(0));
    if (windows.has_value()) shape.push_back(((length - (*windows)[0]) / (*windows)[1] + 1).max(0));
    shape.push_back(log_sig_width(problem, method));
    return at::empty_symint(shape, path.options());
}

inline std::tuple<Tensor, Tensor> log_sig_backprop_meta(
    const Tensor &d_out, const std::optional<Tensor> &, const Tensor &path, const std::optional<Tensor> &,
    const std::optional<Tensor> &initial, int64_t, int64_t, bool, Windows, State, int64_t, int64_t)
{
    check_dtype("d_out", d_out, path);
    return {at::empty_symint(path.sym_sizes(), path.options()),
            initial.has_value() ? at::empty_symint(initial->sym_sizes(), path.options())
                                : at::empty({0}, path.options())};
}

} // namespace
} // namespace logsig_torch

#endif
