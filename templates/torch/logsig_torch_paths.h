/* Calls on whole paths: what is asked for, checked and laid out. */
#ifndef LOGSIG_TORCH_PATHS_H
#define LOGSIG_TORCH_PATHS_H

#include "logsig_torch_rows.h"

namespace logsig_torch {
namespace {

/* Paths in one array, as kernels want them. */
struct Paths {
    Tensor data, lengths, starts; /* lengths, starts: int64, or undefined */
    int64_t count = 0, length = 0, stride = 0;

};
static_assert(sizeof(ptrdiff_t) == sizeof(int64_t));

/* The address of int64 numbers; null where there are none. */
inline const ptrdiff_t *numbers_of(const Tensor &numbers)
{
    return numbers.defined() ? reinterpret_cast<const ptrdiff_t *>(numbers.const_data_ptr<int64_t>()) : nullptr;
}

/* Numbers that are on a device are checked there, when it comes to them: nothing waits. */
inline Tensor checked_lengths(const Tensor &lengths, int64_t longest)
{
    if (!lengths.numel()) return lengths;
    const auto [least, most] = at::aminmax(lengths);
    const std::string message = c10::str("lengths: expected values from 0 to ", longest);
    if (lengths.is_cuda()) {
        at::_assert_async((least >= 0).logical_and(most <= longest), message);
    } else {
        TORCH_CHECK_VALUE(least.item<int64_t>() >= 0 && most.item<int64_t>() <= longest, message);
    }
    return lengths;
}

/* Coordinates of a log-signature: on all words for method 0. */
inline int64_t log_sig_width(const Problem &problem, int64_t method)
{
    if (method) return problem.size;
    int64_t width = 0;
    for (int64_t k = 0, power = 1; k < problem.degree; k++) width += power *= problem.dimension;
    return width;
}

/* What is to be done with the paths, checked. */
struct Request {
    Problem &problem;
    bool stream, by_signature, windowed;
    int64_t window = 0, step = 0, method = 2;
    int threads;
    Paths paths;
    at::DimVector batch, rows; /* shapes: of the paths; of the result without its last axis and what initial adds */
    Tensor intervals{};        /* int64, or undefined; those of all paths, or of each */
    int64_t per_path = 0;

    /* numbers from one row of the result to the next; of a stream, from one path's rows to the next one's */
    int64_t between() const { return problem.size * (stream ? steps() : 1); }
    int64_t steps() const { return std::max<int64_t>(paths.length - 1, 0); }
    bool single() const { return paths.data.scalar_type() == at::kFloat; }
    Function function(Operation operation) const { return function_of(problem, operation, paths.data); }
    int64_t width() const { return log_sig_width(problem, method); }
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
    Request made{problem, stream, by_signature(problem), windows.has_value(), 0, 0, method, threads(n_jobs), {}, {}, {}};
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
        paths.lengths = checked_lengths(*lengths, paths.length).to(path.device(), at::kLong, true).reshape(-1).contiguous();
    }
    made.rows = made.batch;
    if (stream) made.rows.push_back(made.steps());
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

/* What came before the paths, a row for each; undefined if nothing did. */
inline Tensor initial_rows(const Request &made, const std::optional<Tensor> &initial)
{
    if (!initial.has_value()) return Tensor();
    at::DimVector shape = made.batch;
    shape.push_back(made.problem.size);
    return initial->expand(shape).contiguous();
}

} // namespace
} // namespace logsig_torch

#endif
