/* The kernels of all problems in a process, and checks of what they are called with. */
#ifndef LOGSIG_TORCH_REGISTRY_H
#define LOGSIG_TORCH_REGISTRY_H

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <tuple>
#include <utility>

#include "logsig_path_call.h"
#include "logsig_threads.h"
#include "logsig_torch_operations.h"

namespace logsig_torch {
namespace {

using at::Tensor;
using Function = void (*)();
using Windows = at::OptionalIntArrayRef;
using State = std::optional<c10::string_view>;

constexpr const char *NAMESPACE = "logsig_codegen::";

/* -- kernels ------------------------------------------------------------------------------------------------------ */

/* A kernel for GPUs, as it was compiled. */
struct DeviceCode {
    std::string symbol;
    int64_t architecture; /* 90 for sm_90; 0: code for several, and for later ones */
    const void *image;
    int64_t samples, warps, warp_bytes; /* of a tile; of a block, at most; of shared memory of a warp or a block */
    bool together;                      /* whether all warps of a block work on the same samples */
};

/* The kernels of one problem, float64 and float32. Python replaces functions, by null first, where another kernel is to
 * serve the problem; functions that were replaced stay valid. */
struct Problem {
    int64_t dimension = 0, degree = 0, size = 0;
    std::array<std::array<std::atomic<Function>, 2>, OPERATIONS> functions{};
    std::array<std::array<std::atomic<Function>, 2>, 2> calls{}; /* along paths, by direction: see logsig_path_call.h */
    std::atomic<const logsig_map *> maps{nullptr}; /* to method 0 and to method 1, and their transposes */
    std::atomic<int> by_signature{-1}; /* what whole paths are carried in unless the caller says; -1: not known yet */

