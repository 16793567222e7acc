/* Kernels on NVIDIA GPUs: the driver, found when the first tensor on a GPU comes, and what is started through it.
 *
 * Nothing of CUDA is needed to build this: the few functions of the driver are looked up by name, the current stream
 * comes from torch. Nothing here waits for a device, and nothing is allocated on one.
 */
#ifndef LOGSIG_TORCH_GPU_H
#define LOGSIG_TORCH_GPU_H

#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <limits>
#include <memory>

#include "logsig_torch_registry.h"

namespace logsig_torch {
namespace {

/* -- the driver --------------------------------------------------------------------------------------------------- */

enum DeviceAttribute { MULTIPROCESSORS = 16, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76, SHARED_BYTES_OF_BLOCK = 97 };
constexpr int64_t WARP = 32;
enum FunctionAttribute { DYNAMIC_SHARED_BYTES = 8, SHARED_CARVEOUT = 9 };

/* What is used of libcuda; handles are pointers, a status of 0 is success. */
struct Driver {
    int (*init)(unsigned);
    int (*device)(int *, int);
    int (*attribute)(int *, int, int);
    int (*retain)(void **, int);
    int (*push)(void *);
    int (*pop)(void **);
    int (*load)(void **, const void *);
    int (*function)(void **, void *, const char *);
    int (*set)(void *, int, int);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                  void **);
    int (*error_name)(int, const char **);
    int (*error_text)(int, const char **);

    void check(int status, const char *call) const
    {
        if (!status) return;
        const char *name = nullptr, *text = nullptr;
        error_name(status, &name);
        error_text(status, &text);
        TORCH_CHECK(false, call, ": ", name ? name : "unknown error", ": ", text ? text : c10::str(status));
    }
};

inline Driver find_driver()
{
    void *const library = dlopen("libcuda.so.1", RTLD_NOW);
    TORCH_CHECK(library, "the CUDA driver cannot be loaded: ", dlerror());
    const auto find = [library](auto &function, const char *name) {
        function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
        TORCH_CHECK(function, "the CUDA driver lacks ", name);
    };
    Driver driver;
    find(driver.init, "cuInit");
    find(driver.device, "cuDeviceGet");
    find(driver.attribute, "cuDeviceGetAttribute");
    find(driver.retain, "cuDevicePrimaryCtxRetain");
    find(driver.push, "cuCtxPushCurrent_v2");
    find(driver.pop, "cuCtxPopCurrent_v2");
    find(driver.load, "cuModuleLoadData");
    find(driver.function, "cuModuleGetFunction");
    find(driver.set, "cuFuncSetAttribute");
    find(driver.launch, "cuLaunchKernel");
    find(driver.error_name, "cuGetErrorName");
    find(driver.error_text, "cuGetErrorString");
    driver.check(driver.init(0), "cuInit");
    return driver;
}

inline const Driver &driver()
{
    static const Driver found = find_driver();
    return found;
}

/* A GPU, in the context that torch uses as well. */
struct Gpu {
    int ordinal = 0;
    void *context = nullptr;
    int architecture = 0, multiprocessors = 0, shared_bytes = 0;

    explicit Gpu(int number) : ordinal(number)
    {
        const Driver &cuda = driver();
        int handle = 0, major = 0, minor = 0;
        cuda.check(cuda.device(&handle, number), "cuDeviceGet");
        const auto attribute = [&](int &value, DeviceAttribute which) {
            cuda.check(cuda.attribute(&value, which, handle), "cuDeviceGetAttribute");
        };
        attribute(major, CAPABILITY_MAJOR);
        attribute(minor, CAPABILITY_MINOR);
        attribute(multiprocessors, MULTIPROCESSORS);
        attribute(shared_bytes, SHARED_BYTES_OF_BLOCK);
        architecture = 10 * major + minor;
        cuda.check(cuda.retain(&context, handle), "cuDevicePrimaryCtxRetain");
    }
};

/* Its context, current for a while; whatever was current before comes back. */
class Current {
  public:
    explicit Current(const Gpu &gpu) { driver().check(driver().push(gpu.context), "cuCtxPushCurrent"); }
    Current(const Current &) = delete;
    Current &operator=(const Current &) = delete;
    ~Current()
    {
        void *context = nullptr;
        driver().pop(&context);
    }
};

inline const Gpu &gpu_of(int ordinal)
{
    static std::mutex mutex;
    static std::map<int, Gpu> gpus;
    const std::lock_guard<std::mutex> lock(mutex);
    return gpus.try_emplace(ordinal, ordinal).first->second;
}

/* -- kernels ------------------------------------------------------------------------------------------------------ */

struct Launcher {
    const Gpu &gpu;
    void *function = nullptr;
    int64_t samples, warps, warp_bytes;
    bool together;

