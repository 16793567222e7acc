/* Whole paths: log-signatures, streams, windows, and their gradients. */
#ifndef LOGSIG_TORCH_PATHS_H
#define LOGSIG_TORCH_PATHS_H

#include "logsig_torch_rows.h"

namespace logsig_torch {
namespace {

constexpr int64_t WHOLE_STEPS = 192; /* shorter paths are never cut */

struct Products {
    Function log_sig, combine, combine_backprop;
};

/* Paths in one array, as the C functions want them. */
struct Paths {
    Tensor data, lengths, starts; /* lengths, starts: int64, or undefined */
    int64_t count = 0, length = 0, stride = 0;

    const ptrdiff_t *length_data() const
    {
        return lengths.defined() ? reinterpret_cast<const ptrdiff_t *>(lengths.const_data_ptr<int64_t>()) : nullptr;
    }
    const ptrdiff_t *start_data() const
    {
        return starts.defined() ? reinterpret_cast<const ptrdiff_t *>(starts.const_data_ptr<int64_t>()) : nullptr;
    }
};
static_assert(sizeof(ptrdiff_t) == sizeof(int64_t));

/* What is to be done with the paths, checked. */
struct Request {
    Problem &problem;
    bool stream, by_signature, windowed;
    int64_t window = 0, step = 0;
    int threads;
    Paths paths;
    at::DimVector batch, rows; /* shapes: of the paths; of the result without its last axis and what initial adds */

