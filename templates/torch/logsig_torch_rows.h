/* Operations on rows: joins, products, brackets, and their derivatives. */
#ifndef LOGSIG_TORCH_ROWS_H
#define LOGSIG_TORCH_ROWS_H

#include <ATen/EmptyTensor.h>
#include <ATen/ExpandUtils.h>

#include <algorithm>

#include "logsig_torch_gpu.h"

namespace logsig_torch {
namespace {

/* Length of a row. */
inline int64_t width_of(const Operand &operand, const Problem &problem)
{
    return operand.by_letter ? problem.dimension : problem.size;
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

/* Room for a result; on a CPU without a call of torch's dispatcher, which takes longer than a small kernel. */
inline Tensor empty_like(const Tensor &like, at::IntArrayRef shape)
{
    return like.is_cpu() ? Tensor(at::detail::empty_cpu(shape, like.scalar_type())) : at::empty(shape, like.options());
}

/* A tensor whose numbers follow each other: the gradient of a sum is one number, expanded. */
inline Tensor dense(const Tensor &tensor)
{
    const auto steps = tensor.strides();
    if (!tensor.is_cpu() || !tensor.numel() || std::any_of(steps.begin(), steps.end(), [](int64_t step) { return step; })) {
        return tensor.contiguous();
    }
    Tensor filled = empty_like(tensor, tensor.sizes());
    const auto fill = [&](auto *numbers) { std::fill_n(numbers, tensor.numel(), *static_cast<decltype(numbers)>(tensor.data_ptr())); };
    if (tensor.scalar_type() == at::kDouble) {
        fill(filled.mutable_data_ptr<double>());
    } else {
        fill(filled.mutable_data_ptr<float>());
    }
    return filled;
}

template <size_t N>
c10::SmallVector<Tensor, 3> run_rows(Operation operation, const std::array<Tensor, N> &inputs, int64_t dimension,
                                     int64_t degree, int64_t n_jobs)
{
    const Description &rows = TABLE[operation];
    Problem &problem = problem_of(dimension, degree);
    bool even = true; /* one shape of the batch: nothing to broadcast */
    for (size_t k = 0; k < N; k++) {
        check_dtype(rows.operands[k].name, inputs[k], inputs[0]);
        check_row(rows.operands[k].name, inputs[k], width_of(rows.operands[k], problem), problem);
        even = even && inputs[k].dim() == inputs[0].dim() &&
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
    std::array<Tensor, N> kept; /* what was copied */
    std::array<void *, 8> pointers{};
    std::array<ptrdiff_t, 8> strides{};
    shape.push_back(0);
    for (size_t k = 0; k < N; k++) {
        const int64_t width = shape.back() = width_of(rows.operands[k], problem);
        const bool one = !even && inputs[k].numel() == width;
        /* rows of a longer array, such as path.select(1, k) */
        const bool apart = even && inputs[k].is_cpu() && inputs[k].dim() == 2 && inputs[k].stride(1) == 1;
        const bool as_it_is = apart || ((even || one) && inputs[k].is_contiguous());
        if (!as_it_is) kept[k] = dense(even || one ? inputs[k] : inputs[k].expand(shape));
        pointers[k] = (as_it_is ? inputs[k] : kept[k]).data_ptr();
        strides[k] = one ? 0 : apart ? inputs[k].stride(0) : width;
    }
    c10::SmallVector<Tensor, 3> outputs;
    const size_t operands = N + rows.outputs;
    for (size_t k = N; k < operands; k++) {
        shape.back() = strides[k] = width_of(rows.operands[k], problem);
        outputs.push_back(empty_like(inputs[0], shape));
        pointers[k] = outputs.back().data_ptr();
    }
    const int jobs = threads(n_jobs);
    if (batch && inputs[0].is_cuda()) {
        Arguments arguments;
        for (size_t k = 0; k < operands; k++) arguments.row(pointers[k], strides[k]);
        start(launcher_of(problem, operation, inputs[0]), inputs[0], arguments, batch);
    } else if (batch) {
        check_error(call_rows(function_of(problem, operation, inputs[0]), operands, pointers.data(), strides.data(),
                              batch, jobs));
    }
    if (!even) {
        for (size_t k = 0; k < rows.outputs; k++) {
            const int like = rows.operands[N + k].like;
            if (like >= 0) outputs[k] = summed_to(outputs[k], inputs[like].sizes());
        }
    }
    return outputs;
}

template <size_t N>
c10::SmallVector<Tensor, 3> meta_rows(Operation operation, const std::array<Tensor, N> &inputs, int64_t dimension,
                                      int64_t degree)
{
    const Description &rows = TABLE[operation];
    Problem &problem = problem_of(dimension, degree);
    at::SymDimVector shape(inputs[0].sym_sizes().begin(), inputs[0].sym_sizes().end() - (inputs[0].dim() ? 1 : 0));
    for (size_t k = 0; k < N; k++) {
        check_dtype(rows.operands[k].name, inputs[k], inputs[0]);
        check_row(rows.operands[k].name, inputs[k], width_of(rows.operands[k], problem), problem);
        if (k) shape = at::infer_size_symdimvector(shape, inputs[k].sym_sizes().slice(0, inputs[k].dim() - 1));
    }
    c10::SmallVector<Tensor, 3> outputs;
    for (size_t k = N; k < N + rows.outputs; k++) {
        const Operand &output = rows.operands[k];
        if (output.like < 0) {
            shape.push_back(width_of(output, problem));
            outputs.push_back(at::empty_symint(shape, inputs[0].options()));
        } else {
            outputs.push_back(at::empty_symint(inputs[output.like].sym_sizes(), inputs[0].options()));
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

template <size_t> using TensorOf = Tensor;

/* The kernels of an operation on rows. */
template <Operation OP, class = std::make_index_sequence<TABLE[OP].inputs>> struct RowKernels;
template <Operation OP, size_t... K> struct RowKernels<OP, std::index_sequence<K...>> {
    static auto run(const TensorOf<K> &...inputs, int64_t dimension, int64_t degree, int64_t n_jobs)
    {
        return packed<TABLE[OP].outputs>(run_rows<sizeof...(K)>(OP, {inputs...}, dimension, degree, n_jobs));
    }
    static auto meta(const TensorOf<K> &...inputs, int64_t dimension, int64_t degree, int64_t)
    {
        return packed<TABLE[OP].outputs>(meta_rows<sizeof...(K)>(OP, {inputs...}, dimension, degree));
    }
};

} // namespace
} // namespace logsig_torch

#endif