    /* It may have no room on the device: then it is not loaded. */
    Launcher(const Gpu &on, const DeviceCode &code)
        : gpu(on), samples(code.samples), warps(code.warps), warp_bytes(code.warp_bytes), together(code.together)
    {
        if (together) warp_bytes /= warps;
        while (!together && warps > 1 && warps * warp_bytes > on.shared_bytes) warps--;
        if (warps * warp_bytes > on.shared_bytes) return;
        const Driver &cuda = driver();
        const Current current(on);
        void *module = nullptr;
        const auto set = [&](FunctionAttribute attribute, int64_t value) {
            cuda.check(cuda.set(function, attribute, static_cast<int>(value)), "cuFuncSetAttribute");
        };
        cuda.check(cuda.load(&module, code.image), "cuModuleLoadData");
        cuda.check(cuda.function(&function, module, code.symbol.c_str()), "cuModuleGetFunction");
        set(DYNAMIC_SHARED_BYTES, warps * warp_bytes);
        if (!together || samples == WARP) set(SHARED_CARVEOUT, 100); /* tables want a cache, rows and points do not */
    }
};

/* logsig_codegen::_add_cuda_kernel: as _add_kernel. `shape`: samples, warps, warp_bytes, together. The image outlives
 * the process's use of it. */
inline void add_cuda_kernel(int64_t dimension, int64_t degree, c10::string_view operation, c10::string_view dtype,
                            c10::string_view symbol, at::IntArrayRef shape, int64_t architecture, int64_t image)
{
    TORCH_CHECK_VALUE(shape.size() == 4, "shape: expected samples, warps, warp_bytes, together");
    Problem &problem = problem_of(dimension, degree);
    const std::unique_lock<std::shared_mutex> lock(problem.mutex);
    for (int k = 0; k < OPERATIONS; k++) {
        if (operation != TABLE[k].name) continue;
        problem.binaries.insert({{k, dtype == "float32"},
                                 {std::string(symbol), architecture, reinterpret_cast<const void *>(image), shape[0],
                                  shape[1], shape[2], shape[3] != 0}});
    }
}

/* The binary that suits a GPU best: made for it, made for several, or made for an earlier one of its kind. */
inline std::optional<DeviceCode> binary_for(Problem &problem, Operation operation, bool single, const Gpu &gpu)
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
inline const Launcher *find_launcher(Problem &problem, Operation operation, const Tensor &like)
{
    const bool single = like.scalar_type() == at::kFloat;
    const int ordinal = like.device().index();
    const std::tuple<int, bool, int> key(operation, single, ordinal);
    {
        const std::shared_lock<std::shared_mutex> lock(problem.mutex);
        const auto found = problem.launchers.find(key);
        if (found != problem.launchers.end()) return found->second;
    }
    const Gpu &gpu = gpu_of(ordinal);
    auto binary = binary_for(problem, operation, single, gpu);
    if (!binary) { /* let Python, if it is there, compile it */
        const auto loader = operator_named("_load_cuda_kernel");
        if (!loader) return nullptr;
        torch::jit::Stack stack{problem.dimension, problem.degree, std::string(TABLE[operation].name),
                                std::string(single ? "float32" : "float64"), int64_t{ordinal}};
        loader->callBoxed(stack);
        binary = binary_for(problem, operation, single, gpu);
    }
    auto made = binary ? std::make_unique<const Launcher>(gpu, *binary) : nullptr;
    if (made && !made->function) made = nullptr;
    const std::unique_lock<std::shared_mutex> lock(problem.mutex);
    const auto [place, added] = problem.launchers.try_emplace(key, made.get());
    if (added) made.release(); /* it lives as long as the process */
    return place->second;
}

inline const Launcher &launcher_of(Problem &problem, Operation operation, const Tensor &like)
{
    const Launcher *const found = find_launcher(problem, operation, like);
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

/* Start a kernel in torch's current stream of the device of `like`, in as many blocks as the batch takes. */
inline void start(const Launcher &kernel, const Tensor &like, Arguments arguments, int64_t batch)
{
    if (batch <= 0) return;
    arguments.number(batch);
    int64_t tiles = (batch + kernel.samples - 1) / kernel.samples, warps = kernel.warps;
    if (!kernel.together) { /* few tiles: a block each, so that every multiprocessor has one */
        warps = std::max<int64_t>(1, std::min(warps, tiles / kernel.gpu.multiprocessors));
        tiles = (tiles + warps - 1) / warps;
    }
    const int64_t blocks = std::min<int64_t>(tiles, std::numeric_limits<int>::max());
    c10::SmallVector<void *, 20> pointers;
    for (int64_t &value : arguments.values) pointers.push_back(&value);
    const c10::Stream stream = c10::impl::VirtualGuardImpl(like.device().type()).getStream(like.device());
    const Current current(kernel.gpu);
    driver().check(driver().launch(kernel.function, static_cast<unsigned>(blocks), 1, 1,
                                   static_cast<unsigned>(WARP * warps), 1, 1,
                                   static_cast<unsigned>(warps * kernel.warp_bytes), stream.native_handle(),
                                   pointers.data(), nullptr),
                   "cuLaunchKernel");
}

} // namespace
} // namespace logsig_torch

#endif
