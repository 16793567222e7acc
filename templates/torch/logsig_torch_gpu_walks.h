/* Along paths on a GPU: tensors are laid out, and the launcher does the rest (logsig_gpu_paths.h). */
#ifndef LOGSIG_TORCH_GPU_WALKS_H
#define LOGSIG_TORCH_GPU_WALKS_H

#include "logsig_torch_paths.h"

namespace logsig_torch {
namespace {
namespace gpu {

/* The call of a request, without results. */
inline logsig_path_call call_of(const Request &made, const Tensor &before)
{
    const Paths &paths = made.paths;
    logsig_path_call call{};
    call.method = 2;
    call.state = made.by_signature ? LOGSIG_SIGNATURE : LOGSIG_LOG_DERIVATIVE;
    call.stream = made.stream;
    call.path = paths.data.const_data_ptr();
    call.path_stride = paths.stride;
    call.batch = paths.count;
    call.length = paths.length;
    call.lengths = numbers_of(paths.lengths);
    call.starts = numbers_of(paths.starts);
    call.window = made.window;
    call.step = made.step;
    if (before.defined()) {
        call.initial = before.const_data_ptr();
        call.initial_stride = made.problem.size;
        call.initial_rows = paths.count;
    }
    return call;
}

/* Carry a call out in torch's current stream; kernels are looked for when they are first wanted. */
inline void carry_out(const Request &made, const logsig_path_call &call, bool backward)
{
    const Tensor &data = made.paths.data;
    Problem &problem = made.problem;
    logsig_gpu_problem kernels{};
    kernels.dimension = static_cast<int>(problem.dimension);
    kernels.degree = static_cast<int>(problem.degree);
    kernels.size = static_cast<int>(problem.size);
    kernels.real_bytes = static_cast<int>(data.element_size());
    logsig_gpu_run run{};
    run.extent = data.numel();
    int status;
    while ((status = logsig_gpu_paths(&kernels, &call, backward, &run)) == LOGSIG_WANTS_KERNEL) {
        const std::string wanted = logsig_gpu_operation(run.wanted);
        int operation = 0;
        while (operation < ARRANGE && wanted != name_of(operation)) operation++;
        kernels.kernels[run.wanted] = find_launcher(problem, operation, data);
        kernels.known[run.wanted] = 1;
    }
    TORCH_CHECK_NOT_IMPLEMENTED(status != LOGSIG_NO_KERNEL, logsig_gpu_error(),
                                "; or load an extension that has it, or import logsig_codegen.torch_api");
    check_launcher(status);
    const Tensor workspace = at::empty({static_cast<int64_t>(run.bytes)}, data.options().dtype(at::kByte));
    run.workspace = workspace.data_ptr();
    run.stream = stream_of(data);
    check_launcher(logsig_gpu_paths(&kernels, &call, backward, &run));
}

/* Rows of the result, without `initial` but for streams. */
inline Tensor forward(const Request &made, const Tensor &before)
{
    at::DimVector shape = made.rows;
    shape.push_back(made.problem.size);
    const Tensor out = at::empty(shape, made.paths.data.options());
    if (!out.numel()) return out;
    logsig_path_call call = call_of(made, before);
    call.out = out.data_ptr();
    call.out_stride = made.between();
    carry_out(made, call, false);
    return out;
}

/* Derivatives with respect to the points and, for streams, to what came before. */
inline std::pair<Tensor, Tensor> backward(const Request &made, const Tensor &d_out, const Tensor &result,
                                          const Tensor &before)
{
    const Tensor d_data = at::empty_like(made.paths.data);
    const Tensor d_before = before.defined() ? at::empty_like(before) : Tensor();
    logsig_path_call call = call_of(made, before);
    call.d_out = d_out.const_data_ptr();
    call.result = result.defined() ? result.const_data_ptr() : nullptr;
    call.d_out_stride = call.result_stride = made.between();
    call.d_path = d_data.data_ptr();
    call.d_path_stride = made.paths.stride;
    if (before.defined()) {
        call.d_initial = d_before.data_ptr();
        call.d_initial_stride = made.problem.size;
    }
    if (d_data.numel() || before.defined()) carry_out(made, call, true);
    return {d_data, d_before};
}

} // namespace gpu
} // namespace
} // namespace logsig_torch

#endif
