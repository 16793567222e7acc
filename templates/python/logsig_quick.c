/* The ordinary calls of kernels on numpy arrays, as an extension of Python: plain, contiguous, aligned arrays of one number
 * type and one batch shape, in one thread. Each object calls a C function of one problem; whatever is not ordinary, wrong
 * arguments included, goes to the callable in Python that it was made with (logsig_codegen/runtime/fast.py). */
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>

#include "logsig_path_call.h"

enum { MOST_AXES = 32 };

typedef int (*rows_of_three)(const void *, ptrdiff_t, const void *, ptrdiff_t, void *, ptrdiff_t, ptrdiff_t, int);
typedef int (*rows_of_five)(const void *, ptrdiff_t, const void *, ptrdiff_t, const void *, ptrdiff_t, void *, ptrdiff_t, void *,
                            ptrdiff_t, ptrdiff_t, int);
typedef int (*paths)(const void *, ptrdiff_t, ptrdiff_t, const ptrdiff_t *, const ptrdiff_t *, const void *, void *, ptrdiff_t,
                     ptrdiff_t, int);
typedef int (*call_of_paths)(const logsig_path_call *);

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *otherwise;       /* the same call in Python */
    PyObject *kept;            /* what the structs point to */
    void (*functions[2])(void); /* for float64 and float32, or null */
    logsig_path_call calls[2];  /* in coordinates of methods 0 and 1: without arrays and shapes */
    int in_coordinates;
    npy_intp width;   /* of the first operand of a product; of the result, along paths */
    npy_intp columns; /* of the second operand, or of a point */
    npy_intp longest; /* points of a path that is not cut */
} quick;

/* -- what is ordinary ---------------------------------------------------------------------------------------------- */

static int is_ordinary(PyObject *array, int type)
{
    return PyArray_CheckExact(array) && PyArray_TYPE((PyArrayObject *)array) == type &&
           PyArray_ISCARRAY_RO((PyArrayObject *)array) && PyArray_NDIM((PyArrayObject *)array) <= MOST_AXES;
}

/* 0 for float64, 1 for float32; -1 for everything else. */
static int place_of(PyObject *array)
{
    if (is_ordinary(array, NPY_DOUBLE)) return 0;
    return is_ordinary(array, NPY_FLOAT) ? 1 : -1;
}

static int type_of(int place) { return place ? NPY_FLOAT : NPY_DOUBLE; }

/* Whether the first `count` lengths of an array are those of another, and the next one, the last, is `columns`. */
static int has_shape(PyArrayObject *array, int count, const npy_intp *lengths, npy_intp columns)
{
    if (PyArray_NDIM(array) != count + 1 || PyArray_DIM(array, count) != columns) return 0;
    for (int k = 0; k < count; k++)
        if (PyArray_DIM(array, k) != lengths[k]) return 0;
    return 1;
}

static int is_apart(PyArrayObject *one, PyArrayObject *other)
{
    const char *first = PyArray_BYTES(one), *second = PyArray_BYTES(other);
    return first + PyArray_NBYTES(one) <= second || second + PyArray_NBYTES(other) <= first;
}

/* Whether an array that was given can receive a result of this shape; what else is read or written lies elsewhere. */
static int can_receive(PyObject *out, int type, int count, const npy_intp *lengths, npy_intp columns, PyArrayObject *const *others,
                       int number)
{
    if (!is_ordinary(out, type) || !PyArray_ISWRITEABLE((PyArrayObject *)out)) return 0;
    if (!has_shape((PyArrayObject *)out, count, lengths, columns)) return 0;
    for (int k = 0; k < number; k++)
        if (!is_apart((PyArrayObject *)out, others[k])) return 0;
    return 1;
}

/* The number of threads that is ordinary. */
static int is_one(PyObject *number)
{
    int overflow;
    return PyLong_CheckExact(number) && PyLong_AsLongAndOverflow(number, &overflow) == 1;
}

static PyArrayObject *new_array(int type, int count, const npy_intp *lengths, npy_intp columns)
{
    npy_intp shape[MOST_AXES];
    memcpy(shape, lengths, count * sizeof *shape);
    shape[count] = columns;
    return (PyArrayObject *)PyArray_SimpleNew(count + 1, shape, type);
}

/* -- calls --------------------------------------------------------------------------------------------------------- */

