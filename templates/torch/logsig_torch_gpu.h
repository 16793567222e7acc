/* Kernels on NVIDIA GPUs, through the launcher: found for a tensor, started in torch's current stream.
 *
 * Nothing of CUDA is needed to build this. Nothing here waits for a device.
 */
#ifndef LOGSIG_TORCH_GPU_H
#define LOGSIG_TORCH_GPU_H

#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "logsig_gpu_paths.h"
#include "logsig_torch_registry.h"

namespace logsig_torch {
namespace {

inline void check_launcher(int status)
{
    TORCH_CHECK(status == LOGSIG_OK, logsig_gpu_error());
}

inline const logsig_device &gpu_of(int ordinal)
{
    const logsig_device *found = nullptr;
    check_launcher(logsig_gpu_device(ordinal, &found));
    return *found;
}

/* Beside the operations, the kernel that the launcher uses for calls along paths. */
constexpr int ARRANGE = OPERATIONS;

constexpr const char *name_of(int operation)
{
    return operation == ARRANGE ? "arrange" : TABLE[operation].name;
}

/* logsig_codegen::_add_cuda_kernel: as _add_kernel. `shape`: samples, warps, warp_bytes, together. The image outlives
 * the process's use of it. */
inline void add_cuda_kernel(int64_t dimension, int64_t degree, c10::string_view operation, c10::string_view dtype,
                            c10::string_view symbol, at::IntArrayRef shape, int64_t architecture, int64_t image)
{
    TORCH_CHECK_VALUE(shape.size() == 4, "shape: expected samples, warps, warp_bytes, together");
    Problem &problem = problem_of(dimension, degree);
    const std::unique_lock<std::shared_mutex> lock(problem.mutex);
    for (int k = 0; k <= OPERATIONS; k++) {
        if (operation != name_of(k)) continue;
        problem.binaries.insert({{k, dtype == "float32"},
                                 {std::string(symbol), architecture, reinterpret_cast<const void *>(image), shape[0],
                                  shape[1], shape[2], shape[3] != 0}});
    }
}

/* The binary that suits a GPU best: made for it, made for several, or made for an earlier one of its kind. */
inline std::optional<DeviceCode> binary_for(Problem &problem, int operation, bool single, const logsig_device &gpu)
{
    const std::shared_lock<std::shared_mutex> lock(problem.mutex);
    const auto [first, end] = problem.binaries.equal_range({operation, single});
    const auto rank = [&](const DeviceCode &code) {
        if (code.architecture == gpu.architecture) return int64_t{1000};
        if (code.architecture == 0) return int64_t{999};
        const bool runs = code.architecture / 10 == gpu.architecture / 10 && code.architecture < gpu.architecture;
        return runs ? code.architecture : int64_t{-1};
    };
    std::optional<DeviceCode> best;
    for (auto place = first; place != end; ++place) {
        if (rank(place->second) >= 0 && (!best || rank(place->second) > rank(*best))) best = place->second;
    }
    return best;
}

/* The kernel of an operation on the device of a tensor, or null where nobody has it. */
inline const logsig_kernel *find_launcher(Problem &problem, int operation, const Tensor &like)
{
    const bool single = like.scalar_type() == at::kFloat;
    const int ordinal = like.device().index();
    const std::tuple<int, bool, int> key(operation, single, ordinal);
    {
        const std::shared_lock<std::shared_mutex> lock(problem.mutex);
        const auto found = problem.launchers.find(key);
        if (found != problem.launchers.end()) return found->second;
    }
    const logsig_device &gpu = gpu_of(ordinal);
    auto binary = binary_for(problem, operation, single, gpu);
    if (!binary) { /* let Python, if it is there, compile it */
        const auto loader = operator_named("_load_cuda_kernel");
        if (!loader) return nullptr;
        torch::jit::Stack stack{problem.dimension, problem.degree, std::string(name_of(operation)),
                                std::string(single ? "float32" : "float64"), int64_t{ordinal}};
        loader->callBoxed(stack);
        binary = binary_for(problem, operation, single, gpu);
    }
    const logsig_kernel *made = nullptr;
    if (binary) {
        const DeviceCode &code = *binary;
        const logsig_image image = {code.symbol.c_str(), code.image,      code.samples,
                                    code.warps,          code.warp_bytes, code.together};
        const int status = logsig_gpu_load(ordinal, &image, &made);
        if (status != LOGSIG_NO_KERNEL) check_launcher(status);
    }
    const std::unique_lock<std::shared_mutex> lock(problem.mutex);
    return problem.launchers.try_emplace(key, made).first->second;
}

inline const logsig_kernel &launcher_of(Problem &problem, Operation operation, const Tensor &like)
{
    const logsig_kernel *const found = find_launcher(problem, operation, like);
    TORCH_CHECK_NOT_IMPLEMENTED(found, "no kernel of ", TABLE[operation].name, " on a GPU for (dimension=",
                                problem.dimension, ", degree=", problem.degree, ") and ", like.scalar_type(),
                                ": load an extension that has it, or import logsig_codegen.torch_api");
    return *found;
}

/* What a kernel is called with: addresses and 64-bit integers. */
struct Arguments {
    c10::SmallVector<int64_t, 20> values;

    void number(int64_t value) { values.push_back(value); }
    void address(const void *place) { values.push_back(reinterpret_cast<int64_t>(place)); }
    void row(const void *place, int64_t stride)
    {
        address(place);
        number(stride);
    }
};

inline void *stream_of(const Tensor &like)
{
    return c10::impl::VirtualGuardImpl(like.device().type()).getStream(like.device()).native_handle();
}

/* Start a kernel in torch's current stream of the device of `like`. */
inline void start(const logsig_kernel &kernel, const Tensor &like, const Arguments &arguments, int64_t batch)
{
    check_launcher(logsig_gpu_launch(&kernel, batch, arguments.values.data(),
                                     static_cast<int>(arguments.values.size()), stream_of(like)));
}

} // namespace
} // namespace logsig_torch

#endif
