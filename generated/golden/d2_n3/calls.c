/* Calls along paths: dimension 2, degree 3. */
#ifndef LOGSIG_MAX_VECTOR_BYTES
#define LOGSIG_MAX_VECTOR_BYTES 16 /* only gradients of windows are added here: no intrinsics, which take long to read */
#endif
#define LOGSIG_MAPS_IN_LANES 1
#include "logsig_calls.h"
#include "logsig_d2_n3.h"

#if LOGSIG_REAL_BITS == 64
#define ENTRY(name) logsig_d2_n3_##name##_f64
#else
#define ENTRY(name) logsig_d2_n3_##name##_f32
#endif

/* The functions this library has: for the default state, the logarithmic derivative, and the signature. */
static const logsig_path_functions FUNCTIONS[] = {
    {
        .log_sig = (void (*)(void))ENTRY(log_sig),
        .log_sig_backprop = (void (*)(void))ENTRY(log_sig_backprop),
        .stream = (void (*)(void))ENTRY(stream),
        .stream_backprop = (void (*)(void))ENTRY(stream_backprop),
        .combine = (void (*)(void))ENTRY(combine),
        .combine_backprop = (void (*)(void))ENTRY(combine_backprop),
        .windows = (void (*)(void))ENTRY(windows),
        .windows_backprop = (void (*)(void))ENTRY(windows_backprop),
    },
    {
        .log_sig = (void (*)(void))ENTRY(log_sig),
        .log_sig_backprop = (void (*)(void))ENTRY(log_sig_backprop),
        .stream = (void (*)(void))ENTRY(stream),
        .stream_backprop = (void (*)(void))ENTRY(stream_backprop),
        .combine = (void (*)(void))ENTRY(combine),
        .combine_backprop = (void (*)(void))ENTRY(combine_backprop),
        .windows = (void (*)(void))ENTRY(windows),
        .windows_backprop = (void (*)(void))ENTRY(windows_backprop),
    },
    {
        .log_sig = (void (*)(void))ENTRY(log_sig_by_signature),
        .log_sig_backprop = (void (*)(void))ENTRY(log_sig_backprop),
        .stream = (void (*)(void))ENTRY(stream),
        .stream_backprop = (void (*)(void))ENTRY(stream_backprop),
        .combine = (void (*)(void))ENTRY(combine),
        .combine_backprop = (void (*)(void))ENTRY(combine_backprop),
        .windows = (void (*)(void))ENTRY(windows),
        .windows_backprop = (void (*)(void))ENTRY(windows_backprop),
    },
};

int ENTRY(paths)(const logsig_path_call *call)
{
    logsig_request request;
    const int error = logsig_make_request(call, 2, 3, 5, FUNCTIONS, logsig_d2_n3_coordinates, 0, &request);
    return error ? error : logsig_run_call(&request);
}

int ENTRY(paths_backprop)(const logsig_path_call *call)
{
    logsig_request request;
    const int error = logsig_make_request(call, 2, 3, 5, FUNCTIONS, logsig_d2_n3_coordinates, 1, &request);
    return error ? error : logsig_run_call_back(&request);
}