#define WITHOUT_LOCK(error, call) \
    do { \
        PyThreadState *const state = PyEval_SaveThread(); \
        error = call; \
        PyEval_RestoreThread(state); \
    } while (0)

static PyObject *no_memory(void)
{
    PyErr_SetString(PyExc_MemoryError, "no memory for the work space of a log-signature kernel");
    return NULL;
}

static PyObject *otherwise(quick *self, PyObject *const *arguments, size_t count, PyObject *names)
{
    return PyObject_Vectorcall(self->otherwise, arguments, count, names);
}

/* (left, right, out, n_jobs) */
static PyObject *product(PyObject *object, PyObject *const *arguments, size_t count, PyObject *names)
{
    quick *const self = (quick *)object;
    if (names || PyVectorcall_NARGS(count) != 4 || !is_one(arguments[3])) return otherwise(self, arguments, count, names);
    PyObject *const out = arguments[2];
    const int place = place_of(arguments[0]), type = type_of(place);
    if (place < 0 || !self->functions[place] || !is_ordinary(arguments[1], type)) return otherwise(self, arguments, count, names);
    PyArrayObject *const operands[2] = {(PyArrayObject *)arguments[0], (PyArrayObject *)arguments[1]};
    const int lead = PyArray_NDIM(operands[0]) - 1;
    const npy_intp *const lengths = PyArray_DIMS(operands[0]), numbers = PyArray_SIZE(operands[0]);
    if (lead < 0 || lengths[lead] != self->width || !numbers || !has_shape(operands[1], lead, lengths, self->columns) ||
        (out != Py_None && !can_receive(out, type, lead, lengths, self->width, operands, 2)))
        return otherwise(self, arguments, count, names);
    PyArrayObject *const result = out == Py_None ? new_array(type, lead, lengths, self->width) : (PyArrayObject *)Py_NewRef(out);
    if (!result) return NULL;
    int error;
    WITHOUT_LOCK(error, ((rows_of_three)self->functions[place])(PyArray_DATA(operands[0]), self->width, PyArray_DATA(operands[1]),
                                                                self->columns, PyArray_DATA(result), self->width,
                                                                numbers / self->width, 1));
    if (!error) return (PyObject *)result;
    Py_DECREF(result);
    return no_memory();
}

/* (d_out, left, right, out, n_jobs) */
static PyObject *gradient(PyObject *object, PyObject *const *arguments, size_t count, PyObject *names)
{
    quick *const self = (quick *)object;
    if (names || PyVectorcall_NARGS(count) != 5 || arguments[3] != Py_None || !is_one(arguments[4]))
        return otherwise(self, arguments, count, names);
    const int place = place_of(arguments[1]), type = type_of(place);
    if (place < 0 || !self->functions[place] || !is_ordinary(arguments[0], type) || !is_ordinary(arguments[2], type))
        return otherwise(self, arguments, count, names);
    PyArrayObject *const form = (PyArrayObject *)arguments[0], *const left = (PyArrayObject *)arguments[1],
                         *const right = (PyArrayObject *)arguments[2];
    const int lead = PyArray_NDIM(left) - 1;
    const npy_intp *const lengths = PyArray_DIMS(left), numbers = PyArray_SIZE(left);
    if (lead < 0 || lengths[lead] != self->width || !numbers || !has_shape(form, lead, lengths, self->width) ||
        !has_shape(right, lead, lengths, self->columns))
        return otherwise(self, arguments, count, names);
    PyArrayObject *const d_left = new_array(type, lead, lengths, self->width),
                         *const d_right = new_array(type, lead, lengths, self->columns);
    int error = 0;
    if (d_left && d_right)
        WITHOUT_LOCK(error, ((rows_of_five)self->functions[place])(
                                PyArray_DATA(form), self->width, PyArray_DATA(left), self->width, PyArray_DATA(right), self->columns,
                                PyArray_DATA(d_left), self->width, PyArray_DATA(d_right), self->columns, numbers / self->width, 1));
    PyObject *const pair = d_left && d_right && !error ? PyTuple_Pack(2, d_left, d_right) : NULL;
    Py_XDECREF(d_left);
    Py_XDECREF(d_right);
    return error ? no_memory() : pair;
}

