/* Nodes of the graph of derivatives.
 *
 * They are written as those of torch's own operators are: torch::autograd::Function, which is meant for other people's, takes
 * several times as long for a small call.
 */
#ifndef LOGSIG_TORCH_NODES_H
#define LOGSIG_TORCH_NODES_H

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>

#include <initializer_list>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "logsig_torch_registry.h"

namespace logsig_torch {
namespace {

using torch::autograd::variable_list;

/* What a derivative needs besides tensors. */
struct Plain {
    std::vector<int64_t> numbers;
    std::string text;
};

/* A call whose results have gradients. Derivative::NAME is the operator, Derivative::OPERANDS says how many tensors it takes;
 * Derivative::gradients(cotangents, saved, plain) gives a gradient for each of these, where `saved` has them and then the results
 * that were kept. */
template <class Derivative> struct Recorded : torch::autograd::Node {
    std::vector<torch::autograd::SavedVariable> saved;
    Plain plain;

    std::string name() const override
    {
        return std::string(NAMESPACE) + Derivative::NAME;
    }
    void release_variables() override
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto &one : saved) one.reset_data();
    }
    variable_list unpacked()
    {
        variable_list found;
        found.reserve(saved.size());
        for (size_t k = 0; k < saved.size(); k++) {
            found.push_back(k < Derivative::OPERANDS ? saved[k].unpack()
                                         : saved[k].unpack(c10::intrusive_ptr<torch::autograd::Node>::reclaim_copy(this)));
        }
        return found;
    }
    variable_list apply(variable_list &&cotangents) override
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        return gradients(cotangents, unpacked(), plain);
    }
    static variable_list gradients(const variable_list &cotangents, const variable_list &tensors, const Plain &plain)
    {
        for (const Tensor &one : cotangents) {
            if (one.defined()) return Derivative::gradients(cotangents, tensors, plain);
        }
        return variable_list(Derivative::OPERANDS);
    }

    /* For compiled autograd: what decides the graph, and the derivative as a function of plain values. */
    void compiled_args(torch::dynamo::autograd::CompiledNodeArgs &args) const override
    {
        args.collect(name());
        for (size_t k = 0; k < saved.size(); k++) args.collect(saved[k], k >= Derivative::OPERANDS);
        args.collect(plain.numbers);
        args.collect(plain.text);
    }
    static variable_list from_values(const variable_list &cotangents, const std::vector<c10::IValue> &values)
    {
        torch::dynamo::autograd::PackedArgs packed(values);
        const auto tensors = packed.unpack<variable_list>();
        Plain plain;
        plain.numbers = packed.unpack<std::vector<int64_t>>();
        plain.text = packed.unpack<std::string>();
        return gradients(cotangents, tensors, plain);
    }
    variable_list apply_with_saved(const variable_list &cotangents, torch::dynamo::autograd::SwapSavedVariables &swap) override
    {
        namespace compiled = torch::dynamo::autograd;
        for (auto &one : saved) swap.before(one);
        compiled::PackedArgs packed;
        packed.pack(unpacked());
        packed.pack(plain.numbers);
        packed.pack(plain.text);
        std::vector<at::TypePtr> schema;
        for (const c10::IValue &value : packed.vec()) schema.push_back(value.type());
        const auto metadata = compiled::IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>::pack(
            compiled::get_input_metadata(next_edges()));
        const auto &python = compiled::getPyCompilerInterface();
        const std::string bound =
            python->bind_function(swap.get_py_compiler(), name(), from_values, schema, true, false);
        auto found = python->call_function(swap.get_py_compiler(), "apply_functional", bound, cotangents, packed.vec(),
                                           metadata);
        for (auto &one : saved) swap.after(one);
        return found;
    }
};

/* Let results know how they came about; with `keeps` the derivative reads them. */
template <class Derivative>
void record(std::initializer_list<Tensor> results, std::initializer_list<Tensor> operands, bool keeps, Plain plain)
{
    auto node = c10::make_intrusive<Recorded<Derivative>>();
    node->plain = std::move(plain);
    node->saved.reserve(operands.size() + (keeps ? results.size() : 0));
    for (const Tensor &one : operands) {
        node->add_next_edge(one.defined() ? torch::autograd::impl::gradient_edge(one) : torch::autograd::Edge());
        node->saved.emplace_back(one, false);
    }
    for (const Tensor &one : results) torch::autograd::set_history(one, node);
    if (!keeps) return;
    for (const Tensor &one : results) node->saved.emplace_back(one, true);
}

} // namespace
} // namespace logsig_torch

#endif
