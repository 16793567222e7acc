/* Operations on rows: joins, products, brackets, and their derivatives. */
#ifndef LOGSIG_TORCH_ROWS_H
#define LOGSIG_TORCH_ROWS_H

#include <ATen/ExpandUtils.h>

#include <vector>

#include "logsig_torch_gpu.h"

namespace logsig_torch {
namespace {

/* An operation whose operands are all rows. A width is 0 for a row of the dimension, 1 for one of the size. */
struct Rows {
    Operation operation;
    std::vector<const char *> names;
    std::vector<int> inputs, outputs, like; /* like: the input whose shape each output has; empty: the broadcast */
};

inline const Rows &rows_of(Operation operation)
{
    static const std::array<Rows, COADJOINT + 1> table = {{
        {JOIN, {"log_sig", "displacement"}, {1, 0}, {1}, {}},
        {JOIN_BACKPROP, {"d_out", "log_sig", "displacement"}, {1, 1, 0}, {1, 0}, {1, 2}},
        {JOIN_JVP, {"log_sig", "displacement", "t_log_sig", "t_displacement"}, {1, 0, 1, 0}, {1}, {}},
        {JOIN_BACKPROP_BACKPROP,
         {"d_d_log_sig", "d_d_displacement", "d_out", "log_sig", "displacement"}, {1, 0, 1, 1, 0}, {1, 1, 0}, {2, 3, 4}},
        {COMBINE, {"log_sig1", "log_sig2"}, {1, 1}, {1}, {}},
        {COMBINE_BACKPROP, {"d_out", "log_sig1", "log_sig2"}, {1, 1, 1}, {1, 1}, {1, 2}},
        {COMBINE_JVP, {"log_sig1", "log_sig2", "t_log_sig1", "t_log_sig2"}, {1, 1, 1, 1}, {1}, {}},
        {COMBINE_BACKPROP_BACKPROP,
         {"d_d_log_sig1", "d_d_log_sig2", "d_out", "log_sig1", "log_sig2"}, {1, 1, 1, 1, 1}, {1, 1, 1}, {2, 3, 4}},
        {BRACKET, {"left", "right"}, {1, 1}, {1}, {}},
        {COADJOINT, {"actor", "form"}, {1, 1}, {1}, {}},
    }};
    return table[operation];
}

inline int call_rows(Function f, size_t operands, void *const *p, const ptrdiff_t *s, ptrdiff_t batch, int n_jobs)
{
    using V = void *;
    using S = ptrdiff_t;
    switch (operands) {
    case 3:
        return reinterpret_cast<int (*)(V, S, V, S, V, S, S, int)>(f)(p[0], s[0], p[1], s[1], p[2], s[2], batch, n_jobs);
    case 5:
        return reinterpret_cast<int (*)(V, S, V, S, V, S, V, S, V, S, S, int)>(f)(
            p[0], s[0], p[1], s[1], p[2], s[2], p[3], s[3], p[4], s[4], batch, n_jobs);
    default:
        return reinterpret_cast<int (*)(V, S, V, S, V, S, V, S, V, S, V, S, V, S, V, S, S, int)>(f)(
            p[0], s[0], p[1], s[1], p[2], s[2], p[3], s[3], p[4], s[4], p[5], s[5], p[6], s[6], p[7], s[7], batch,
            n_jobs);
    }
}

inline void check_error(int error)
{
    TORCH_CHECK_WITH(OutOfMemoryError, !error, "no memory for a kernel's working space");
}

inline Tensor summed_to(const Tensor &full, at::IntArrayRef shape)
{
    if (full.sizes() == shape) return full;
    return at::sum_to(full.to(at::kDouble), shape).to(full.scalar_type()); /* sums of float32 in double precision */
}

template <size_t N>
c10::SmallVector<Tensor, 3> run_rows(Operation operation, const std::array<Tensor, N> &inputs, int64_t dimension,
                                     int64_t degree, int64_t n_jobs)
{
    const Rows &rows = rows_of(operation);
    Problem &problem = problem_of(dimension, degree);
    const int64_t widths[2] = {dimension, problem.size};
    bool even = true; /* one shape of the batch, contiguous: nothing to broadcast */
    for (size_t k = 0; k < N; k++) {
        check_dtype(rows.names[k], inputs[k], inputs[0]);
        check_row(rows.names[k], inputs[k], widths[rows.inputs[k]], problem);
        even = even && inputs[k].is_contiguous() && inputs[k].dim() == inputs[0].dim() &&
               inputs[k].sizes().slice(0, inputs[k].dim() - 1) == inputs[0].sizes().slice(0, inputs[0].dim() - 1);
    }
    at::DimVector shape(inputs[0].sizes().begin(), inputs[0].sizes().end() - 1);
    if (!even) {
        for (size_t k = 1; k < N; k++) {
            shape = at::infer_size_dimvector(shape, inputs[k].sizes().slice(0, inputs[k].dim() - 1));
        }
    }
    int64_t batch = 1;
    for (const int64_t length : shape) batch *= length;
    std::array<Tensor, N> kept;
    std::array<void *, 8> pointers{};
    std::array<ptrdiff_t, 8> strides{};
    shape.push_back(0);
    for (size_t k = 0; k < N; k++) {
        const int64_t width = shape.back() = widths[rows.inputs[k]];
        const bool one = !even && inputs[k].numel() == width;
        kept[k] = even ? inputs[k] : (one ? inputs[k] : inputs[k].expand(shape)).contiguous();
        pointers[k] = kept[k].data_ptr();
        strides[k] = one ? 0 : width;
    }
    c10::SmallVector<Tensor, 3> outputs;
    size_t operand = N;
    for (const int kind : rows.outputs) {
        shape.back() = widths[kind];
        outputs.push_back(at::empty(shape, inputs[0].options()));
        pointers[operand] = outputs.back().data_ptr();
        strides[operand++] = widths[kind];
    }
    const int jobs = threads(n_jobs);
    if (batch && inputs[0].is_cuda()) {
        Arguments arguments;
        for (size_t k = 0; k < operand; k++) arguments.row(pointers[k], strides[k]);
        start(launcher_of(problem, operation, inputs[0]), inputs[0], arguments, batch);
    } else if (batch) {
        check_error(call_rows(function_of(problem, operation, inputs[0]), operand, pointers.data(), strides.data(),
                              batch, jobs));
    }
    if (!even) {
        for (size_t k = 0; k < rows.like.size(); k++) {
            outputs[k] = summed_to(outputs[k], inputs[rows.like[k]].sizes());
        }
    }
    return outputs;
}

template <size_t N>
c10::SmallVector<Tensor, 3> meta_rows(Operation operation, const std::array<Tensor, N> &inputs, int64_t dimension,
                                      int64_t degree)
{
    const Rows &rows = rows_of(operation);
    Problem &problem = problem_of(dimension, degree);
    const int64_t widths[2] = {dimension, problem.size};
    at::SymDimVector shape(inputs[0].sym_sizes().begin(), inputs[0].sym_sizes().end() - (inputs[0].dim() ? 1 : 0));
    for (size_t k = 0; k < N; k++) {
        check_dtype(rows.names[k], inputs[k], inputs[0]);
        check_row(rows.names[k], inputs[k], widths[rows.inputs[k]], problem);
        if (k) shape = at::infer_size_symdimvector(shape, inputs[k].sym_sizes().slice(0, inputs[k].dim() - 1));
    }
    c10::SmallVector<Tensor, 3> outputs;
    for (size_t k = 0; k < rows.outputs.size(); k++) {
        if (rows.like.empty()) {
            shape.push_back(widths[rows.outputs[k]]);
            outputs.push_back(at::empty_symint(shape, inputs[0].options()));
        } else {
            outputs.push_back(at::empty_symint(inputs[rows.like[k]].sym_sizes(), inputs[0].options()));
        }
    }
    return outputs;
}

template <size_t N> auto packed(c10::SmallVector<Tensor, 3> results)
{
    if constexpr (N == 1) {
        return results[0];
    } else if constexpr (N == 2) {
        return std::make_tuple(results[0], results[1]);
    } else {
        return std::make_tuple(results[0], results[1], results[2]);
    }
}

/* The kernels of an operation with so many inputs, each a Tensor, and OUT outputs. */
template <Operation OP, size_t OUT, class... Inputs> struct RowKernels {
    static auto run(const Inputs &...inputs, int64_t dimension, int64_t degree, int64_t n_jobs)
    {
        return packed<OUT>(run_rows<sizeof...(Inputs)>(OP, {inputs...}, dimension, degree, n_jobs));
    }
    static auto meta(const Inputs &...inputs, int64_t dimension, int64_t degree, int64_t)
    {
        return packed<OUT>(meta_rows<sizeof...(Inputs)>(OP, {inputs...}, dimension, degree));
    }
};
template <Operation OP, size_t OUT> using Two = RowKernels<OP, OUT, Tensor, Tensor>;
template <Operation OP, size_t OUT> using Three = RowKernels<OP, OUT, Tensor, Tensor, Tensor>;
template <Operation OP, size_t OUT> using Four = RowKernels<OP, OUT, Tensor, Tensor, Tensor, Tensor>;
template <Operation OP, size_t OUT> using Five = RowKernels<OP, OUT, Tensor, Tensor, Tensor, Tensor, Tensor>;

} // namespace
} // namespace logsig_torch

#endif
