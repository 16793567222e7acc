/* The operators of whole paths: log-signatures, streams, windows, and their gradients. */
#ifndef LOGSIG_TORCH_LOG_SIG_H
#define LOGSIG_TORCH_LOG_SIG_H

#include "logsig_torch_gpu_walks.h"
#include "logsig_torch_walks.h"

namespace logsig_torch {
namespace {

/* Log-signatures of whole paths, (count, size). */
inline Tensor walk(const Request &made, const Paths &paths)
{
    Tensor out = at::empty({paths.count, made.problem.size}, paths.data.options());
    if (paths.count) cpu::walk(made, paths, out);
    return out;
}

/* Their gradients, into d_data, which is zero and laid out as the paths are. */
inline void walk_back(const Request &made, const Paths &paths, const Tensor &d_out, const Tensor &result,
                      const Tensor &d_data)
{
    if (paths.count) cpu::walk_back(made, paths, d_out, result, d_data);
}

/* Log-signatures of all beginnings, (count, steps, size). */
inline Tensor stream_forward(const Request &made, const Tensor &initial)
{
    Tensor out = at::empty({made.paths.count, made.steps(), made.problem.size}, made.paths.data.options());
    if (out.numel()) cpu::stream(made, initial, out);
    return out;
}

/* Their gradients, into d_data as above; returned is that with respect to what came before. */
inline Tensor stream_backward(const Request &made, const Tensor &d_out, const Tensor &stream, const Tensor &initial,
                              const Tensor &d_data)
{
    const Tensor d_initial = initial.defined() ? at::zeros_like(initial) : Tensor();
    if (made.paths.count && made.steps()) {
        cpu::stream_back(made, d_out, stream, initial, d_data, d_initial);
    }
    return d_initial;
}

/* Windows that share points are taken in turns, since each writes the gradient of all of its points. */
inline Tensor windows_backward(const Request &made, const Tensor &d_out, const std::optional<Tensor> &known)
{
    const Paths windows = windows_of(made);
    const Tensor total = at::zeros_like(made.paths.data);
    if (!windows.count) return total;
    const int64_t per_path = window_count(made.paths.length, made.window, made.step), size = made.problem.size;
    const int64_t turns = std::min((made.window + made.step - 1) / made.step, per_path);
    const Tensor result = known.has_value() ? *known : walk(made, windows);
    for (int64_t turn = 0; turn < turns; turn++) {
        const auto chosen = [&](const Tensor &all) {
            at::DimVector shape{-1, per_path};
            if (all.dim() > 1) shape.push_back(size);
            return all.reshape(shape).slice(1, turn, per_path, turns).contiguous().flatten(0, 1);
        };
        Paths some = windows;
        some.starts = chosen(windows.starts);
        some.count = some.starts.numel();
        if (windows.lengths.defined()) some.lengths = chosen(windows.lengths);
        const Tensor d_data = at::zeros_like(made.paths.data);
        walk_back(made, some, chosen(d_out), chosen(result), d_data);
        total.add_(d_data);
    }
    return total;
}

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
    at::DimVector shape = made.rows;
    shape.push_back(made.problem.size);
    Tensor result;
    if (path.is_cuda()) {
        result = gpu::forward(made, stream ? initial_rows(made, initial) : Tensor());
    } else if (stream) {
        result = stream_forward(made, initial_rows(made, initial)).reshape(shape);
    } else {
        result = walk(made, made.windowed ? windows_of(made) : made.paths).reshape(shape);
    }
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
    const int64_t size = made.problem.size;
    at::DimVector shape = made.rows;
    shape.push_back(size);
    Tensor d_out = d_out_given, d_initial = at::empty({0}, path.options());
    std::optional<Tensor> known = result_given;
    if (method < 2) {
        d_out = convert("change_method_backprop", d_out, dimension, degree, int64_t{2}, method, false);
        known = std::nullopt;
    }
    if (initial.has_value() && !stream) {
        const Tensor along = path.is_cuda() ? gpu::forward(made, Tensor()) : walk(made, made.paths).reshape(shape);
        std::tie(d_initial, d_out) =
            RowKernels<COMBINE_BACKPROP>::run(d_out, *initial, along, dimension, degree, n_jobs);
        known = along;
    }
    d_out = d_out.expand(shape).contiguous();
    Tensor d_data;
    if (path.is_cuda()) {
        const Tensor before = stream ? initial_rows(made, initial) : Tensor();
        Tensor d_before;
        std::tie(d_data, d_before) =
            gpu::backward(made, d_out, known.has_value() ? known->contiguous() : Tensor(), before);
        if (d_before.defined()) d_initial = summed_to(d_before, initial->sizes());
    } else if (stream) {
        const Tensor before = initial_rows(made, initial);
        const Tensor all = known.has_value() ? known->contiguous() : stream_forward(made, before);
        d_data = at::zeros_like(made.paths.data);
        const Tensor d_before = stream_backward(made, d_out, all, before, d_data);
        if (initial.has_value()) d_initial = summed_to(d_before, initial->sizes());
    } else if (made.windowed) {
        if (known.has_value()) known = known->contiguous().reshape({-1, size});
        d_data = windows_backward(made, d_out.reshape({-1, size}), known);
    } else {
        const Tensor result = known.has_value() ? known->contiguous() : walk(made, made.paths);
        d_data = at::zeros_like(made.paths.data);
        walk_back(made, made.paths, d_out, result, d_data);
    }
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
    int64_t width = problem.size;
    if (method == 0) {
        width = 0;
        for (int64_t k = 0, power = 1; k < degree; k++) width += power *= dimension;
    }
    shape.push_back(width);
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