    Function function(Operation operation) const { return function_of(problem, operation, paths.data); }
};

inline int64_t window_count(int64_t length, int64_t size, int64_t stride)
{
    return length < size ? 0 : (length - size) / stride + 1;
}

inline Request request(const Tensor &path, const std::optional<Tensor> &lengths, const std::optional<Tensor> &initial,
                       int64_t dimension, int64_t degree, bool stream, const Windows &windows, const State &state,
                       int64_t method, int64_t n_jobs)
{
    Problem &problem = problem_of(dimension, degree);
    check_dtype("path", path, path);
    TORCH_CHECK_VALUE(path.dim() >= 2 && path.size(-1) == dimension, "path: expected shape (..., length, ", dimension,
                      "), got ", path.sizes());
    TORCH_CHECK_VALUE(method >= 0 && method <= 3, "method: expected 0, 1, 2 or 3, got ", method);
    TORCH_CHECK_VALUE(!(stream && windows.has_value()), "windows: expected None with stream=True");
    Request made{problem, stream, by_signature(problem), windows.has_value(), 0, 0, threads(n_jobs), {}, {}, {}};
    if (state.has_value()) {
        TORCH_CHECK_VALUE(*state == "signature" || *state == "log_derivative",
                          "state: expected None or one of log_derivative, signature, got ", *state);
        made.by_signature = *state == "signature";
    }
    made.batch.assign(path.sizes().begin(), path.sizes().end() - 2);
    Paths &paths = made.paths;
    paths.data = path.contiguous();
    paths.length = path.size(-2);
    paths.stride = paths.length * dimension;
    paths.count = c10::multiply_integers(made.batch);
    if (lengths.has_value()) {
        TORCH_CHECK_TYPE(c10::isIntegralType(lengths->scalar_type(), false), "lengths: expected integers, got ",
                         lengths->scalar_type());
        TORCH_CHECK_VALUE(lengths->sizes() == at::IntArrayRef(made.batch), "lengths: expected shape ",
                          at::IntArrayRef(made.batch), ", that of the batch, got ", lengths->sizes());
        paths.lengths = lengths->to(at::kLong).contiguous().reshape(-1);
        TORCH_CHECK_VALUE(!paths.count || (paths.lengths.min().item<int64_t>() >= 0 &&
                                           paths.lengths.max().item<int64_t>() <= paths.length),
                          "lengths: expected values from 0 to ", paths.length);
    }
    made.rows = made.batch;
    if (stream) made.rows.push_back(std::max<int64_t>(paths.length - 1, 0));
    if (made.windowed) {
        TORCH_CHECK_VALUE(windows->size() == 2 && (*windows)[0] >= 1 && (*windows)[1] >= 1,
                          "windows: expected a pair (size, stride) of numbers from 1 up");
        TORCH_CHECK_VALUE(!initial.has_value(), "initial: expected None with windows");
        made.window = (*windows)[0];
        made.step = (*windows)[1];
        made.rows.push_back(window_count(paths.length, made.window, made.step));
    }
    if (initial.has_value()) {
        check_dtype("initial", *initial, path);
        check_row("initial", *initial, problem.size, problem);
        const auto lead = initial->sizes().slice(0, initial->dim() - 1);
        const auto full = at::infer_size_dimvector(lead, made.batch);
        TORCH_CHECK_VALUE(!stream || full == made.batch, "initial: expected a leading shape that broadcasts to ",
                          at::IntArrayRef(made.batch), ", that of path, got ", lead);
    }
    return made;
}

/* The windows as paths: those of one path follow one another. */
inline Paths windows_of(const Request &made)
{
    const Paths &paths = made.paths;
    const int64_t per_path = window_count(paths.length, made.window, made.step);
    const Tensor first = at::arange(per_path, at::kLong) * made.step;
    Paths found;
    found.data = paths.data;
    found.length = made.window;
    found.count = paths.count * per_path;
    found.starts = ((at::arange(paths.count, at::kLong) * paths.stride).unsqueeze(1) +
                    first * made.problem.dimension).reshape(-1).contiguous();
    if (paths.lengths.defined()) {
        found.lengths = (paths.lengths.unsqueeze(1) - first).clamp(0, made.window).reshape(-1).contiguous();
        found.starts = found.starts * (found.lengths > 0);
    }
    return found;
}

/* The functions that cut long paths, where they are at hand. */
inline Products products_of(const Request &made, bool backward)
{
    const bool single = made.paths.data.scalar_type() == at::kFloat;
    Products products{nullptr, find(made.problem, COMBINE, single), nullptr};
    if (backward) {
        products.log_sig = find(made.problem, made.by_signature ? BY_SIGNATURE : LOG_SIG, single);
        products.combine_backprop = find(made.problem, COMBINE_BACKPROP, single);
    }
    return products;
}

inline void check_error(int error)
{
    TORCH_CHECK_WITH(OutOfMemoryError, !error, "no memory for a kernel's working space");
}

inline Tensor walk(const Request &made, const Paths &paths)
{
    const int64_t size = made.problem.size;
    Tensor out = at::empty({paths.count, size}, paths.data.options());
    if (!paths.count) return out;
    const Products products = paths.length > WHOLE_STEPS ? products_of(made, false) : Products{};
    using Kernel = int (*)(const void *, ptrdiff_t, ptrdiff_t, const ptrdiff_t *, const ptrdiff_t *, const Products *,
                           void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(made.by_signature ? BY_SIGNATURE : LOG_SIG));
    check_error(kernel(paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(),
                       paths.start_data(), products.combine ? &products : nullptr, out.data_ptr(), size, paths.count,
                       made.threads));
    return out;
}

inline void walk_back(const Request &made, const Paths &paths, const Tensor &d_out, const Tensor &result,
                      const Tensor &d_data)
{
    const int64_t size = made.problem.size;
    if (!paths.count) return;
    const Products products = paths.length > WHOLE_STEPS ? products_of(made, true) : Products{};
    using Kernel = int (*)(const void *, ptrdiff_t, const void *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                           const ptrdiff_t *, const ptrdiff_t *, const Products *, void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel =
        reinterpret_cast<Kernel>(made.function(made.by_signature ? BY_SIGNATURE_BACKPROP : LOG_SIG_BACKPROP));
    const bool cut = products.log_sig && products.combine && products.combine_backprop;
    check_error(kernel(d_out.const_data_ptr(), size, result.const_data_ptr(), size, paths.data.const_data_ptr(),
                       paths.stride, paths.length, paths.length_data(), paths.start_data(), cut ? &products : nullptr,
                       d_data.data_ptr(), paths.length * made.problem.dimension, paths.count, made.threads));
}

inline Tensor initial_rows(const Request &made, const std::optional<Tensor> &initial)
{
    if (!initial.has_value()) return Tensor();
    at::DimVector shape = made.batch;
    shape.push_back(made.problem.size);
    return initial->expand(shape).contiguous();
}

inline Tensor stream_forward(const Request &made, const Tensor &initial)
{
    const int64_t size = made.problem.size, steps = std::max<int64_t>(made.paths.length - 1, 0);
    Tensor out = at::empty({made.paths.count, steps, size}, made.paths.data.options());
    if (!out.numel()) return out;
    using Kernel = int (*)(const void *, ptrdiff_t, ptrdiff_t, const ptrdiff_t *, const ptrdiff_t *, const void *,
                           ptrdiff_t, void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(STREAM));
    const Paths &paths = made.paths;
    check_error(kernel(paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(), nullptr,
                       initial.defined() ? initial.const_data_ptr() : nullptr, size, out.data_ptr(), steps * size,
                       paths.count, made.threads));
    return out;
}

inline Tensor stream_backward(const Request &made, const Tensor &d_out, const Tensor &stream, const Tensor &initial,
                              const Tensor &d_data)
{
    const int64_t size = made.problem.size, steps = std::max<int64_t>(made.paths.length - 1, 0);
    Tensor d_initial = initial.defined() ? at::zeros_like(initial) : Tensor();
    if (!made.paths.count || !steps) return d_initial;
    using Kernel = int (*)(const void *, ptrdiff_t, const void *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                           const ptrdiff_t *, const ptrdiff_t *, const void *, ptrdiff_t, void *, ptrdiff_t, void *,
                           ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(STREAM_BACKPROP));
    const Paths &paths = made.paths;
    check_error(kernel(d_out.const_data_ptr(), steps * size, stream.const_data_ptr(), steps * size,
                       paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(), nullptr,
                       initial.defined() ? initial.const_data_ptr() : nullptr, size, d_data.data_ptr(), paths.stride,
                       initial.defined() ? d_initial.data_ptr() : nullptr, size, paths.count, made.threads));
    return d_initial;
}

/* Windows that share points are taken in turns, since each writes the gradient of all of its points. */
inline Tensor windows_backward(const Request &made, const Tensor &d_out, const std::optional<Tensor> &known)
{
    const Paths windows = windows_of(made);
    const int64_t per_path = window_count(made.paths.length, made.window, made.step);
    const int64_t turns = std::min((made.window + made.step - 1) / made.step, per_path);
    const Tensor result = known.has_value() ? *known : walk(made, windows);
    const Tensor turn_of = (at::arange(windows.count, at::kLong) % std::max<int64_t>(per_path, 1)) %
                           std::max<int64_t>(turns, 1);
    Tensor total = at::zeros_like(made.paths.data);
    for (int64_t turn = 0; turn < turns; turn++) {
        const Tensor chosen = (turn_of == turn).nonzero().reshape(-1);
        Paths some = windows;
        some.count = chosen.numel();
        some.starts = windows.starts.index_select(0, chosen);
        if (windows.lengths.defined()) some.lengths = windows.lengths.index_select(0, chosen);
        const Tensor d_data = at::zeros_like(made.paths.data);
        walk_back(made, some, d_out.index_select(0, chosen), result.index_select(0, chosen), d_data);
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

inline Tensor log_sig_cpu(const Tensor &path, const std::optional<Tensor> &lengths,
                          const std::optional<Tensor> &initial, int64_t dimension, int64_t degree, bool stream,
                          Windows windows, State state, int64_t method, int64_t n_jobs)
{
    const Request made =
        request(path, lengths, initial, dimension, degree, stream, windows, state, method, n_jobs);
    at::DimVector shape = made.rows;
    shape.push_back(made.problem.size);
    Tensor result;
    if (stream) {
        result = stream_forward(made, initial_rows(made, initial)).reshape(shape);
    } else {
        result = walk(made, made.windowed ? windows_of(made) : made.paths).reshape(shape);
        if (initial.has_value()) result = Two<COMBINE, 1>::cpu(*initial, result, dimension, degree, n_jobs);
    }
    if (method >= 2) return result;
    return convert("change_method", result, dimension, degree, int64_t{2}, method, false);
}

inline std::tuple<Tensor, Tensor> log_sig_backprop_cpu(
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
        const Tensor along = walk(made, made.paths).reshape(shape);
        std::tie(d_initial, d_out) =
            Three<COMBINE_BACKPROP, 2>::cpu(d_out, *initial, along, dimension, degree, n_jobs);
        known = along;
    }
    d_out = d_out.expand(shape).contiguous();
    Tensor d_data;
    if (stream) {
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

inline Tensor log_sig_meta(const Tensor &path, const std::optional<Tensor> &lengths,
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
