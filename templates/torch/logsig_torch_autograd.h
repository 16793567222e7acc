/* Derivatives, and autocast. */
#ifndef LOGSIG_TORCH_AUTOGRAD_H
#define LOGSIG_TORCH_AUTOGRAD_H

#include <ATen/autocast_mode.h>

#include <cstring>

#include "logsig_torch_intervals.h"
#include "logsig_torch_nodes.h"

namespace logsig_torch {
namespace {

inline bool has_tangent(const Tensor &tensor)
{
    return tensor.defined() && tensor._fw_grad(0).defined();
}

/* What this file does not do: the operator with an underscore, which Python registers. */
inline void pass_on(const c10::OperatorHandle &op, torch::jit::Stack *stack)
{
    const std::string name = op.operator_name().name.substr(std::strlen(NAMESPACE));
    const auto general = operator_named("_" + name);
    TORCH_CHECK_NOT_IMPLEMENTED(general, name, ": this derivative, or transform, needs Python: import "
                                               "logsig_codegen.torch_api");
    general->callBoxed(stack);
}

/* Transforms of torch.func, and forward mode. */
inline bool special(c10::DispatchKeySet keys, at::ArrayRef<Tensor> tensors)
{
    if (keys.has_any(c10::DispatchKeySet({c10::DispatchKey::FuncTorchDynamicLayerFrontMode,
                                          c10::DispatchKey::FuncTorchDynamicLayerBackMode,
                                          c10::DispatchKey::FuncTorchGradWrapper, c10::DispatchKey::FuncTorchBatched}))) {
        return true;
    }
    return c10::AutogradState::get_tls_state().get_fw_grad_mode() &&
           std::any_of(tensors.begin(), tensors.end(), has_tangent);
}

inline bool wants_graph(at::ArrayRef<Tensor> tensors)
{
    return at::GradMode::is_enabled() && std::any_of(tensors.begin(), tensors.end(), [](const Tensor &tensor) {
               return tensor.defined() && tensor.requires_grad();
           });
}

/* Operators without a derivative here. */
inline void autograd_elsewhere(const c10::OperatorHandle &op, c10::DispatchKeySet keys, torch::jit::Stack *stack)
{
    const size_t count = op.schema().arguments().size();
    std::vector<Tensor> tensors;
    for (const c10::IValue &value : torch::jit::last(*stack, count)) {
        if (value.isTensor()) tensors.push_back(value.toTensor());
    }
    if (special(keys, tensors) || wants_graph(tensors)) return pass_on(op, stack);
    at::AutoDispatchBelowADInplaceOrView below;
    op.redispatchBoxed(keys & c10::after_autograd_keyset, stack);
}

template <class Result, class... Arguments>
Result pass_on_typed(const char *name, const Arguments &...arguments)
{
    torch::jit::Stack stack{c10::IValue(arguments)...};
    pass_on(*operator_named(name), &stack);
    if constexpr (std::is_same_v<Result, Tensor>) {
        return stack.at(0).toTensor();
    } else {
        return {stack.at(0).toTensor(), stack.at(1).toTensor()};
    }
}

using Binary = Tensor(const Tensor &, const Tensor &, int64_t, int64_t, int64_t);
using Gradient = std::tuple<Tensor, Tensor>(const Tensor &, const Tensor &, const Tensor &, int64_t, int64_t, int64_t);
using SecondGradient = std::tuple<Tensor, Tensor, Tensor>(const Tensor &, const Tensor &, const Tensor &,
                                                          const Tensor &, const Tensor &, int64_t, int64_t, int64_t);
using Whole = Tensor(const Tensor &, const std::optional<Tensor> &, const std::optional<Tensor> &, int64_t, int64_t,
                     bool, Windows, State, int64_t, int64_t);
using WholeGradient = std::tuple<Tensor, Tensor>(const Tensor &, const std::optional<Tensor> &, const Tensor &,
                                                 const std::optional<Tensor> &, const std::optional<Tensor> &, int64_t,
                                                 int64_t, bool, Windows, State, int64_t, int64_t);

using Intervals = Tensor(const Tensor &, const Tensor &, int64_t, int64_t, State, int64_t, int64_t);
using IntervalsGradient = Tensor(const Tensor &, const std::optional<Tensor> &, const Tensor &, const Tensor &, int64_t,
                                 int64_t, State, int64_t, int64_t);

/* An operator of this namespace. */
template <Operation OP, class Signature> const c10::TypedOperatorHandle<Signature> &own()
{
    static const auto found = operator_named(TABLE[OP].name)->typed<Signature>();
    return found;
}

/* a product of two operands */
template <Operation OP> struct Product {
    static constexpr const char *NAME = TABLE[OP].name;
    static constexpr size_t OPERANDS = 2;

    static variable_list gradients(const variable_list &cotangents, const variable_list &saved, const Plain &plain)
    {
        variable_list found(OPERANDS);
        std::tie(found[0], found[1]) = own<TABLE[OP].gradient, Gradient>().call(
            cotangents[0], saved[0], saved[1], plain.numbers[0], plain.numbers[1], plain.numbers[2]);
        return found;
    }
    static Tensor autograd(c10::DispatchKeySet keys, const Tensor &left, const Tensor &right, int64_t dimension,
                           int64_t degree, int64_t n_jobs)
    {
        if (special(keys, {left, right})) {
            return pass_on_typed<Tensor>(NAME, left, right, dimension, degree, n_jobs);
        }
        Tensor result;
        {
            at::AutoDispatchBelowADInplaceOrView below;
            result = own<OP, Binary>().redispatch(keys & c10::after_autograd_keyset, left, right, dimension, degree,
                                                  n_jobs);
        }
        if (wants_graph({left, right})) {
            record<Product>({result}, {left, right}, false, {{dimension, degree, n_jobs}, {}});
        }
        return result;
    }
};

/* the gradient of one */
template <Operation OP> struct ProductGradient {
    static constexpr const char *NAME = TABLE[OP].name;
    static constexpr size_t OPERANDS = 3;

    static variable_list gradients(const variable_list &cotangents, const variable_list &saved, const Plain &plain)
    {
        const Tensor d_d_left = cotangents[0].defined() ? cotangents[0] : at::zeros_like(saved[1]);
        const Tensor d_d_right = cotangents[1].defined() ? cotangents[1] : at::zeros_like(saved[2]);
        variable_list found(OPERANDS);
        std::tie(found[0], found[1], found[2]) =
            own<TABLE[OP].gradient, SecondGradient>().call(d_d_left, d_d_right, saved[0], saved[1], saved[2],
                                                           plain.numbers[0], plain.numbers[1], plain.numbers[2]);
        return found;
    }
    static std::tuple<Tensor, Tensor> autograd(c10::DispatchKeySet keys, const Tensor &d_out, const Tensor &left,
                                               const Tensor &right, int64_t dimension, int64_t degree, int64_t n_jobs)
    {
        if (special(keys, {d_out, left, right})) {
            return pass_on_typed<std::tuple<Tensor, Tensor>>(NAME, d_out, left, right, dimension, degree, n_jobs);
        }
        std::tuple<Tensor, Tensor> results;
        {
            at::AutoDispatchBelowADInplaceOrView below;
            results = own<OP, Gradient>().redispatch(keys & c10::after_autograd_keyset, d_out, left, right, dimension,
                                                     degree, n_jobs);
        }
        if (wants_graph({d_out, left, right})) {
            record<ProductGradient>({std::get<0>(results), std::get<1>(results)}, {d_out, left, right}, false,
                                    {{dimension, degree, n_jobs}, {}});
        }
        return results;
    }
};

struct WholePath {
    static constexpr const char *NAME = TABLE[LOG_SIG].name;
    static constexpr size_t OPERANDS = 3;

