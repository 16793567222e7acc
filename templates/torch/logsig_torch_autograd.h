/* Derivatives, and autocast. */
#ifndef LOGSIG_TORCH_AUTOGRAD_H
#define LOGSIG_TORCH_AUTOGRAD_H

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>

#include "logsig_torch_intervals.h"

namespace logsig_torch {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

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
template <Operation OP> struct Product : torch::autograd::Function<Product<OP>> {
    static constexpr Operation BACK = TABLE[OP].gradient;

    static Tensor forward(AutogradContext *ctx, c10::DispatchKeySet keys, const Tensor &left, const Tensor &right,
                          int64_t dimension, int64_t degree, int64_t n_jobs)
    {
        ctx->save_for_backward({left, right});
        ctx->saved_data["numbers"] = std::vector<int64_t>{dimension, degree, n_jobs};
        at::AutoDispatchBelowADInplaceOrView below;
        return own<OP, Binary>().redispatch(keys & c10::after_autograd_keyset, left, right, dimension, degree, n_jobs);
    }
    static variable_list backward(AutogradContext *ctx, const variable_list &cotangents)
    {
        const auto saved = ctx->get_saved_variables();
        const auto numbers = ctx->saved_data["numbers"].toIntVector();
        auto [d_left, d_right] =
            own<BACK, Gradient>().call(cotangents[0], saved[0], saved[1], numbers[0], numbers[1], numbers[2]);
        return {Variable(), d_left, d_right, Variable(), Variable(), Variable()};
    }
    static Tensor autograd(c10::DispatchKeySet keys, const Tensor &left, const Tensor &right, int64_t dimension,
                           int64_t degree, int64_t n_jobs)
    {
        const bool graph = wants_graph({left, right});
        if (special(keys, {left, right})) {
            return pass_on_typed<Tensor>(TABLE[OP].name, left, right, dimension, degree, n_jobs);
        }
        if (graph) return Product::apply(keys, left, right, dimension, degree, n_jobs);
        at::AutoDispatchBelowADInplaceOrView below;
        return own<OP, Binary>().redispatch(keys & c10::after_autograd_keyset, left, right, dimension, degree, n_jobs);
    }
};

/* the gradient of one */
template <Operation OP> struct ProductGradient : torch::autograd::Function<ProductGradient<OP>> {
    static constexpr Operation BACK = TABLE[OP].gradient;

    static variable_list forward(AutogradContext *ctx, c10::DispatchKeySet keys, const Tensor &d_out,
                                 const Tensor &left, const Tensor &right, int64_t dimension, int64_t degree,
                                 int64_t n_jobs)
    {
        ctx->save_for_backward({d_out, left, right});
        ctx->saved_data["numbers"] = std::vector<int64_t>{dimension, degree, n_jobs};
        at::AutoDispatchBelowADInplaceOrView below;
        auto [d_left, d_right] = own<OP, Gradient>().redispatch(keys & c10::after_autograd_keyset, d_out, left, right,
                                                                dimension, degree, n_jobs);
        return {d_left, d_right};
    }
    static variable_list backward(AutogradContext *ctx, const variable_list &cotangents)
    {
        const auto saved = ctx->get_saved_variables();
        const auto numbers = ctx->saved_data["numbers"].toIntVector();
        const Tensor d_d_left = cotangents[0].defined() ? cotangents[0] : at::zeros_like(saved[1]);
        const Tensor d_d_right = cotangents[1].defined() ? cotangents[1] : at::zeros_like(saved[2]);
        auto [d_d_out, d_left, d_right] = own<BACK, SecondGradient>().call(
            d_d_left, d_d_right, saved[0], saved[1], saved[2], numbers[0], numbers[1], numbers[2]);
        return {Variable(), d_d_out, d_left, d_right, Variable(), Variable(), Variable()};
    }
    static std::tuple<Tensor, Tensor> autograd(c10::DispatchKeySet keys, const Tensor &d_out, const Tensor &left,
                                               const Tensor &right, int64_t dimension, int64_t degree, int64_t n_jobs)
    {
        if (special(keys, {d_out, left, right})) {
            return pass_on_typed<std::tuple<Tensor, Tensor>>(TABLE[OP].name, d_out, left, right, dimension, degree, n_jobs);
        }
        if (wants_graph({d_out, left, right})) {
            const variable_list found =
                ProductGradient::apply(keys, d_out, left, right, dimension, degree, n_jobs);
            return {found[0], found[1]};
        }
        at::AutoDispatchBelowADInplaceOrView below;
        return own<OP, Gradient>().redispatch(keys & c10::after_autograd_keyset, d_out, left, right, dimension, degree,
                                              n_jobs);
    }
};

struct WholePath : torch::autograd::Function<WholePath> {
    static Tensor forward(AutogradContext *ctx, c10::DispatchKeySet keys, const Tensor &path,
                          const std::optional<Tensor> &lengths, const std::optional<Tensor> &initial,
                          int64_t dimension, int64_t degree, bool stream, const Windows &windows, const State &state,
                          int64_t method, int64_t n_jobs)
    {
        at::AutoDispatchBelowADInplaceOrView below;
        Tensor result = own<LOG_SIG, Whole>().redispatch(keys & c10::after_autograd_keyset, path, lengths, initial,
                                                         dimension, degree, stream, windows, state, method, n_jobs);
        ctx->save_for_backward({result, path, lengths.value_or(Tensor()), initial.value_or(Tensor())});
        ctx->saved_data["numbers"] = std::vector<int64_t>{dimension, degree, stream, method, n_jobs};
        if (windows.has_value()) ctx->saved_data["windows"] = windows->vec();
        if (state.has_value()) ctx->saved_data["state"] = std::string(*state);
        return result;
    }
    static variable_list backward(AutogradContext *ctx, const variable_list &cotangents)
    {
        const auto saved = ctx->get_saved_variables();
        const auto numbers = ctx->saved_data["numbers"].toIntVector();
        const auto optional = [](const Tensor &tensor) {
            return tensor.defined() ? std::optional<Tensor>(tensor) : std::nullopt;
        };
        std::vector<int64_t> pair;
        std::string text;
        Windows windows;
        State state;
        if (ctx->saved_data.count("windows")) {
            pair = ctx->saved_data["windows"].toIntVector();
            windows = Windows(pair);
        }
        if (ctx->saved_data.count("state")) {
            text = ctx->saved_data["state"].toStringRef();
            state = text;
        }
        auto [d_path, d_initial] = own<LOG_SIG_BACKPROP, WholeGradient>().call(
            cotangents[0], saved[0], saved[1], optional(saved[2]), optional(saved[3]), numbers[0], numbers[1],
            numbers[2] != 0, windows, state, numbers[3], numbers[4]);
        variable_list gradients(11);
        gradients[1] = d_path;
        if (saved[3].defined()) gradients[3] = d_initial;
        return gradients;
    }
    static Tensor autograd(c10::DispatchKeySet keys, const Tensor &path, const std::optional<Tensor> &lengths,
                           const std::optional<Tensor> &initial, int64_t dimension, int64_t degree, bool stream,
                           Windows windows, State state, int64_t method, int64_t n_jobs)
    {
        const Tensor before = initial.value_or(Tensor());
        if (special(keys, {path, before})) {
            const auto pair = windows.has_value() ? std::optional<std::vector<int64_t>>(windows->vec()) : std::nullopt;
            const auto text = state.has_value() ? std::optional<std::string>(std::string(*state)) : std::nullopt;
            return pass_on_typed<Tensor>(TABLE[LOG_SIG].name, path, lengths, initial, dimension, degree, stream, pair, text,
                                         method, n_jobs);
        }
        if (wants_graph({path, before})) {
            return WholePath::apply(keys, path, lengths, initial, dimension, degree, stream, windows, state, method,
                                    n_jobs);
        }
        at::AutoDispatchBelowADInplaceOrView below;
        return own<LOG_SIG, Whole>().redispatch(keys & c10::after_autograd_keyset, path, lengths, initial, dimension,
                                                degree, stream, windows, state, method, n_jobs);
    }
};

struct IntervalsOfPaths : torch::autograd::Function<IntervalsOfPaths> {
    static constexpr const char *NAME = "log_sig_intervals";