/* (path, out, n_jobs) */
static PyObject *along_paths(PyObject *object, PyObject *const *arguments, size_t count, PyObject *names)
{
    quick *const self = (quick *)object;
    if (names || PyVectorcall_NARGS(count) != 3 || !is_one(arguments[2])) return otherwise(self, arguments, count, names);
    PyObject *const out = arguments[1];
    const int place = place_of(arguments[0]), type = type_of(place);
    if (place < 0 || !self->functions[place]) return otherwise(self, arguments, count, names);
    PyArrayObject *const path = (PyArrayObject *)arguments[0];
    const int lead = PyArray_NDIM(path) - 2;
    const npy_intp *const lengths = PyArray_DIMS(path), numbers = PyArray_SIZE(path);
    if (lead < 0 || lengths[lead + 1] != self->columns || !numbers || lengths[lead] > self->longest ||
        (out != Py_None && !can_receive(out, type, lead, lengths, self->width, &path, 1)))
        return otherwise(self, arguments, count, names);
    PyArrayObject *const result = out == Py_None ? new_array(type, lead, lengths, self->width) : (PyArrayObject *)Py_NewRef(out);
    if (!result) return NULL;
    const npy_intp length = lengths[lead], row = length * self->columns, batch = numbers / row;
    int error;
    if (self->in_coordinates) {
        logsig_path_call call = self->calls[place];
        call.path = PyArray_DATA(path);
        call.path_stride = row;
        call.batch = batch;
        call.length = length;
        call.out = PyArray_DATA(result);
        call.out_stride = self->width;
        WITHOUT_LOCK(error, ((call_of_paths)self->functions[place])(&call));
    } else {
        WITHOUT_LOCK(error, ((paths)self->functions[place])(PyArray_DATA(path), row, length, NULL, NULL, NULL, PyArray_DATA(result),
                                                            self->width, batch, 1));
    }
    if (!error) return (PyObject *)result;
    Py_DECREF(result);
    return no_memory();
}

/* -- the objects --------------------------------------------------------------------------------------------------- */

static int traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((quick *)object)->otherwise);
    Py_VISIT(((quick *)object)->kept);
    return 0;
}

static int clear(PyObject *object)
{
    Py_CLEAR(((quick *)object)->otherwise);
    Py_CLEAR(((quick *)object)->kept);
    return 0;
}

static void dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    clear(object);
    PyObject_GC_Del(object);
}

static PyTypeObject Quick = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "logsig_quick.Quick",
    .tp_basicsize = sizeof(quick),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(quick, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
};

/* make(kind, otherwise, (float64, float32), width, columns, longest, kept, structs): a quick call. Functions are addresses, or
 * zero; `structs` are those of calls in coordinates, as bytes, with what they point to in `kept`, or None. */
static PyObject *make(PyObject *module, PyObject *arguments)
{
    const char *kind, *structs[2] = {NULL, NULL};
    unsigned long long functions[2];
    Py_ssize_t width, columns, longest, sizes[2] = {0, 0};
    PyObject *python, *kept, *both;
    if (!PyArg_ParseTuple(arguments, "sO(KK)nnnOO", &kind, &python, &functions[0], &functions[1], &width, &columns, &longest, &kept,
                          &both))
        return NULL;
    if (both != Py_None && !PyArg_ParseTuple(both, "y#y#", &structs[0], &sizes[0], &structs[1], &sizes[1])) return NULL;
    quick *const self = PyObject_GC_New(quick, &Quick);
    if (!self) return NULL;
    self->vectorcall = strcmp(kind, "product") == 0 ? product : strcmp(kind, "gradient") == 0 ? gradient : along_paths;
    self->otherwise = Py_NewRef(python);
    self->kept = Py_NewRef(kept);
    self->in_coordinates = both != Py_None;
    for (int k = 0; k < 2; k++) {
        self->functions[k] = (void (*)(void))(uintptr_t)functions[k];
        if (sizes[k] == sizeof self->calls[k]) memcpy(&self->calls[k], structs[k], sizes[k]);
        else if (self->in_coordinates) self->functions[k] = NULL;
    }
    self->width = width, self->columns = columns, self->longest = longest;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyMethodDef methods[] = {{"make", make, METH_VARARGS, "Make a quick call."}, {NULL, NULL, 0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "logsig_quick", .m_doc = "Ordinary calls of kernels.", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_logsig_quick(void)
{
    import_array();
    return PyType_Ready(&Quick) < 0 ? NULL : PyModule_Create(&module);
}
