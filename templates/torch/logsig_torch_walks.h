/* Along paths on the CPU: one call of a generated function each. */
#ifndef LOGSIG_TORCH_WALKS_H
#define LOGSIG_TORCH_WALKS_H

#include "logsig_torch_paths.h"

namespace logsig_torch {
namespace {
namespace cpu {

struct Products {
    Function log_sig, combine, combine_backprop;
};

/* The functions that cut long paths, where they are at hand. */
inline Products products_of(const Request &made, bool backward)
{
    const bool single = made.paths.data.scalar_type() == at::kFloat;
    Products products{nullptr, find(made.problem, COMBINE, single), nullptr};
    if (backward) {
        products.log_sig = find(made.problem, made.by_signature ? LOG_SIG_BY_SIGNATURE : LOG_SIG, single);
        products.combine_backprop = find(made.problem, COMBINE_BACKPROP, single);
    }
    return products;
}

inline void walk(const Request &made, const Paths &paths, const Tensor &out)
{
    const int64_t size = made.problem.size;
    const Products products = paths.length > WHOLE_STEPS ? products_of(made, false) : Products{};
    using Kernel = int (*)(const void *, ptrdiff_t, ptrdiff_t, const ptrdiff_t *, const ptrdiff_t *, const Products *,
                           void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(made.by_signature ? LOG_SIG_BY_SIGNATURE : LOG_SIG));
    check_error(kernel(paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(),
                       paths.start_data(), products.combine ? &products : nullptr, out.data_ptr(), size, paths.count,
                       made.threads));
}

inline void walk_back(const Request &made, const Paths &paths, const Tensor &d_out, const Tensor &result,
                      const Tensor &d_data)
{
    const int64_t size = made.problem.size;
    const Products products = paths.length > WHOLE_STEPS ? products_of(made, true) : Products{};
    using Kernel = int (*)(const void *, ptrdiff_t, const void *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                           const ptrdiff_t *, const ptrdiff_t *, const Products *, void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel =
        reinterpret_cast<Kernel>(made.function(made.by_signature ? LOG_SIG_BY_SIGNATURE_BACKPROP : LOG_SIG_BACKPROP));
    const bool cut = products.log_sig && products.combine && products.combine_backprop;
    check_error(kernel(d_out.const_data_ptr(), size, result.const_data_ptr(), size, paths.data.const_data_ptr(),
                       paths.stride, paths.length, paths.length_data(), paths.start_data(), cut ? &products : nullptr,
                       d_data.data_ptr(), paths.length * made.problem.dimension, paths.count, made.threads));
}

inline void stream(const Request &made, const Tensor &initial, const Tensor &out)
{
    const int64_t size = made.problem.size;
    using Kernel = int (*)(const void *, ptrdiff_t, ptrdiff_t, const ptrdiff_t *, const ptrdiff_t *, const void *,
                           ptrdiff_t, void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(STREAM));
    const Paths &paths = made.paths;
    check_error(kernel(paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(), nullptr,
                       initial.defined() ? initial.const_data_ptr() : nullptr, size, out.data_ptr(),
                       made.steps() * size, paths.count, made.threads));
}

inline void stream_back(const Request &made, const Tensor &d_out, const Tensor &stream, const Tensor &initial,
                        const Tensor &d_data, const Tensor &d_initial)
{
    const int64_t size = made.problem.size, between = made.steps() * size;
    using Kernel = int (*)(const void *, ptrdiff_t, const void *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                           const ptrdiff_t *, const ptrdiff_t *, const void *, ptrdiff_t, void *, ptrdiff_t, void *,
                           ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(STREAM_BACKPROP));
    const Paths &paths = made.paths;
    check_error(kernel(d_out.const_data_ptr(), between, stream.const_data_ptr(), between,
                       paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(), nullptr,
                       initial.defined() ? initial.const_data_ptr() : nullptr, size, d_data.data_ptr(), paths.stride,
                       initial.defined() ? d_initial.data_ptr() : nullptr, size, paths.count, made.threads));
}

} // namespace cpu
} // namespace
} // namespace logsig_torch

#endif
