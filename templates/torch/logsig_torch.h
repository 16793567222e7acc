/* Operators of torch over the kernels of generated libraries: schemas, CPU and meta kernels, autograd, autocast.
 *
 * Nothing here depends on a problem. Every extension contains this file; the first one that a process loads defines the
 * operators, all of them add the kernels of their problem. The operators have the names and schemas of the Python
 * registration of logsig-codegen, which leaves them alone where it finds them, and serves them in two ways: it loads
 * kernels of problems no extension has (logsig_codegen::_load_kernels), and it takes calls under torch.func, forward
 * mode, and derivatives beyond those below (operators with an underscore before their name). Without Python there are
 * first derivatives of everything here and second derivatives of join and combine; what is missing is an error.
 */
#ifndef LOGSIG_TORCH_H
#define LOGSIG_TORCH_H

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <pthread.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace logsig_torch {
namespace {

using at::Tensor;
using Function = void (*)();
using Windows = at::OptionalIntArrayRef;
using State = std::optional<c10::string_view>;

constexpr const char *NAMESPACE = "logsig_codegen::";
constexpr int64_t WHOLE_STEPS = 192; /* shorter paths are never cut */

/* -- kernels ------------------------------------------------------------------------------------------------------ */

enum Operation {
    JOIN, JOIN_BACKPROP, JOIN_JVP, JOIN_BACKPROP_BACKPROP,
    COMBINE, COMBINE_BACKPROP, COMBINE_JVP, COMBINE_BACKPROP_BACKPROP,
    BRACKET, COADJOINT,
    LOG_SIG, LOG_SIG_BACKPROP, BY_SIGNATURE, BY_SIGNATURE_BACKPROP,
    STREAM, STREAM_BACKPROP,
    OPERATIONS
};

constexpr const char *NAMES[OPERATIONS] = {
    "join", "join_backprop", "join_jvp", "join_backprop_backprop",
    "combine", "combine_backprop", "combine_jvp", "combine_backprop_backprop",
    "bracket", "coadjoint",
    "log_sig", "log_sig_backprop", "log_sig_by_signature", "log_sig_by_signature_backprop",
    "stream", "stream_backprop",
};

/* The kernels of one problem, float64 and float32. Entries are written once. */
struct Problem {
    int64_t dimension = 0, degree = 0, size = 0;
    std::array<std::array<std::atomic<Function>, 2>, OPERATIONS> functions{};
    std::atomic<int> by_signature{-1}; /* what whole paths are carried in unless the caller says; -1: not known yet */
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
    for (int k = 0; k < OPERATIONS; k++) {
        if (operation == NAMES[k]) problem.functions[k][dtype == "float32"] = reinterpret_cast<Function>(address);
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
    if (!problem.functions[operation][single]) load(problem, NAMES[operation]);
    return problem.functions[operation][single];
}

inline bool by_signature(Problem &problem)
{
    if (problem.by_signature < 0) load(problem, "default_state");
    return problem.by_signature > 0;
}

inline Function function_of(Problem &problem, Operation operation, const Tensor &like)
{
    const Function function = find(problem, operation, like.scalar_type() == at::kFloat);
    TORCH_CHECK_NOT_IMPLEMENTED(function, "no kernel of ", NAMES[operation], " for (dimension=", problem.dimension,
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
    const int64_t usable = std::max<int64_t>(1, std::thread::hardware_concurrency());
    return static_cast<int>(n_jobs > 0 ? std::min(n_jobs, usable) : std::max<int64_t>(1, usable + 1 + n_jobs));
}

/* -- checks ------------------------------------------------------------------------------------------------------- */

inline void check_dtype(const char *name, const Tensor &tensor, const Tensor &first)
{
    const auto dtype = tensor.scalar_type();
    TORCH_CHECK_TYPE(dtype == at::kDouble || dtype == at::kFloat, name, ": expected dtype float32 or float64, got ",
                     dtype, dtype == at::kHalf || dtype == at::kBFloat16
                                ? "; under torch.autocast it is computed in float32"
                                : "");
    TORCH_CHECK_TYPE(dtype == first.scalar_type(), name, ": expected dtype ", first.scalar_type(),
                     ", that of the other arguments, got ", dtype);
    TORCH_CHECK_TYPE(tensor.device() == first.device(), name, ": expected device ", first.device(),
                     ", that of the others, got ", tensor.device());
}

inline void check_row(const char *name, const Tensor &tensor, int64_t width, const Problem &problem)
{
    TORCH_CHECK_VALUE(tensor.dim() && tensor.sym_size(-1) == width, name, ": expected last dimension ", width,
                      " for (dimension=", problem.dimension, ", degree=", problem.degree, "), got ",
                      tensor.dim() ? c10::str(tensor.sym_size(-1)) : std::string("an array without axes"));
}

/* -- operations on rows ------------------------------------------------------------------------------------------- */

/* An operation whose operands are all rows. A width is 0 for a row of the dimension, 1 for one of the size. */
struct Rows {
    Operation operation;
    std::vector<const char *> names;
    std::vector<int> inputs, outputs, like; /* like: the input whose shape each output has; empty: the broadcast */
};

inline const Rows &rows_of(Operation operation)
{
    static const std::array<Rows, COADJOINT + 1> table = {{
        {JOIN, {"log_sig", "displacement"}, {1, 0}, {1}, {}},
        {JOIN_BACKPROP, {"d_out", "log_sig", "displacement"}, {1, 1, 0}, {1, 0}, {1, 2}},
        {JOIN_JVP, {"log_sig", "displacement", "t_log_sig", "t_displacement"}, {1, 0, 1, 0}, {1}, {}},
        {JOIN_BACKPROP_BACKPROP,
         {"d_d_log_sig", "d_d_displacement", "d_out", "log_sig", "displacement"}, {1, 0, 1, 1, 0}, {1, 1, 0}, {2, 3, 4}},
        {COMBINE, {"log_sig1", "log_sig2"}, {1, 1}, {1}, {}},
        {COMBINE_BACKPROP, {"d_out", "log_sig1", "log_sig2"}, {1, 1, 1}, {1, 1}, {1, 2}},
        {COMBINE_JVP, {"log_sig1", "log_sig2", "t_log_sig1", "t_log_sig2"}, {1, 1, 1, 1}, {1}, {}},
        {COMBINE_BACKPROP_BACKPROP,
         {"d_d_log_sig1", "d_d_log_sig2", "d_out", "log_sig1", "log_sig2"}, {1, 1, 1, 1, 1}, {1, 1, 1}, {2, 3, 4}},
        {BRACKET, {"left", "right"}, {1, 1}, {1}, {}},
        {COADJOINT, {"actor", "form"}, {1, 1}, {1}, {}},
    }};
    return table[operation];
}

inline int call_rows(Function f, size_t operands, void *const *p, const ptrdiff_t *s, ptrdiff_t batch, int n_jobs)
{
    using V = void *;
    using S = ptrdiff_t;
    switch (operands) {
    case 3:
        return reinterpret_cast<int (*)(V, S, V, S, V, S, S, int)>(f)(p[0], s[0], p[1], s[1], p[2], s[2], batch, n_jobs);
    case 5:
        return reinterpret_cast<int (*)(V, S, V, S, V, S, V, S, V, S, S, int)>(f)(
            p[0], s[0], p[1], s[1], p[2], s[2], p[3], s[3], p[4], s[4], batch, n_jobs);
    default:
        return reinterpret_cast<int (*)(V, S, V, S, V, S, V, S, V, S, V, S, V, S, V, S, S, int)>(f)(
            p[0], s[0], p[1], s[1], p[2], s[2], p[3], s[3], p[4], s[4], p[5], s[5], p[6], s[6], p[7], s[7], batch,
            n_jobs);
    }
}

inline Tensor summed_to(const Tensor &full, at::IntArrayRef shape)
{
    if (full.sizes() == shape) return full;
    return at::sum_to(full.to(at::kDouble), shape).to(full.scalar_type()); /* sums of float32 in double precision */
}

template <size_t N>
c10::SmallVector<Tensor, 3> run_rows(Operation operation, const std::array<Tensor, N> &inputs, int64_t dimension,
                                     int64_t degree, int64_t n_jobs)
{
    const Rows &rows = rows_of(operation);
    Problem &problem = problem_of(dimension, degree);
    const int64_t widths[2] = {dimension, problem.size};
    bool even = true; /* one shape of the batch, contiguous: nothing to broadcast */
    for (size_t k = 0; k < N; k++) {
        check_dtype(rows.names[k], inputs[k], inputs[0]);
        check_row(rows.names[k], inputs[k], widths[rows.inputs[k]], problem);
        even = even && inputs[k].is_contiguous() && inputs[k].dim() == inputs[0].dim() &&
               inputs[k].sizes().slice(0, inputs[k].dim() - 1) == inputs[0].sizes().slice(0, inputs[0].dim() - 1);
    }
    at::DimVector shape(inputs[0].sizes().begin(), inputs[0].sizes().end() - 1);
    if (!even) {
        for (size_t k = 1; k < N; k++) {
            shape = at::infer_size_dimvector(shape, inputs[k].sizes().slice(0, inputs[k].dim() - 1));
        }
    }
    int64_t batch = 1;
    for (const int64_t length : shape) batch *= length;
    std::array<Tensor, N> kept;
    std::array<void *, 8> pointers{};
    std::array<ptrdiff_t, 8> strides{};
    shape.push_back(0);
    for (size_t k = 0; k < N; k++) {
        const int64_t width = shape.back() = widths[rows.inputs[k]];
        const bool one = !even && inputs[k].numel() == width;
        kept[k] = even ? inputs[k] : (one ? inputs[k] : inputs[k].expand(shape)).contiguous();
        pointers[k] = kept[k].data_ptr();
        strides[k] = one ? 0 : width;
    }
    c10::SmallVector<Tensor, 3> outputs;
    size_t operand = N;
    for (const int kind : rows.outputs) {
        shape.back() = widths[kind];
        outputs.push_back(at::empty(shape, inputs[0].options()));
        pointers[operand] = outputs.back().data_ptr();
        strides[operand++] = widths[kind];
    }
    if (batch) {
        const int error = call_rows(function_of(problem, operation, inputs[0]), operand, pointers.data(),
                                    strides.data(), batch, threads(n_jobs));
        TORCH_CHECK_WITH(OutOfMemoryError, !error, "no memory for a kernel's working space");
    }
    if (!even) {
        for (size_t k = 0; k < rows.like.size(); k++) {
            outputs[k] = summed_to(outputs[k], inputs[rows.like[k]].sizes());
        }
    }
    return outputs;
}

template <size_t N>
c10::SmallVector<Tensor, 3> meta_rows(Operation operation, const std::array<Tensor, N> &inputs, int64_t dimension,
                                      int64_t degree)
{
    const Rows &rows = rows_of(operation);
    Problem &problem = problem_of(dimension, degree);
    const int64_t widths[2] = {dimension, problem.size};
    at::SymDimVector shape(inputs[0].sym_sizes().begin(), inputs[0].sym_sizes().end() - (inputs[0].dim() ? 1 : 0));
    for (size_t k = 0; k < N; k++) {
        check_dtype(rows.names[k], inputs[k], inputs[0]);
        check_row(rows.names[k], inputs[k], widths[rows.inputs[k]], problem);
        if (k) shape = at::infer_size_symdimvector(shape, inputs[k].sym_sizes().slice(0, inputs[k].dim() - 1));
    }
    c10::SmallVector<Tensor, 3> outputs;
    for (size_t k = 0; k < rows.outputs.size(); k++) {
        if (rows.like.empty()) {
            shape.push_back(widths[rows.outputs[k]]);
            outputs.push_back(at::empty_symint(shape, inputs[0].options()));
        } else {
            outputs.push_back(at::empty_symint(inputs[rows.like[k]].sym_sizes(), inputs[0].options()));
        }
    }
    return outputs;
}

template <size_t N> auto packed(c10::SmallVector<Tensor, 3> results)
{
    if constexpr (N == 1) {
        return results[0];
    } else if constexpr (N == 2) {
        return std::make_tuple(results[0], results[1]);
    } else {
        return std::make_tuple(results[0], results[1], results[2]);
    }
}

/* The kernels of an operation with 2, 3, 4 or 5 inputs and OUT outputs. */
template <Operation OP, size_t OUT> struct Two {
    static auto cpu(const Tensor &a, const Tensor &b, int64_t d, int64_t n, int64_t jobs)
    {
        return packed<OUT>(run_rows<2>(OP, {a, b}, d, n, jobs));
    }
    static auto meta(const Tensor &a, const Tensor &b, int64_t d, int64_t n, int64_t)
    {
        return packed<OUT>(meta_rows<2>(OP, {a, b}, d, n));
    }
};
template <Operation OP, size_t OUT> struct Three {
    static auto cpu(const Tensor &a, const Tensor &b, const Tensor &c, int64_t d, int64_t n, int64_t jobs)
    {
        return packed<OUT>(run_rows<3>(OP, {a, b, c}, d, n, jobs));
    }
    static auto meta(const Tensor &a, const Tensor &b, const Tensor &c, int64_t d, int64_t n, int64_t)
    {
        return packed<OUT>(meta_rows<3>(OP, {a, b, c}, d, n));
    }
};
template <Operation OP, size_t OUT> struct Four {
    static auto cpu(const Tensor &a, const Tensor &b, const Tensor &c, const Tensor &e, int64_t d, int64_t n,
                    int64_t jobs)
    {
        return packed<OUT>(run_rows<4>(OP, {a, b, c, e}, d, n, jobs));
    }
    static auto meta(const Tensor &a, const Tensor &b, const Tensor &c, const Tensor &e, int64_t d, int64_t n, int64_t)
    {
        return packed<OUT>(meta_rows<4>(OP, {a, b, c, e}, d, n));
    }
};
template <Operation OP, size_t OUT> struct Five {
    static auto cpu(const Tensor &a, const Tensor &b, const Tensor &c, const Tensor &e, const Tensor &f, int64_t d,
                    int64_t n, int64_t jobs)
    {
        return packed<OUT>(run_rows<5>(OP, {a, b, c, e, f}, d, n, jobs));
    }
    static auto meta(const Tensor &a, const Tensor &b, const Tensor &c, const Tensor &e, const Tensor &f, int64_t d,
                     int64_t n, int64_t)
    {
        return packed<OUT>(meta_rows<5>(OP, {a, b, c, e, f}, d, n));
    }
};

/* -- whole paths -------------------------------------------------------------------------------------------------- */

struct Products {
    Function log_sig, combine, combine_backprop;
};

/* Paths in one array, as the C functions want them. */
struct Paths {
    Tensor data, lengths, starts; /* lengths, starts: int64, or undefined */
    int64_t count = 0, length = 0, stride = 0;

    const ptrdiff_t *length_data() const
    {
        return lengths.defined() ? reinterpret_cast<const ptrdiff_t *>(lengths.const_data_ptr<int64_t>()) : nullptr;
    }
    const ptrdiff_t *start_data() const
    {
        return starts.defined() ? reinterpret_cast<const ptrdiff_t *>(starts.const_data_ptr<int64_t>()) : nullptr;
    }
};
static_assert(sizeof(ptrdiff_t) == sizeof(int64_t));

/* What is to be done with the paths, checked. */
struct Request {
    Problem &problem;
    bool stream, by_signature, windowed;
    int64_t window = 0, step = 0;
    int threads;
    Paths paths;
    at::DimVector batch, rows; /* shapes: of the paths; of the result without its last axis and what initial adds */

    Function function(Operation operation) const { return function_of(problem, operation, paths.data); }
};

inline int64_t window_count(int64_t length, int64_t size, int64_t stride)
{
    return length < size ? 0 : (length - size) / stride + 1;
}

inline Request request(const Tensor &path, const std::optional<Tensor> &lengths, const std::optional<Tensor> &initial,
                       int64_t dimension, int64_t degree, bool stream, const Windows &windows, const State &state,
                       int64_t method, int64_t n_jobs)
{
    Problem &problem = problem_of(dimension, degree);
    check_dtype("path", path, path);
    TORCH_CHECK_VALUE(path.dim() >= 2 && path.size(-1) == dimension, "path: expected shape (..., length, ", dimension,
                      "), got ", path.sizes());
    TORCH_CHECK_VALUE(method >= 0 && method <= 3, "method: expected 0, 1, 2 or 3, got ", method);
    TORCH_CHECK_VALUE(!(stream && windows.has_value()), "windows: expected None with stream=True");
    Request made{problem, stream, by_signature(problem), windows.has_value(), 0, 0, threads(n_jobs), {}, {}, {}};
    if (state.has_value()) {
        TORCH_CHECK_VALUE(*state == "signature" || *state == "log_derivative",
                          "state: expected None or one of log_derivative, signature, got ", *state);
        made.by_signature = *state == "signature";
    }
    made.batch.assign(path.sizes().begin(), path.sizes().end() - 2);
    Paths &paths = made.paths;
    paths.data = path.contiguous();
    paths.length = path.size(-2);
    paths.stride = paths.length * dimension;
    paths.count = c10::multiply_integers(made.batch);
    if (lengths.has_value()) {
        TORCH_CHECK_TYPE(c10::isIntegralType(lengths->scalar_type(), false), "lengths: expected integers, got ",
                         lengths->scalar_type());
        TORCH_CHECK_VALUE(lengths->sizes() == at::IntArrayRef(made.batch), "lengths: expected shape ",
                          at::IntArrayRef(made.batch), ", that of the batch, got ", lengths->sizes());
        paths.lengths = lengths->to(at::kLong).contiguous().reshape(-1);
        TORCH_CHECK_VALUE(!paths.count || (paths.lengths.min().item<int64_t>() >= 0 &&
                                           paths.lengths.max().item<int64_t>() <= paths.length),
                          "lengths: expected values from 0 to ", paths.length);
    }
    made.rows = made.batch;
    if (stream) made.rows.push_back(std::max<int64_t>(paths.length - 1, 0));
    if (made.windowed) {
        TORCH_CHECK_VALUE(windows->size() == 2 && (*windows)[0] >= 1 && (*windows)[1] >= 1,
                          "windows: expected a pair (size, stride) of numbers from 1 up");
        TORCH_CHECK_VALUE(!initial.has_value(), "initial: expected None with windows");
        made.window = (*windows)[0];
        made.step = (*windows)[1];
        made.rows.push_back(window_count(paths.length, made.window, made.step));
    }
    if (initial.has_value()) {
        check_dtype("initial", *initial, path);
        check_row("initial", *initial, problem.size, problem);
        const auto lead = initial->sizes().slice(0, initial->dim() - 1);
        const auto full = at::infer_size_dimvector(lead, made.batch);
        TORCH_CHECK_VALUE(!stream || full == made.batch, "initial: expected a leading shape that broadcasts to ",
                          at::IntArrayRef(made.batch), ", that of path, got ", lead);
    }
    return made;
}

/* The windows as paths: those of one path follow one another. */
inline Paths windows_of(const Request &made)
{
    const Paths &paths = made.paths;
    const int64_t per_path = window_count(paths.length, made.window, made.step);
    const Tensor first = at::arange(per_path, at::kLong) * made.step;
    Paths found;
    found.data = paths.data;
    found.length = made.window;
    found.count = paths.count * per_path;
    found.starts = ((at::arange(paths.count, at::kLong) * paths.stride).unsqueeze(1) +
                    first * made.problem.dimension).reshape(-1).contiguous();
    if (paths.lengths.defined()) {
        found.lengths = (paths.lengths.unsqueeze(1) - first).clamp(0, made.window).reshape(-1).contiguous();
        found.starts = found.starts * (found.lengths > 0);
    }
    return found;
}

/* The functions that cut long paths, where they are at hand. */
inline Products products_of(const Request &made, bool backward)
{
    const bool single = made.paths.data.scalar_type() == at::kFloat;
    Products products{nullptr, find(made.problem, COMBINE, single), nullptr};
    if (backward) {
        products.log_sig = find(made.problem, made.by_signature ? BY_SIGNATURE : LOG_SIG, single);
        products.combine_backprop = find(made.problem, COMBINE_BACKPROP, single);
    }
    return products;
}

inline void check_error(int error)
{
    TORCH_CHECK_WITH(OutOfMemoryError, !error, "no memory for a kernel's working space");
}

inline Tensor walk(const Request &made, const Paths &paths)
{
    const int64_t size = made.problem.size;
    Tensor out = at::empty({paths.count, size}, paths.data.options());
    if (!paths.count) return out;
    const Products products = paths.length > WHOLE_STEPS ? products_of(made, false) : Products{};
    using Kernel = int (*)(const void *, ptrdiff_t, ptrdiff_t, const ptrdiff_t *, const ptrdiff_t *, const Products *,
                           void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(made.by_signature ? BY_SIGNATURE : LOG_SIG));
    check_error(kernel(paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(),
                       paths.start_data(), products.combine ? &products : nullptr, out.data_ptr(), size, paths.count,
                       made.threads));
    return out;
}

inline void walk_back(const Request &made, const Paths &paths, const Tensor &d_out, const Tensor &result,
                      const Tensor &d_data)
{
    const int64_t size = made.problem.size;
    if (!paths.count) return;
    const Products products = paths.length > WHOLE_STEPS ? products_of(made, true) : Products{};
    using Kernel = int (*)(const void *, ptrdiff_t, const void *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                           const ptrdiff_t *, const ptrdiff_t *, const Products *, void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel =
        reinterpret_cast<Kernel>(made.function(made.by_signature ? BY_SIGNATURE_BACKPROP : LOG_SIG_BACKPROP));
    const bool cut = products.log_sig && products.combine && products.combine_backprop;
    check_error(kernel(d_out.const_data_ptr(), size, result.const_data_ptr(), size, paths.data.const_data_ptr(),
                       paths.stride, paths.length, paths.length_data(), paths.start_data(), cut ? &products : nullptr,
                       d_data.data_ptr(), paths.length * made.problem.dimension, paths.count, made.threads));
}

inline Tensor initial_rows(const Request &made, const std::optional<Tensor> &initial)
{
    if (!initial.has_value()) return Tensor();
    at::DimVector shape = made.batch;
    shape.push_back(made.problem.size);
    return initial->expand(shape).contiguous();
}

inline Tensor stream_forward(const Request &made, const Tensor &initial)
{
    const int64_t size = made.problem.size, steps = std::max<int64_t>(made.paths.length - 1, 0);
    Tensor out = at::empty({made.paths.count, steps, size}, made.paths.data.options());
    if (!out.numel()) return out;
    using Kernel = int (*)(const void *, ptrdiff_t, ptrdiff_t, const ptrdiff_t *, const ptrdiff_t *, const void *,
                           ptrdiff_t, void *, ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(STREAM));
    const Paths &paths = made.paths;
    check_error(kernel(paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(), nullptr,
                       initial.defined() ? initial.const_data_ptr() : nullptr, size, out.data_ptr(), steps * size,
                       paths.count, made.threads));
    return out;
}

inline Tensor stream_backward(const Request &made, const Tensor &d_out, const Tensor &stream, const Tensor &initial,
                              const Tensor &d_data)
{
    const int64_t size = made.problem.size, steps = std::max<int64_t>(made.paths.length - 1, 0);
    Tensor d_initial = initial.defined() ? at::zeros_like(initial) : Tensor();
    if (!made.paths.count || !steps) return d_initial;
    using Kernel = int (*)(const void *, ptrdiff_t, const void *, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                           const ptrdiff_t *, const ptrdiff_t *, const void *, ptrdiff_t, void *, ptrdiff_t, void *,
                           ptrdiff_t, ptrdiff_t, int);
    const auto kernel = reinterpret_cast<Kernel>(made.function(STREAM_BACKPROP));
    const Paths &paths = made.paths;
    check_error(kernel(d_out.const_data_ptr(), steps * size, stream.const_data_ptr(), steps * size,
                       paths.data.const_data_ptr(), paths.stride, paths.length, paths.length_data(), nullptr,
                       initial.defined() ? initial.const_data_ptr() : nullptr, size, d_data.data_ptr(), paths.stride,
                       initial.defined() ? d_initial.data_ptr() : nullptr, size, paths.count, made.threads));
    return d_initial;
}

/* Windows that share points are taken in turns, since each writes the gradient of all of its points. */
inline Tensor windows_backward(const Request &made, const Tensor &d_out, const std::optional<Tensor> &known)
{
    const Paths windows = windows_of(made);
    const int64_t per_path = window_count(made.paths.length, made.window, made.step);
    const int64_t turns = std::min((made.window + made.step - 1) / made.step, per_path);
    const Tensor result = known.has_value() ? *known : walk(made, windows);
    const Tensor turn_of = (at::arange(windows.count, at::kLong) % std::max<int64_t>(per_path, 1)) %
                           std::max<int64_t>(turns, 1);
    Tensor total = at::zeros_like(made.paths.data);
    for (int64_t turn = 0; turn < turns; turn++) {
        const Tensor chosen = (turn_of == turn).nonzero().reshape(-1);
        Paths some = windows;
        some.count = chosen.numel();
        some.starts = windows.starts.index_select(0, chosen);
        if (windows.lengths.defined()) some.lengths = windows.lengths.index_select(0, chosen);
        const Tensor d_data = at::zeros_like(made.paths.data);
        walk_back(made, some, d_out.index_select(0, chosen), result.index_select(0, chosen), d_data);
        total.add_(d_data);
    }
    return total;
}

/* Another operator of the namespace, which Python has and this file does not. */
template <class... Rest> Tensor convert(const char *name, const Tensor &tensor, Rest... rest)
{
    const auto conversion = operator_named(name);
    TORCH_CHECK_NOT_IMPLEMENTED(conversion, "method: expected 2 or 3 (Lyndon brackets), for which there are kernels; "
                                            "others need logsig_codegen.torch_api to be imported");
    torch::jit::Stack stack{tensor, rest...};
    conversion->callBoxed(stack);
    return stack.at(0).toTensor();
}

inline Tensor log_sig_cpu(const Tensor &path, const std::optional<Tensor> &lengths,
                          const std::optional<Tensor> &initial, int64_t dimension, int64_t degree, bool stream,
                          Windows windows, State state, int64_t method, int64_t n_jobs)
{
    const Request made =
        request(path, lengths, initial, dimension, degree, stream, windows, state, method, n_jobs);
    at::DimVector shape = made.rows;
    shape.push_back(made.problem.size);
    Tensor result;
    if (stream) {
        result = stream_forward(made, initial_rows(made, initial)).reshape(shape);
    } else {
        result = walk(made, made.windowed ? windows_of(made) : made.paths).reshape(shape);
        if (initial.has_value()) result = Two<COMBINE, 1>::cpu(*initial, result, dimension, degree, n_jobs);
    }
    if (method >= 2) return result;
    return convert("change_method", result, dimension, degree, int64_t{2}, method, false);
}

inline std::tuple<Tensor, Tensor> log_sig_backprop_cpu(
    const Tensor &d_out_given, const std::optional<Tensor> &result_given, const Tensor &path,
    const std::optional<Tensor> &lengths, const std::optional<Tensor> &initial, int64_t dimension, int64_t degree,
    bool stream, Windows windows, State state, int64_t method, int64_t n_jobs)
{
    const Request made =
        request(path, lengths, initial, dimension, degree, stream, windows, state, method, n_jobs);
    check_dtype("d_out", d_out_given, path);
    const int64_t size = made.problem.size;
    at::DimVector shape = made.rows;
    shape.push_back(size);
    Tensor d_out = d_out_given, d_initial = at::empty({0}, path.options());
    std::optional<Tensor> known = result_given;
    if (method < 2) {
        d_out = convert("change_method_backprop", d_out, dimension, degree, int64_t{2}, method, false);
        known = std::nullopt;
    }
    if (initial.has_value() && !stream) {
        const Tensor along = walk(made, made.paths).reshape(shape);
        std::tie(d_initial, d_out) =
            Three<COMBINE_BACKPROP, 2>::cpu(d_out, *initial, along, dimension, degree, n_jobs);
        known = along;
    }
    d_out = d_out.expand(shape).contiguous();
    Tensor d_data;
    if (stream) {
        const Tensor before = initial_rows(made, initial);
        const Tensor all = known.has_value() ? known->contiguous() : stream_forward(made, before);
        d_data = at::zeros_like(made.paths.data);
        const Tensor d_before = stream_backward(made, d_out, all, before, d_data);
        if (initial.has_value()) d_initial = summed_to(d_before, initial->sizes());
    } else if (made.windowed) {
        if (known.has_value()) known = known->contiguous().reshape({-1, size});
        d_data = windows_backward(made, d_out.reshape({-1, size}), known);
    } else {
        const Tensor result = known.has_value() ? known->contiguous() : walk(made, made.paths);
        d_data = at::zeros_like(made.paths.data);
        walk_back(made, made.paths, d_out, result, d_data);
    }
    return {d_data, d_initial};
}

inline Tensor log_sig_meta(const Tensor &path, const std::optional<Tensor> &lengths,
                           const std::optional<Tensor> &initial, int64_t dimension, int64_t degree, bool stream,
                           Windows windows, State, int64_t method, int64_t)
{
    Problem &problem = problem_of(dimension, degree);
    check_dtype("path", path, path);
    TORCH_CHECK_VALUE(path.dim() >= 2 && path.sym_size(-1) == dimension, "path: expected shape (..., length, ",
                      dimension, "), got ", path.sym_sizes());
    const c10::SymInt length = path.sym_size(-2);
    at::SymDimVector shape(path.sym_sizes().begin(), path.sym_sizes().end() - 2);
    if (initial.has_value() && !stream) {
        shape = at::infer_size_symdimvector(initial->sym_sizes().slice(0, initial->dim() - 1), shape);
    }
    if (stream) shape.push_back((length - 1).max(0));
    if (windows.has_value()) shape.push_back(((length - (*windows)[0]) / (*windows)[1] + 1).max(0));
    int64_t width = problem.size;
    if (method == 0) {
        width = 0;
        for (int64_t k = 0, power = 1; k < degree; k++) width += power *= dimension;
    }
    shape.push_back(width);
    return at::empty_symint(shape, path.options());
}

inline std::tuple<Tensor, Tensor> log_sig_backprop_meta(
    const Tensor &d_out, const std::optional<Tensor> &, const Tensor &path, const std::optional<Tensor> &,
    const std::optional<Tensor> &initial, int64_t, int64_t, bool, Windows, State, int64_t, int64_t)
{
    check_dtype("d_out", d_out, path);
    return {at::empty_symint(path.sym_sizes(), path.options()),
            initial.has_value() ? at::empty_symint(initial->sym_sizes(), path.options())
                                : at::empty({0}, path.options())};
}

/* -- autograd ----------------------------------------------------------------------------------------------------- */

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

/* Typed access to an operator of this namespace. */
template <class Signature> const c10::TypedOperatorHandle<Signature> &handle(const char *name)
{
    static const auto found = operator_named(name)->typed<Signature>();
    return found;
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

template <Operation OP, class Signature> const c10::TypedOperatorHandle<Signature> &own()
{
    static const auto found = operator_named(NAMES[OP])->typed<Signature>();
    return found;
}

/* join or combine */
template <Operation OP> struct Product : torch::autograd::Function<Product<OP>> {
    static constexpr Operation BACK = static_cast<Operation>(OP + 1);

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
            return pass_on_typed<Tensor>(NAMES[OP], left, right, dimension, degree, n_jobs);
        }
        if (graph) return Product::apply(keys, left, right, dimension, degree, n_jobs);
        at::AutoDispatchBelowADInplaceOrView below;
        return own<OP, Binary>().redispatch(keys & c10::after_autograd_keyset, left, right, dimension, degree, n_jobs);
    }
};

/* join_backprop or combine_backprop */
template <Operation OP> struct ProductGradient : torch::autograd::Function<ProductGradient<OP>> {
    static constexpr Operation BACK = static_cast<Operation>(OP + 2);

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
            return pass_on_typed<std::tuple<Tensor, Tensor>>(NAMES[OP], d_out, left, right, dimension, degree, n_jobs);
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
            return pass_on_typed<Tensor>(NAMES[LOG_SIG], path, lengths, initial, dimension, degree, stream, pair, text,
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

/* Where tensors on a GPU arrive. */
inline void refuse_device(const c10::OperatorHandle &op, c10::DispatchKeySet, torch::jit::Stack *)
{
    TORCH_CHECK_NOT_IMPLEMENTED(false, op.operator_name().name, ": there are no kernels for CUDA; move the tensors "
                                                                "with .cpu()");
}

/* -- registration ------------------------------------------------------------------------------------------------- */

template <class Kernels> void implement(torch::Library &m, const char *name)
{
    m.impl(name, torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(Kernels::cpu)));
    m.impl(name, torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(Kernels::meta)));
}

inline void define(torch::Library &m)
{
    const std::vector<at::Tag> tags = {at::Tag::pt2_compliant_tag};
    const std::string numbers = "int dimension, int degree, int n_jobs=1";
    for (int k = JOIN; k <= COADJOINT; k++) {
        const Rows &rows = rows_of(static_cast<Operation>(k));
        std::string schema = std::string(NAMES[k]) + "(";
        for (const char *name : rows.names) schema += std::string("Tensor ") + name + ", ";
        schema += numbers + ") -> ";
        const size_t count = rows.outputs.size();
        schema += count == 1 ? "Tensor" : (count == 2 ? "(Tensor, Tensor)" : "(Tensor, Tensor, Tensor)");
        m.def(schema.c_str(), tags);
    }
    const std::string options = "int dimension, int degree, bool stream=False, int[]? windows=None, str? state=None, "
                                "int method=2, int n_jobs=1";
    m.def(("log_sig(Tensor path, Tensor? lengths, Tensor? initial, " + options + ") -> Tensor").c_str(), tags);
    m.def(("log_sig_backprop(Tensor d_out, Tensor? result, Tensor path, Tensor? lengths, Tensor? initial, " + options +
           ") -> (Tensor, Tensor)").c_str(), tags);
    implement<Two<JOIN, 1>>(m, "join");
    implement<Three<JOIN_BACKPROP, 2>>(m, "join_backprop");
    implement<Four<JOIN_JVP, 1>>(m, "join_jvp");
    implement<Five<JOIN_BACKPROP_BACKPROP, 3>>(m, "join_backprop_backprop");
    implement<Two<COMBINE, 1>>(m, "combine");
    implement<Three<COMBINE_BACKPROP, 2>>(m, "combine_backprop");
    implement<Four<COMBINE_JVP, 1>>(m, "combine_jvp");
    implement<Five<COMBINE_BACKPROP_BACKPROP, 3>>(m, "combine_backprop_backprop");
    implement<Two<BRACKET, 1>>(m, "bracket");
    implement<Two<COADJOINT, 1>>(m, "coadjoint");
    m.impl("log_sig", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(log_sig_cpu)));
    m.impl("log_sig", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(log_sig_meta)));
    m.impl("log_sig_backprop", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(log_sig_backprop_cpu)));
    m.impl("log_sig_backprop", torch::dispatch(c10::DispatchKey::Meta, TORCH_FN(log_sig_backprop_meta)));
    m.impl("join", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(Product<JOIN>::autograd)));
    m.impl("combine", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(Product<COMBINE>::autograd)));
    m.impl("join_backprop",
           torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(ProductGradient<JOIN_BACKPROP>::autograd)));
    m.impl("combine_backprop",
           torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(ProductGradient<COMBINE_BACKPROP>::autograd)));
    m.impl("log_sig", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(WholePath::autograd)));
    for (const char *name : {"join_jvp", "join_backprop_backprop", "combine_jvp", "combine_backprop_backprop",
                             "bracket", "coadjoint", "log_sig_backprop"}) {
        m.impl(name, torch::dispatch(c10::DispatchKey::Autograd,
                                     torch::CppFunction::makeFromBoxedFunction<&autograd_elsewhere>()));
    }
    for (int k = JOIN; k <= LOG_SIG_BACKPROP; k++) {
        for (const auto key : {c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA}) {
            m.impl(NAMES[k], torch::dispatch(key, torch::CppFunction::makeFromBoxedFunction<&autocast>()));
        }
        m.impl(NAMES[k], torch::dispatch(c10::DispatchKey::CUDA,
                                         torch::CppFunction::makeFromBoxedFunction<&refuse_device>()));
    }
    m.def("_add_kernel(int dimension, int degree, str operation, str dtype, int address) -> ()", add_kernel);
}

/* The kernels of one extension. */
struct Entry {
    const char *operation, *dtype;
    Function function;
};

inline void extend(torch::Library &m, int64_t dimension, int64_t degree, const char *default_state,
                   at::ArrayRef<Entry> entries)
{
    if (!operator_named("join")) define(m);
    const auto add = operator_named("_add_kernel");
    if (!add) return; /* Python has registered the operators: it has kernels of its own */
    const auto hand_over = [&](const char *operation, const char *dtype, int64_t address) {
        torch::jit::Stack stack{dimension, degree, std::string(operation), std::string(dtype), address};
        add->callBoxed(stack);
    };
    hand_over("default_state", default_state, 0);
    for (const Entry &entry : entries) {
        hand_over(entry.operation, entry.dtype, reinterpret_cast<int64_t>(entry.function));
    }
    forked();
}

} // namespace
} // namespace logsig_torch

#endif