    static variable_list gradients(const variable_list &cotangents, const variable_list &saved, const Plain &plain)
    {
        const auto optional = [](const Tensor &tensor) {
            return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
        };
        const auto &n = plain.numbers;
        const State state = plain.text.empty() ? State() : State(plain.text);
        const auto windows = at::IntArrayRef(n).slice(5);
        variable_list found(OPERANDS);
        std::tie(found[0], found[2]) = own<LOG_SIG_BACKPROP, WholeGradient>().call(
            cotangents[0], saved[3], saved[0], optional(saved[1]), optional(saved[2]), n[0], n[1], n[2] != 0,
            windows.empty() ? Windows() : Windows(windows), state, n[3], n[4]);
        if (!saved[2].defined()) found[2] = Tensor();
        return found;
    }
    static Tensor autograd(c10::DispatchKeySet keys, const Tensor &path, const std::optional<Tensor> &lengths,
                           const std::optional<Tensor> &initial, int64_t dimension, int64_t degree, bool stream,
                           Windows windows, State state, int64_t method, int64_t n_jobs)
    {
        const Tensor before = initial.value_or(Tensor());
        if (special(keys, {path, before})) {
            const auto pair = windows.has_value() ? std::optional<std::vector<int64_t>>(windows->vec()) : std::nullopt;
            const auto text = state.has_value() ? std::optional<std::string>(std::string(*state)) : std::nullopt;
            return pass_on_typed<Tensor>(NAME, path, lengths, initial, dimension, degree, stream, pair, text, method,
                                         n_jobs);
        }
        Tensor result;
        {
            at::AutoDispatchBelowADInplaceOrView below;
            result = own<LOG_SIG, Whole>().redispatch(keys & c10::after_autograd_keyset, path, lengths, initial, dimension,
                                                      degree, stream, windows, state, method, n_jobs);
        }
        if (wants_graph({path, before})) {
            Plain plain{{dimension, degree, stream, method, n_jobs}, std::string(state.value_or(""))};
            if (windows.has_value()) plain.numbers.insert(plain.numbers.end(), windows->begin(), windows->end());
            record<WholePath>({result}, {path, lengths.value_or(Tensor()), before}, true, std::move(plain));
        }
        return result;
    }
};

struct IntervalsOfPaths {
    static constexpr const char *NAME = "log_sig_intervals";
    static constexpr size_t OPERANDS = 2;

