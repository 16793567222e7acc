/* Along paths on a GPU. Long paths are cut into pieces, whose log-signatures are multiplied two by two: a few of them
 * fill the device, and errors do not grow along a path. The number of pieces depends on the length alone.
 */
#ifndef LOGSIG_TORCH_GPU_WALKS_H
#define LOGSIG_TORCH_GPU_WALKS_H

#include "logsig_torch_paths.h"

namespace logsig_torch {
namespace {
namespace gpu {

constexpr int64_t MOST_PIECES = 64;
constexpr int64_t ROOM = int64_t{1} << 26;       /* numbers of the pieces' log-signatures that are kept at a time, about */
constexpr int64_t MOST_OF_A_SIGNATURE = 1000;    /* coordinates up to which threads may carry the signature */

inline int64_t piece_count(int64_t length)
{
    int64_t pieces = 1;
    while (pieces < MOST_PIECES && length - 1 >= pieces * WHOLE_STEPS) pieces *= 2;
    return pieces;
}

/* Paths first to end - 1. */
inline Paths some(const Paths &paths, int64_t first, int64_t end)
{
    Paths found = paths;
    found.count = end - first;
    found.starts = paths.offsets().slice(0, first, end);
    if (paths.lengths.defined()) found.lengths = paths.lengths.slice(0, first, end);
    return found;
}

/* Every path cut into pieces; neighbours share a point, and pieces of short paths may be a point. */
inline Paths cut(const Paths &paths, int64_t pieces, int64_t dimension)
{
    const Tensor cuts = paths.multiples(pieces + 1, 1);
    const Tensor bounds =
        paths.lengths.defined()
            ? (paths.lengths - 1).clamp_min(0).unsqueeze(1).mul(cuts).floor_divide(pieces)
            : ((paths.length - 1) * cuts).floor_divide(pieces).unsqueeze(0).expand({paths.count, pieces + 1});
    const Tensor first = bounds.slice(1, 0, pieces), last = bounds.slice(1, 1, pieces + 1);
    Paths found;
    found.data = paths.data;
    found.count = paths.count * pieces;
    found.length = (paths.length - 1 + pieces - 1) / pieces + 1;
    found.starts = (paths.offsets().unsqueeze(1) + first * dimension).reshape(-1).contiguous();
    found.lengths = (last - first + 1).reshape(-1).contiguous();
    return found;
}

/* The kernel that carries the state asked for, or, where that takes more than a thread has, the other one. */
inline const logsig_kernel &along(const Request &made, Operation by_log_derivative, Operation by_signature)
{
    Problem &problem = made.problem;
    if (made.by_signature && problem.size <= MOST_OF_A_SIGNATURE) {
        if (const logsig_kernel *const found = find_launcher(problem, by_signature, made.paths.data)) return *found;
    }
    return launcher_of(problem, by_log_derivative, made.paths.data);
}

inline void points(Arguments &arguments, const Paths &paths)
{
    arguments.row(paths.data.const_data_ptr(), paths.stride);
    arguments.number(paths.length);
    arguments.address(paths.length_data());
    arguments.address(paths.start_data());
}

inline void walk_whole(const Request &made, const Paths &paths, const Tensor &out)
{
    Arguments arguments;
    points(arguments, paths);
    arguments.row(out.data_ptr(), made.problem.size);
    start(along(made, LOG_SIG, LOG_SIG_BY_SIGNATURE), out, arguments, paths.count);
}

inline void walk_back_whole(const Request &made, const Paths &paths, const Tensor &d_out, const Tensor &result,
                            const Tensor &d_data, int64_t d_stride, const Tensor &d_first)
{
    Arguments arguments;
    arguments.row(d_out.const_data_ptr(), made.problem.size);
    arguments.row(result.const_data_ptr(), made.problem.size);
    points(arguments, paths);
    arguments.row(d_data.data_ptr(), d_stride);
    arguments.address(d_first.defined() ? d_first.data_ptr() : nullptr);
    start(along(made, LOG_SIG_BACKPROP, LOG_SIG_BY_SIGNATURE_BACKPROP), d_data, arguments, paths.count);
}

/* Every second row of a tensor (count, pieces, size), from the first or from the second. */
inline void half(Arguments &arguments, const Tensor &rows, int64_t second)
{
    const int64_t size = rows.size(-1);
    arguments.row(static_cast<char *>(rows.data_ptr()) + second * size * rows.element_size(), 2 * size);
}

/* Log-signatures of the pieces, of pairs of them, and so on: (count, pieces, size), ..., (count, 1, size). */
inline std::vector<Tensor> levels(const Request &made, const Paths &paths, int64_t pieces)
{
    const int64_t size = made.problem.size;
    std::vector<Tensor> found{at::empty({paths.count, pieces, size}, paths.data.options())};
    walk_whole(made, cut(paths, pieces, made.problem.dimension), found[0]);
    while ((pieces /= 2)) {
        const Tensor rows = found.back();
        found.push_back(at::empty({paths.count, pieces, size}, rows.options()));
        Arguments arguments;
        half(arguments, rows, 0);
        half(arguments, rows, 1);
        arguments.row(found.back().data_ptr(), size);
        start(launcher_of(made.problem, COMBINE, rows), rows, arguments, paths.count * pieces);
    }
    return found;
}

/* Calls `work` with ranges of paths whose pieces, `numbers` for each path, fit the room. */
template <class Work> void in_portions(int64_t count, int64_t numbers, Work work)
{
    const int64_t step = std::max<int64_t>(1, ROOM / numbers);
    for (int64_t first = 0; first < count; first += step) work(first, std::min(first + step, count));
}

inline void walk(const Request &made, const Paths &paths, const Tensor &out)
{
    const int64_t pieces = piece_count(paths.length);
    if (pieces == 1) return walk_whole(made, paths, out);
    in_portions(paths.count, 2 * pieces * made.problem.size, [&](int64_t first, int64_t end) {
        out.slice(0, first, end).copy_(levels(made, some(paths, first, end), pieces).back().select(1, 0));
    });
}

inline void walk_back_pieces(const Request &made, const Paths &paths, int64_t pieces, const Tensor &d_out,
                             const Tensor &d_data)
{
    const int64_t size = made.problem.size, dimension = made.problem.dimension;
    const std::vector<Tensor> rows = levels(made, paths, pieces);
    Tensor d_rows = d_out;
    for (size_t level = rows.size() - 1; level-- > 0;) {
        const Tensor d_pieces = at::empty_like(rows[level]);
        Arguments arguments;
        arguments.row(d_rows.const_data_ptr(), size);
        half(arguments, rows[level], 0);
        half(arguments, rows[level], 1);
        half(arguments, d_pieces, 0);
        half(arguments, d_pieces, 1);
        start(launcher_of(made.problem, COMBINE_BACKPROP, d_pieces), d_pieces, arguments,
              paths.count * rows[level].size(1) / 2);
        d_rows = d_pieces;
    }
    const Paths cuts = cut(paths, pieces, dimension);
    const Tensor d_first = at::zeros({cuts.count, dimension}, d_data.options());
    walk_back_whole(made, cuts, d_rows, rows[0], d_data, 0, d_first);
    /* The last point of a piece is the first of the next one. Of pieces that are one point, all but one add zero. */
    const Tensor places = cuts.starts.unsqueeze(1) + paths.multiples(dimension, 1);
    d_data.view(-1).index_add_(0, places.clamp_max(d_data.numel() - 1).reshape(-1), d_first.reshape(-1));
}

inline void walk_back(const Request &made, const Paths &paths, const Tensor &d_out, const Tensor &result,
                      const Tensor &d_data)
{
    const int64_t pieces = piece_count(paths.length);
    if (pieces == 1) {
        return walk_back_whole(made, paths, d_out, result, d_data, paths.length * made.problem.dimension, Tensor());
    }
    in_portions(paths.count, 4 * pieces * made.problem.size, [&](int64_t first, int64_t end) {
        walk_back_pieces(made, some(paths, first, end), pieces, d_out.slice(0, first, end), d_data);
    });
}

inline void stream(const Request &made, const Tensor &initial, const Tensor &out)
{
    const int64_t size = made.problem.size;
    Arguments arguments;
    points(arguments, made.paths);
    arguments.row(initial.defined() ? initial.const_data_ptr() : nullptr, size);
    arguments.row(out.data_ptr(), made.steps() * size);
    start(launcher_of(made.problem, STREAM, out), out, arguments, made.paths.count);
}

inline void stream_back(const Request &made, const Tensor &d_out, const Tensor &stream, const Tensor &initial,
                        const Tensor &d_data, const Tensor &d_initial)
{
    const int64_t size = made.problem.size, between = made.steps() * size;
    Arguments arguments;
    arguments.row(d_out.const_data_ptr(), between);
    arguments.row(stream.const_data_ptr(), between);
    points(arguments, made.paths);
    arguments.row(initial.defined() ? initial.const_data_ptr() : nullptr, size);
    arguments.row(d_data.data_ptr(), made.paths.length * made.problem.dimension);
    arguments.row(d_initial.defined() ? d_initial.data_ptr() : nullptr, size);
    start(launcher_of(made.problem, STREAM_BACKPROP, d_data), d_data, arguments, made.paths.count);
}

} // namespace gpu
} // namespace
} // namespace logsig_torch

#endif
