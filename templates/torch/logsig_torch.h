/* Operators of torch over the kernels of generated libraries: schemas, kernels, autograd, autocast.
 *
 * Nothing here depends on a problem. Every extension contains these files; the first one that a process loads defines the
 * operators, all of them add the kernels of their problem. The operators have the names and schemas of the Python
 * registration of logsig-codegen, which leaves them alone where it finds them, and serves them in two ways: it loads
 * kernels that no extension has (logsig_codegen::_load_kernels, _load_windows), and it takes calls under torch.func, forward
 * mode, and derivatives beyond those below (operators with an underscore before their name). Without Python there are
 * first derivatives of everything here and second derivatives of products; what is missing is an error.
 */
#ifndef LOGSIG_TORCH_H
#define LOGSIG_TORCH_H

#include <torch/library.h>

#include "logsig_torch_autograd.h"

namespace logsig_torch {
namespace {

template <class Kernels> void implement(torch::Library &m, const char *name)
{
    m.impl(name, torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(Kernels::run)));
    m.impl(name, torch::dispatch(c10::DispatchKey::CUDA, TORCH_FN(Kernels::run)));
    m.impl(name, torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(Kernels::meta)));
}

/* Derivatives that this file does not have. */
inline void derive_elsewhere(torch::Library &m, const char *name)
{
    m.impl(name, torch::dispatch(c10::DispatchKey::Autograd,
                                 torch::CppFunction::makeFromBoxedFunction<&autograd_elsewhere>()));
}

/* Kernels and derivatives of an operation on rows. */
template <Operation OP> void implement_rows(torch::Library &m)
{
    constexpr const Description &described = TABLE[OP];
    if constexpr (described.rows) {
        implement<RowKernels<OP>>(m, described.name);
        if constexpr (described.product) {
            m.impl(described.name, torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(Product<OP>::autograd)));
        } else if constexpr (described.gradient != OPERATIONS) {
            m.impl(described.name,
                   torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(ProductGradient<OP>::autograd)));
        } else {
            derive_elsewhere(m, described.name);
        }
    }
}

template <size_t... OP> void implement_all_rows(torch::Library &m, std::index_sequence<OP...>)
{
    (implement_rows<static_cast<Operation>(OP)>(m), ...);
}

inline void define(torch::Library &m)
{
    const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
    std::vector<const char *> names = {TABLE[LOG_SIG].name, TABLE[LOG_SIG_BACKPROP].name};
    for (const Description &described : TABLE) {
        if (!described.rows) continue;
        m.def(described.schema, tags);
        names.push_back(described.name);
    }
    const std::string options = "int dimension, int degree, bool stream=False, int[]? windows=None, str? state=None, "
                                "int method=2, int n_jobs=1";
    m.def(("log_sig(Tensor path, Tensor? lengths, Tensor? initial, " + options + ") -> Tensor").c_str(), tags);
    m.def(("log_sig_backprop(Tensor d_out, Tensor? result, Tensor path, Tensor? lengths, Tensor? initial, " + options +
           ") -> (Tensor, Tensor)").c_str(), tags);
    const std::string fewer = "int dimension, int degree, str? state=None, int method=2, int n_jobs=1";
    m.def(("log_sig_intervals(Tensor path, Tensor intervals, " + fewer + ") -> Tensor").c_str(), tags);
    m.def(("log_sig_intervals_backprop(Tensor d_out, Tensor? result, Tensor path, Tensor intervals, " + fewer +
           ") -> Tensor").c_str(), tags);
    names.insert(names.end(), {"log_sig_intervals", "log_sig_intervals_backprop"});
    implement_all_rows(m, std::make_index_sequence<OPERATIONS>());
    for (const auto key : {c10::DispatchKey::CPU, c10::DispatchKey::CUDA}) {
        m.impl("log_sig", torch::dispatch(key, TORCH_FN(log_sig)));
        m.impl("log_sig_backprop", torch::dispatch(key, TORCH_FN(log_sig_backprop)));
        m.impl("log_sig_intervals", torch::dispatch(key, TORCH_FN(log_sig_intervals)));
        m.impl("log_sig_intervals_backprop", torch::dispatch(key, TORCH_FN(log_sig_intervals_backprop)));
    }
    m.impl("log_sig", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(log_sig_meta)));
    m.impl("log_sig_backprop", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(log_sig_backprop_meta)));
    m.impl("log_sig_intervals", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(log_sig_intervals_meta)));
    m.impl("log_sig_intervals_backprop",
           torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(log_sig_intervals_backprop_meta)));
    m.impl("log_sig", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(WholePath::autograd)));
    m.impl("log_sig_intervals", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(IntervalsOfPaths::autograd)));
    derive_elsewhere(m, "log_sig_backprop");
    derive_elsewhere(m, "log_sig_intervals_backprop");
    for (const char *name : names) {
        for (const auto key : {c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA}) {
            m.impl(name, torch::dispatch(key, torch::CppFunction::makeFromBoxedFunction<&autocast>()));
        }
    }
    m.def("_add_kernel(int dimension, int degree, str operation, str dtype, int address) -> ()", add_kernel);
    m.def("_add_cuda_kernel(int dimension, int degree, str operation, str dtype, str symbol, int[] shape, "
          "int architecture, int image) -> ()", add_cuda_kernel);
}

/* Unless they are there already, from another extension or from Python. */
inline void define_once(torch::Library &m)
{
    if (!operator_named("join")) define(m);
    forked();
}

/* The kernels of one extension. */
struct Entry {
    const char *operation, *dtype;
    Function function;
};
struct CudaEntry {
    const char *operation, *dtype, *symbol;
    std::array<int64_t, 4> shape; /* as add_cuda_kernel takes it */
    int64_t architecture;
    const unsigned char *image;
};

inline void extend(torch::Library &m, int64_t dimension, int64_t degree, const char *default_state,
                   at::ArrayRef<Entry> entries, at::ArrayRef<CudaEntry> cuda_entries)
{
    define_once(m);
    const auto add = operator_named("_add_kernel"), add_cuda = operator_named("_add_cuda_kernel");
    if (!add || !add_cuda) return; /* Python has registered the operators: it has kernels of its own */
    const auto hand_over = [&](const char *operation, const char *dtype, int64_t address) {
        torch::jit::Stack stack{dimension, degree, std::string(operation), std::string(dtype), address};
        add->callBoxed(stack);
    };
    hand_over("default_state", default_state, 0);
    for (const Entry &entry : entries) {
        hand_over(entry.operation, entry.dtype, reinterpret_cast<int64_t>(entry.function));
    }
    for (const CudaEntry &entry : cuda_entries) {
        torch::jit::Stack stack{dimension, degree, std::string(entry.operation), std::string(entry.dtype),
                                std::string(entry.symbol), at::IntArrayRef(entry.shape).vec(), entry.architecture,
                                reinterpret_cast<int64_t>(entry.image)};
        add_cuda->callBoxed(stack);
    }
}

} // namespace
} // namespace logsig_torch

#endif
