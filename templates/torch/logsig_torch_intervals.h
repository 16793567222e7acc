/* The operators of intervals of paths: any first and any last points, for all paths or for each. */
#ifndef LOGSIG_TORCH_INTERVALS_H
#define LOGSIG_TORCH_INTERVALS_H

#include "logsig_torch_log_sig.h"

namespace logsig_torch {
namespace {

/* The request for intervals; numbers that are on a device are checked there. */
inline Request interval_request(const Tensor &path, const Tensor &intervals, int64_t dimension, int64_t degree,
                                const State &state, int64_t method, int64_t n_jobs)
{
    Request made = request(path, std::nullopt, std::nullopt, dimension, degree, false, std::nullopt, state, method, n_jobs);
    TORCH_CHECK_TYPE(c10::isIntegralType(intervals.scalar_type(), false),
                     "intervals: expected integers, the first and the last point, got dtype ", intervals.scalar_type());
    TORCH_CHECK_VALUE(intervals.dim() >= 2 && intervals.size(-1) == 2 &&
                          (intervals.dim() == 2 ||
                           intervals.sizes().slice(0, intervals.dim() - 2) == at::IntArrayRef(made.batch)),
                      "intervals: expected shape (W, 2), or one set for each path of ", at::IntArrayRef(made.batch),
                      ", got ", intervals.sizes());
    TORCH_CHECK_VALUE(!intervals.is_cuda() || path.is_cuda(), "intervals: expected device ", path.device(), ", got ",
                      intervals.device());
    made.intervals = intervals.to(at::kLong).contiguous();
    made.per_path = intervals.size(-2);
    made.rows.push_back(made.per_path);
    return made;
}

namespace gpu {

/* Numbers of copied points, about: as many intervals at a time. */
constexpr int64_t INTERVALS_ROOM = int64_t{1} << 24;

/* Intervals as rows that begin anywhere. Nothing waits for the device: an interval that only the device knows is taken to
 * be as long as a path may be. */
inline Request interval_rows(const Request &made)
{
    const Paths &paths = made.paths;
    Tensor pairs = made.intervals;
    const auto first_of = [](const Tensor &all) { return all.select(-1, 0); };
    const auto count_of = [](const Tensor &all) { return all.select(-1, 1) - all.select(-1, 0) + 1; };
    const Tensor right = (first_of(pairs) >= 0)
                             .logical_and(pairs.select(-1, 1) < paths.length)
                             .logical_and(count_of(pairs) >= 0)
                             .all();
    const char *const message = "intervals: expected pairs of points, 0 <= first <= last + 1 <= length";
    Request rows = made;
    if (pairs.is_cuda()) {
        at::_assert_async(right, message);
    } else {
        TORCH_CHECK_VALUE(right.item<bool>(), message);
        rows.paths.length = pairs.numel() ? count_of(pairs).max().item<int64_t>() : 0;
        pairs = pairs.to(paths.data.device(), at::kLong, true);
    }
    at::DimVector shape = made.batch;
    shape.append({made.per_path, 2});
    pairs = pairs.expand(shape);
    const Tensor beginnings = (at::arange(paths.count, pairs.options()) * paths.length).reshape(made.batch).unsqueeze(-1);
    const Tensor counts = count_of(pairs).reshape(-1).contiguous();
    const Tensor first = (first_of(pairs) + beginnings).reshape(-1) * (counts > 0);
    rows.paths.lengths = counts;
    rows.paths.starts = (first * made.problem.dimension).contiguous();
    rows.paths.count = counts.numel();
    rows.paths.stride = 0;
    rows.batch = rows.rows = {rows.paths.count};
    return rows;
}

/* Derivatives by points, from those by rows in Lyndon brackets; known: the rows, or undefined. Points are copied, so that
 * each interval has derivatives of its own. */
inline Tensor intervals_back(const Request &rows, const Tensor &d_rows, const Tensor &known)
{
    const int64_t dimension = rows.problem.dimension, longest = rows.paths.length;
    const Tensor points = rows.paths.data.reshape({-1, dimension}), d_points = at::zeros_like(points);
    const Tensor first = rows.paths.starts.div(dimension, "floor");
    const int64_t step = std::max<int64_t>(1, INTERVALS_ROOM / std::max<int64_t>(1, longest * dimension));
    for (int64_t start = 0; points.numel() && start < rows.paths.count; start += step) {
        const int64_t end = std::min(start + step, rows.paths.count);
        const Tensor places = (first.slice(0, start, end).unsqueeze(-1) + at::arange(longest, first.options()))
                                  .clamp_max(points.size(0) - 1)
                                  .reshape(-1);
        Request part = rows;
        part.paths.data = points.index_select(0, places).reshape({end - start, longest, dimension});
        part.paths.lengths = rows.paths.lengths.slice(0, start, end).contiguous();
        part.paths.starts = Tensor();
        part.paths.count = end - start;
        part.paths.stride = longest * dimension;
        const Tensor some = known.defined() ? known.slice(0, start, end).contiguous() : Tensor();
        const Tensor found = backward(part, d_rows.slice(0, start, end).contiguous(), some, Tensor()).first;
        d_points.index_put_({places}, found.reshape({-1, dimension}), true); /* in a fixed order */
    }
    return d_points.reshape(rows.paths.data.sizes());
}

} // namespace gpu

inline Tensor log_sig_intervals(const Tensor &path, const Tensor &intervals, int64_t dimension, int64_t degree,
                                State state, int64_t method, int64_t n_jobs)
{
    const Request made = interval_request(path, intervals, dimension, degree, state, method, n_jobs);
    if (!path.is_cuda()) return cpu::log_sig(made, std::nullopt);
    at::DimVector shape = made.rows;
    shape.push_back(made.problem.size);
    const Tensor result = gpu::forward(gpu::interval_rows(made), Tensor()).reshape(shape);
    if (method >= 2) return result;
    return convert("change_method", result, dimension, degree, int64_t{2}, method, false);
}

inline Tensor log_sig_intervals_backprop(const Tensor &d_out_given, const std::optional<Tensor> &result,
                                         const Tensor &path, const Tensor &intervals, int64_t dimension, int64_t degree,
                                         State state, int64_t method, int64_t n_jobs)
{
    const Request made = interval_request(path, intervals, dimension, degree, state, method, n_jobs);
    check_dtype("d_out", d_out_given, path);
    if (!path.is_cuda()) return std::get<0>(cpu::log_sig_backprop(made, d_out_given, result, std::nullopt));
    const int64_t size = made.problem.size;
    at::DimVector shape = made.rows;
    shape.push_back(size);
    Tensor d_out = d_out_given, known;
    if (method < 2) {
        d_out = convert("change_method_backprop", d_out, dimension, degree, int64_t{2}, method, false);
    } else if (result.has_value()) {
        known = result->expand(shape).reshape({-1, size});
    }
    return gpu::intervals_back(gpu::interval_rows(made), d_out.expand(shape).reshape({-1, size}), known);
}

inline Tensor log_sig_intervals_meta(const Tensor &path, const Tensor &intervals, int64_t dimension, int64_t degree,
                                     State, int64_t method, int64_t)
{
    check_dtype("path", path, path);
    TORCH_CHECK_VALUE(path.dim() >= 2 && path.sym_size(-1) == dimension, "path: expected shape (..., length, ",
                      dimension, "), got ", path.sym_sizes());
    at::SymDimVector shape(path.sym_sizes().begin(), path.sym_sizes().end() - 2);
    shape.push_back(intervals.sym_size(-2));
    shape.push_back(log_sig_width(problem_of(dimension, degree), method));
    return at::empty_symint(shape, path.options());
}

inline Tensor log_sig_intervals_backprop_meta(const Tensor &d_out, const std::optional<Tensor> &, const Tensor &path,
                                              const Tensor &, int64_t, int64_t, State, int64_t, int64_t)
{
    check_dtype("d_out", d_out, path);
    return at::empty_symint(path.sym_sizes(), path.options());
}

} // namespace
} // namespace logsig_torch

#endif
