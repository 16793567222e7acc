/* CUDA tensors for a build of torch without CUDA: their memory is the host's, their operators are those of the CPU.
 *
 * What is dispatched to CUDA and has no kernel there is called on the same memory as CPU tensors, and what comes back
 * is on the device again. host::up and host::down take tensors there and back. The current stream is 0x5740.
 */
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

namespace {

using at::Tensor;

struct Guard final : c10::impl::DeviceGuardImplInterface {
    static thread_local c10::DeviceIndex current;
    c10::DeviceType type() const override { return c10::DeviceType::CUDA; }
    c10::Device exchangeDevice(c10::Device device) const override
    {
        const c10::Device before = getDevice();
        current = device.index();
        return before;
    }
    c10::Device getDevice() const override { return {c10::DeviceType::CUDA, current}; }
    void setDevice(c10::Device device) const override { current = device.index(); }
    void uncheckedSetDevice(c10::Device device) const noexcept override { current = device.index(); }
    c10::Stream getStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
    c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
    c10::Stream exchangeStream(c10::Stream stream) const override { return getStream(stream.device()); }
    void *getStreamNativeHandle(const c10::Stream) const override { return reinterpret_cast<void *>(0x5740); }
    c10::DeviceIndex deviceCount() const noexcept override { return 2; }
};
thread_local c10::DeviceIndex Guard::current = 0;
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

/* The engine of autograd asks for an accelerator. */
struct Hooks final : at::CUDAHooksInterface {
    explicit Hooks(at::CUDAHooksArgs) {}
    void init() const override {}
    bool hasCUDA() const override { return true; }
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 2; }
    c10::DeviceIndex current_device() const override { return Guard::current; }
    c10::DeviceIndex getCurrentDevice() const override { return Guard::current; }
    int getNumGPUs() const override { return 2; }
    bool isPinnedPtr(const void *) const override { return false; }
};

Tensor up(const Tensor &tensor)
{
    auto *const kept = new Tensor(tensor.detach());
    const auto release = [](void *context) { delete static_cast<Tensor *>(context); };
    const size_t bytes = tensor.storage().nbytes() - tensor.storage_offset() * tensor.element_size();
    c10::DataPtr data(kept->data_ptr(), kept, release, c10::Device(c10::DeviceType::CUDA, 0));
    c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, std::move(data), nullptr, false);
    Tensor found = at::detail::make_tensor<c10::TensorImpl>(
        std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CUDA), tensor.dtype());
    found.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides());
    return found;
}

Tensor down(const Tensor &tensor)
{
    return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), [kept = tensor.detach()](void *) {},
                         at::TensorOptions(tensor.scalar_type()));
}

void on_the_host(const c10::OperatorHandle &op, torch::jit::Stack *stack)
{
    std::vector<std::pair<Tensor, Tensor>> pairs; /* as given; as called with */
    const auto lower = [&](const Tensor &tensor) {
        Tensor low = tensor;
        if (tensor.defined() && tensor.is_cuda()) {
            low = tensor.numel() ? down(tensor) : at::empty(tensor.sizes(), down(tensor).options()); /* may grow */
        }
        if (tensor.defined()) pairs.emplace_back(tensor, low);
        return low;
    };
    const auto raise = [&](const Tensor &tensor) {
        if (!tensor.defined()) return tensor;
        for (const auto &[given, low] : pairs)
            if (low.is_same(tensor)) return given;
        return up(tensor);
    };
    const size_t count = op.schema().arguments().size();
    for (size_t k = stack->size() - count; k < stack->size(); k++) {
        c10::IValue &value = (*stack)[k];
        if (value.isTensor()) {
            value = lower(value.toTensor());
        } else if (value.isTensorList()) {
            std::vector<Tensor> tensors;
            for (const Tensor &one : value.toTensorVector()) tensors.push_back(lower(one));
            value = tensors;
        } else if (value.isOptionalTensorList()) {
            c10::List<std::optional<Tensor>> tensors;
            for (const std::optional<Tensor> one : value.toOptionalTensorList())
                tensors.push_back(one.has_value() ? std::optional<Tensor>(lower(*one)) : std::nullopt);
            value = tensors;
        } else if (value.isDevice()) {
            value = c10::Device(c10::DeviceType::CPU);
        }
    }
    {
        at::AutoDispatchBelowADInplaceOrView below;
        op.callBoxed(stack);
    }
    for (const auto &[given, low] : pairs) {
        if (given.numel() || !low.numel()) continue;
        given.unsafeGetTensorImpl()->set_storage_keep_dtype(up(low).storage());
        given.unsafeGetTensorImpl()->set_sizes_and_strides(low.sizes(), low.strides());
    }
    for (size_t k = stack->size() - op.schema().returns().size(); k < stack->size(); k++) {
        c10::IValue &value = (*stack)[k];
        if (value.isTensor()) {
            value = raise(value.toTensor());
        } else if (value.isTensorList()) {
            std::vector<Tensor> tensors;
            for (const Tensor &one : value.toTensorVector()) tensors.push_back(raise(one));
            value = tensors;
        }
    }
}

} // namespace

namespace at {
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, Hooks)
} // namespace at

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_host>()); }

/* These have a kernel for all devices, which would look for one that copies. */
TORCH_LIBRARY_IMPL(aten, CUDA, m) { m.impl("copy_", torch::CppFunction::makeFromBoxedFunction<&on_the_host>()); }

TORCH_LIBRARY(host, m)
{
    m.def("up", [](const Tensor &tensor) { return up(tensor.clone()); });
    m.def("down", [](const Tensor &tensor) { return down(tensor.detach()).clone(); });
}