    static Tensor below(c10::DispatchKeySet keys, const Tensor &path, const Tensor &intervals, int64_t dimension,
                        int64_t degree, const State &state, int64_t method, int64_t n_jobs)
    {
        static const auto op = operator_named(NAME)->typed<Intervals>();
        at::AutoDispatchBelowADInplaceOrView below;
        return op.redispatch(keys & c10::after_autograd_keyset, path, intervals, dimension, degree, state, method, n_jobs);
    }
    static Tensor forward(AutogradContext *ctx, c10::DispatchKeySet keys, const Tensor &path, const Tensor &intervals,
                          int64_t dimension, int64_t degree, const State &state, int64_t method, int64_t n_jobs)
    {
        Tensor result = below(keys, path, intervals, dimension, degree, state, method, n_jobs);
        ctx->save_for_backward({result, path, intervals});
        ctx->saved_data["numbers"] = std::vector<int64_t>{dimension, degree, method, n_jobs};
        if (state.has_value()) ctx->saved_data["state"] = std::string(*state);
        return result;
    }
    static variable_list backward(AutogradContext *ctx, const variable_list &cotangents)
    {
        static const auto op = operator_named("log_sig_intervals_backprop")->typed<IntervalsGradient>();
        const auto saved = ctx->get_saved_variables();
        const auto numbers = ctx->saved_data["numbers"].toIntVector();
        std::string text;
        State state;
        if (ctx->saved_data.count("state")) {
            text = ctx->saved_data["state"].toStringRef();
            state = text;
        }
        variable_list gradients(8);
        gradients[1] = op.call(cotangents[0], saved[0], saved[1], saved[2], numbers[0], numbers[1], state, numbers[2],
                               numbers[3]);
        return gradients;
    }
    static Tensor autograd(c10::DispatchKeySet keys, const Tensor &path, const Tensor &intervals, int64_t dimension,
                           int64_t degree, State state, int64_t method, int64_t n_jobs)
    {
        if (special(keys, {path, intervals})) {
            const auto text = state.has_value() ? std::optional<std::string>(std::string(*state)) : std::nullopt;
            return pass_on_typed<Tensor>(NAME, path, intervals, dimension, degree, text, method, n_jobs);
        }
        if (wants_graph({path})) {
            return IntervalsOfPaths::apply(keys, path, intervals, dimension, degree, state, method, n_jobs);
        }
        return below(keys, path, intervals, dimension, degree, state, method, n_jobs);
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