    std::shared_mutex mutex;                                          /* of what follows */
    std::multimap<std::pair<int, bool>, DeviceCode> binaries;             /* by operation, and whether float32 */
    std::map<std::tuple<int, bool, int>, const logsig_kernel *> launchers; /* and by device; null: there is no kernel */
};

inline int64_t moebius(int64_t n)
{
    int64_t sign = 1;
    for (int64_t factor = 2; factor * factor <= n; factor++) {
        if (n % factor) continue;
        n /= factor;
        if (n % factor == 0) return 0;
        sign = -sign;
    }
    return n > 1 ? -sign : sign;
}

/* Coordinates of a log-signature: Witt's formula. */
inline int64_t log_sig_size(int64_t dimension, int64_t degree)
{
    if (dimension == 1) return 1;
    int64_t size = 0;
    for (int64_t k = 1; k <= degree; k++) {
        int64_t total = 0;
        for (int64_t divisor = 1; divisor <= k; divisor++) {
            if (k % divisor) continue;
            int64_t power = 1;
            for (int64_t i = 0; i < divisor; i++) {
                TORCH_CHECK_VALUE(power <= (int64_t{1} << 55) / dimension, "dimension, degree: too large");
                power *= dimension;
            }
            total += moebius(k / divisor) * power;
        }
        size += total / k;
    }
    return size;
}

inline Problem &problem_of(int64_t dimension, int64_t degree)
{
    static std::shared_mutex mutex;
    static std::map<std::pair<int64_t, int64_t>, Problem> problems;
    TORCH_CHECK_VALUE(dimension >= 1, "dimension: expected at least 1, got ", dimension);
    TORCH_CHECK_VALUE(degree >= 1, "degree: expected at least 1, got ", degree);
    const std::pair<int64_t, int64_t> key(dimension, degree);
    {
        std::shared_lock<std::shared_mutex> lock(mutex);
        const auto found = problems.find(key);
        if (found != problems.end()) return found->second;
    }
    const int64_t size = log_sig_size(dimension, degree);
    std::unique_lock<std::shared_mutex> lock(mutex);
    Problem &problem = problems[key];
    problem.dimension = dimension;
    problem.degree = degree;
    problem.size = size;
    return problem;
}

/* logsig_codegen::_add_kernel: how every extension but the first, and Python, hand over their kernels. */
inline void add_kernel(int64_t dimension, int64_t degree, c10::string_view operation, c10::string_view dtype,
                       int64_t address)
{
    Problem &problem = problem_of(dimension, degree);
    if (operation == "default_state") {
        problem.by_signature = dtype == "signature";
        return;
    }
    if (operation == "coordinates") problem.maps = reinterpret_cast<const logsig_map *>(address);
    for (const bool backward : {false, true}) {
        if (operation == (backward ? "paths_backprop" : "paths")) {
            problem.calls[backward][dtype == "float32"] = reinterpret_cast<Function>(address);
        }
    }
    for (int k = 0; k < OPERATIONS; k++) {
        if (operation == TABLE[k].name) problem.functions[k][dtype == "float32"] = reinterpret_cast<Function>(address);
    }
}

inline std::optional<c10::OperatorHandle> operator_named(const std::string &name)
{
    return c10::Dispatcher::singleton().findSchema({NAMESPACE + name, ""});
}

/* Let Python, if it is there, add what no extension has. */
inline void load(const Problem &problem, const char *operation)
{
    if (const auto loader = operator_named("_load_kernels")) {
        torch::jit::Stack stack{problem.dimension, problem.degree, std::string(operation)};
        loader->callBoxed(stack);
    }
}

/* The function of an operation, or null where nobody has it. */
inline Function find(Problem &problem, Operation operation, bool single)
{
    const std::atomic<Function> &function = problem.functions[operation][single];
    Function found = function;
    for (int tries = 0; !found && tries < 3; tries++) { /* another thread may have replaced what has just been loaded */
        load(problem, TABLE[operation].name);
        found = function;
    }
    return found;
}

/* The function of windows that overlap, or null; Python, if it is there, adds it where these windows take it. */
inline Function find_windows(Problem &problem, bool backward, bool single, int64_t window, int64_t step)
{
    const Operation operation = backward ? WINDOWS_BACKPROP : WINDOWS;
    const std::atomic<Function> &function = problem.functions[operation][single];
    if (function) return function;
    if (const auto loader = operator_named("_load_windows")) {
        torch::jit::Stack stack{problem.dimension, problem.degree, std::string(TABLE[operation].name), window, step};
        loader->callBoxed(stack);
    }
    return function;
}

inline bool by_signature(Problem &problem)
{
    if (problem.by_signature < 0) load(problem, "default_state");
    return problem.by_signature > 0;
}

/* Maps from Lyndon brackets to method 0 and to method 1, then their transposes. */
inline const logsig_map *maps_of(Problem &problem)
{
    if (!problem.maps) load(problem, "coordinates");
    TORCH_CHECK_NOT_IMPLEMENTED(problem.maps, "method: expected 2 or 3 (Lyndon brackets) for (dimension=",
                                problem.dimension, ", degree=", problem.degree,
                                "): load an extension that has log_sig, or import logsig_codegen.torch_api");
    return problem.maps;
}

/* The function of a call along paths: it comes with the kernels that go forward along paths. */
inline int (*call_function(Problem &problem, bool backward, bool single))(const logsig_path_call *)
{
    const Function function = problem.calls[backward][single];
    TORCH_CHECK_NOT_IMPLEMENTED(function, "no calls along paths for (dimension=", problem.dimension, ", degree=",
                                problem.degree, "): they come with log_sig and stream of a newer logsig-codegen");
    return reinterpret_cast<int (*)(const logsig_path_call *)>(function);
}

inline Function function_of(Problem &problem, Operation operation, const Tensor &like)
{
    const Function function = find(problem, operation, like.scalar_type() == at::kFloat);
    TORCH_CHECK_NOT_IMPLEMENTED(function, "no kernel of ", TABLE[operation].name, " for (dimension=", problem.dimension,
                                ", degree=", problem.degree, ") and ", like.scalar_type(),
                                ": load an extension that has it, or import logsig_codegen.torch_api");
    return function;
}

inline std::atomic<bool> &forked()
{
    static std::atomic<bool> value{false};
    static const int once = pthread_atfork(nullptr, nullptr, [] { forked() = true; });
    (void)once;
    return value;
}

inline int threads(int64_t n_jobs)
{
    if (n_jobs == 1) return 1;
    TORCH_CHECK_VALUE(n_jobs != 0, "n_jobs: expected 1 or more threads, or a negative number (-1 for all processors), "
                                   "got 0");
    if (forked()) return 1; /* OpenMP has no threads there */
    static const double quota = logsig_own_quota();
    const int64_t usable = logsig_usable_processors(quota);
    return static_cast<int>(n_jobs > 0 ? std::min(n_jobs, usable) : std::max<int64_t>(1, usable + 1 + n_jobs));
}

/* -- checks ------------------------------------------------------------------------------------------------------- */

/* As Python writes it. */
inline std::string dtype_name(at::ScalarType dtype)
{
    return std::string(c10::getDtypeNames(dtype).first);
}

inline void check_dtype(const char *name, const Tensor &tensor, const Tensor &first)
{
    const auto dtype = tensor.scalar_type();
    TORCH_CHECK_TYPE(dtype == at::kDouble || dtype == at::kFloat, name, ": expected dtype float32 or float64, got ",
                     dtype_name(dtype), dtype == at::kHalf || dtype == at::kBFloat16
                                            ? "; under torch.autocast it is computed in float32"
                                            : "");
    TORCH_CHECK_TYPE(dtype == first.scalar_type(), name, ": expected dtype ", dtype_name(first.scalar_type()),
                     ", that of the other arguments, got ", dtype_name(dtype));
    TORCH_CHECK_TYPE(tensor.device() == first.device(), name, ": expected device ", first.device(),
                     ", that of the others, got ", tensor.device());
}

inline void check_row(const char *name, const Tensor &tensor, int64_t width, const Problem &problem)
{
    TORCH_CHECK_VALUE(tensor.dim() && tensor.sym_size(-1) == width, name, ": expected last dimension ", width,
                      " for (dimension=", problem.dimension, ", degree=", problem.degree, "), got ",
                      tensor.dim() ? c10::str(tensor.sym_size(-1)) : std::string("an array without axes"));
}

} // namespace
} // namespace logsig_torch

#endif
