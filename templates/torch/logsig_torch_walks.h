/* Along paths on the CPU: a call becomes the struct that generated libraries take. */
#ifndef LOGSIG_TORCH_WALKS_H
#define LOGSIG_TORCH_WALKS_H

#include "logsig_torch_paths.h"

namespace logsig_torch {
namespace {
namespace cpu {

/* A call, and what it points to. */
struct Call {
    const Request &made;
    logsig_path_call call{};
    logsig_path_functions functions{};
    at::DimVector shape; /* of the result */
    c10::SmallVector<Tensor, 4> kept;

    const Tensor &keep(Tensor tensor)
    {
        kept.push_back(std::move(tensor));
        return kept.back();
    }
    void function(void (*&member)(void), Operation operation, bool needed = true)
    {
        member = needed ? made.function(operation) : find(made.problem, operation, made.single());
    }
    /* The row that each row of the result belongs to; null where an operand is not broadcast. */
    const ptrdiff_t *rows_of(at::IntArrayRef lead, at::IntArrayRef full)
    {
        const int64_t count = c10::multiply_integers(lead);
        if (count == c10::multiply_integers(full)) return nullptr;
        const Tensor &numbers =
            keep(at::arange(count, at::TensorOptions(at::kLong)).reshape(lead).expand(full).contiguous());
        return numbers_of(numbers);
    }
    /* Derivatives by the result, or the result: its address, and the distance of rows, or of the blocks of a stream. */
    const void *rows(const Tensor &given, ptrdiff_t &stride)
    {
        const Tensor &full = keep(given.expand(shape).contiguous());
        stride = shape.back() * (made.stream ? made.steps() : 1);
        return full.const_data_ptr();
    }
    void before(const std::optional<Tensor> &initial)
    {
        if (!initial.has_value()) return;
        const Tensor &rows = keep(initial->contiguous());
        const auto lead = rows.sizes().slice(0, rows.dim() - 1);
        const at::IntArrayRef full(shape.data(), made.stream ? made.batch.size() : shape.size() - 1);
        call.initial = rows.const_data_ptr();
        call.initial_stride = call.d_initial_stride = made.problem.size;
        call.initial_rows = c10::multiply_integers(lead);
        call.rows = c10::multiply_integers(full);
        call.initial_of = call.initial_rows == 1 ? nullptr : rows_of(lead, full);
        call.path_of = rows_of(made.batch, full);
    }
    void run(bool backward)
    {
        const auto along = made.by_signature ? LOG_SIG_BY_SIGNATURE : LOG_SIG;
        if (made.stream) {
            function(functions.stream, STREAM);
            if (backward) function(functions.stream_backprop, STREAM_BACKPROP);
        } else {
            function(functions.log_sig, along);
            if (backward) function(functions.log_sig_backprop, LOG_SIG_BACKPROP);
            Function &windows = backward ? functions.windows_backprop : functions.windows;
            if (call.window) windows = find_windows(made.problem, backward, made.single(), call.window, call.step);
            if (call.initial || windows || made.paths.length > LOGSIG_WHOLE_STEPS) {
                function(functions.combine, COMBINE, call.initial);
                if (backward) function(functions.combine_backprop, COMBINE_BACKPROP, call.initial);
            }
        }
        call.functions = &functions;
        if (made.method < 2) call.map = &maps_of(made.problem)[2 * backward + made.method];
        const int error = call_function(made.problem, backward, made.single())(&call);
        const char *const wrong = error ? logsig_path_call_error(&call, backward) : nullptr;
        TORCH_CHECK_VALUE(!wrong, wrong);
        check_error(error);
    }
};

inline Call call_of(const Request &made, const std::optional<Tensor> &initial)
{
    Call found{made};
    found.shape = made.rows;
    if (initial.has_value() && !made.stream) {
        found.shape = at::infer_size_dimvector(initial->sizes().slice(0, initial->dim() - 1), made.batch);
    }
    found.shape.push_back(made.width());
    logsig_path_call &call = found.call;
    call.struct_size = sizeof(call);
    call.n_jobs = made.threads;
    call.stream = made.stream;
    call.method = static_cast<int>(made.method);
    call.path = made.paths.data.const_data_ptr();
    call.path_stride = call.d_path_stride = made.paths.stride;
    call.batch = made.paths.count;
    call.length = made.paths.length;
    call.lengths = numbers_of(made.paths.lengths);
    call.intervals = numbers_of(made.intervals);
    call.intervals_per_path = made.per_path;
    call.intervals_stride = made.intervals.defined() && made.intervals.dim() > 2 ? 2 * made.per_path : 0;
    call.window = made.window;
    call.step = made.step;
    found.before(initial);
    return found;
}

inline Tensor log_sig(const Request &made, const std::optional<Tensor> &initial)
{
    Call found = call_of(made, initial);
    const Tensor out = at::empty(found.shape, made.paths.data.options());
    found.call.out = out.data_ptr();
    found.call.out_stride = made.width() * (made.stream ? made.steps() : 1);
    if (out.numel()) found.run(false);
    return out;
}

inline std::tuple<Tensor, Tensor> log_sig_backprop(const Request &made, const Tensor &d_out,
                                                   const std::optional<Tensor> &result,
                                                   const std::optional<Tensor> &initial)
{
    Call found = call_of(made, initial);
    logsig_path_call &call = found.call;
    const auto options = made.paths.data.options();
    const Tensor d_path = at::empty(made.paths.data.sizes(), options);
    const Tensor d_initial = initial.has_value() ? at::empty(initial->sizes(), options) : at::empty({0}, options);
    call.d_out = found.rows(d_out, call.d_out_stride);
    if (result.has_value() && made.method >= 2) call.result = found.rows(*result, call.result_stride);
    call.d_path = d_path.data_ptr();
    call.d_initial = d_initial.data_ptr();
    found.run(true);
    return {d_path, d_initial};
}

} // namespace cpu
} // namespace
} // namespace logsig_torch

#endif