    static variable_list gradients(const variable_list &cotangents, const variable_list &saved, const Plain &plain)
    {
        static const auto op = operator_named("log_sig_intervals_backprop")->typed<IntervalsGradient>();
        const auto &n = plain.numbers;
        const State state = plain.text.empty() ? State() : State(plain.text);
        variable_list found(OPERANDS);
        found[0] = op.call(cotangents[0], saved[2], saved[0], saved[1], n[0], n[1], state, n[2], n[3]);
        return found;
    }
    static Tensor autograd(c10::DispatchKeySet keys, const Tensor &path, const Tensor &intervals, int64_t dimension,
                           int64_t degree, State state, int64_t method, int64_t n_jobs)
    {
        if (special(keys, {path, intervals})) {
            const auto text = state.has_value() ? std::optional<std::string>(std::string(*state)) : std::nullopt;
            return pass_on_typed<Tensor>(NAME, path, intervals, dimension, degree, text, method, n_jobs);
        }
        static const auto op = operator_named(NAME)->typed<Intervals>();
        Tensor result;
        {
            at::AutoDispatchBelowADInplaceOrView below;
            result = op.redispatch(keys & c10::after_autograd_keyset, path, intervals, dimension, degree, state, method,
                                   n_jobs);
        }
        if (wants_graph({path})) {
            record<IntervalsOfPaths>({result}, {path, intervals}, true,
                                     {{dimension, degree, method, n_jobs}, std::string(state.value_or(""))});
        }
        return result;
    }
};

/* -- autocast: everything is computed in float32 ------------------------------------------------------------------ */

inline void autocast(const c10::OperatorHandle &op, c10::DispatchKeySet, torch::jit::Stack *stack)
{
    const size_t count = op.schema().arguments().size();
    for (size_t k = stack->size() - count; k < stack->size(); k++) {
        c10::IValue &value = (*stack)[k];
        if (!value.isTensor()) continue;
        const Tensor tensor = value.toTensor();
        if (tensor.is_floating_point() && tensor.scalar_type() != at::kDouble) {
            value = at::autocast::cached_cast(at::kFloat, tensor, tensor.device().type());
        }
    }
    c10::impl::ExcludeDispatchKeyGuard without(
        c10::DispatchKeySet({c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA}));
    op.callBoxed(stack);
}

} // namespace
} // namespace logsig_torch

#endif
