/* Description of the kernels for dimension 2, degree 3. */
#include "logsig_d2_n3.h"

typedef struct {
    const char *operation;
    const char *dtype;
    void (*function)(void);
} logsig_entry;

typedef struct {
    int abi_version;
    int dimension;
    int degree;
    int n_entries;
    long long size;
    const logsig_entry *entries;
} logsig_module;

const logsig_module *logsig_describe(void);

static const logsig_entry entries[] = {
    {"join", "float64", (void (*)(void))logsig_d2_n3_join_f64},
    {"join", "float32", (void (*)(void))logsig_d2_n3_join_f32},
    {"join_backprop", "float64", (void (*)(void))logsig_d2_n3_join_backprop_f64},
    {"join_backprop", "float32", (void (*)(void))logsig_d2_n3_join_backprop_f32},
    {"combine", "float64", (void (*)(void))logsig_d2_n3_combine_f64},
    {"combine", "float32", (void (*)(void))logsig_d2_n3_combine_f32},
    {"combine_backprop", "float64", (void (*)(void))logsig_d2_n3_combine_backprop_f64},
    {"combine_backprop", "float32", (void (*)(void))logsig_d2_n3_combine_backprop_f32},
    {"log_sig", "float64", (void (*)(void))logsig_d2_n3_log_sig_f64},
    {"log_sig", "float32", (void (*)(void))logsig_d2_n3_log_sig_f32},
    {"log_sig_backprop", "float64", (void (*)(void))logsig_d2_n3_log_sig_backprop_f64},
    {"log_sig_backprop", "float32", (void (*)(void))logsig_d2_n3_log_sig_backprop_f32},
    {"stream", "float64", (void (*)(void))logsig_d2_n3_stream_f64},
    {"stream", "float32", (void (*)(void))logsig_d2_n3_stream_f32},
    {"stream_backprop", "float64", (void (*)(void))logsig_d2_n3_stream_backprop_f64},
    {"stream_backprop", "float32", (void (*)(void))logsig_d2_n3_stream_backprop_f32},
    {"log_sig_by_signature", "float64", (void (*)(void))logsig_d2_n3_log_sig_by_signature_f64},
    {"log_sig_by_signature", "float32", (void (*)(void))logsig_d2_n3_log_sig_by_signature_f32},
    {"join_jvp", "float64", (void (*)(void))logsig_d2_n3_join_jvp_f64},
    {"join_jvp", "float32", (void (*)(void))logsig_d2_n3_join_jvp_f32},
    {"join_backprop_backprop", "float64", (void (*)(void))logsig_d2_n3_join_backprop_backprop_f64},
    {"join_backprop_backprop", "float32", (void (*)(void))logsig_d2_n3_join_backprop_backprop_f32},
    {"combine_jvp", "float64", (void (*)(void))logsig_d2_n3_combine_jvp_f64},
    {"combine_jvp", "float32", (void (*)(void))logsig_d2_n3_combine_jvp_f32},
    {"combine_backprop_backprop", "float64", (void (*)(void))logsig_d2_n3_combine_backprop_backprop_f64},
    {"combine_backprop_backprop", "float32", (void (*)(void))logsig_d2_n3_combine_backprop_backprop_f32},
    {"bracket", "float64", (void (*)(void))logsig_d2_n3_bracket_f64},
    {"bracket", "float32", (void (*)(void))logsig_d2_n3_bracket_f32},
    {"coadjoint", "float64", (void (*)(void))logsig_d2_n3_coadjoint_f64},
    {"coadjoint", "float32", (void (*)(void))logsig_d2_n3_coadjoint_f32},
    {"join_left", "float64", (void (*)(void))logsig_d2_n3_join_left_f64},
    {"join_left", "float32", (void (*)(void))logsig_d2_n3_join_left_f32},
    {"join_left_backprop", "float64", (void (*)(void))logsig_d2_n3_join_left_backprop_f64},
    {"join_left_backprop", "float32", (void (*)(void))logsig_d2_n3_join_left_backprop_f32},
    {"join_left_jvp", "float64", (void (*)(void))logsig_d2_n3_join_left_jvp_f64},
    {"join_left_jvp", "float32", (void (*)(void))logsig_d2_n3_join_left_jvp_f32},
    {"join_left_backprop_backprop", "float64", (void (*)(void))logsig_d2_n3_join_left_backprop_backprop_f64},
    {"join_left_backprop_backprop", "float32", (void (*)(void))logsig_d2_n3_join_left_backprop_backprop_f32},
    {"windows", "float64", (void (*)(void))logsig_d2_n3_windows_f64},
    {"windows", "float32", (void (*)(void))logsig_d2_n3_windows_f32},
    {"windows_backprop", "float64", (void (*)(void))logsig_d2_n3_windows_backprop_f64},
    {"windows_backprop", "float32", (void (*)(void))logsig_d2_n3_windows_backprop_f32},
    {"sig_to_log_sig", "float64", (void (*)(void))logsig_d2_n3_sig_to_log_sig_f64},
    {"sig_to_log_sig", "float32", (void (*)(void))logsig_d2_n3_sig_to_log_sig_f32},
    {"sig_to_log_sig_backprop", "float64", (void (*)(void))logsig_d2_n3_sig_to_log_sig_backprop_f64},
    {"sig_to_log_sig_backprop", "float32", (void (*)(void))logsig_d2_n3_sig_to_log_sig_backprop_f32},
    {"logsig_to_sig", "float64", (void (*)(void))logsig_d2_n3_logsig_to_sig_f64},
    {"logsig_to_sig", "float32", (void (*)(void))logsig_d2_n3_logsig_to_sig_f32},
    {"logsig_to_sig_backprop", "float64", (void (*)(void))logsig_d2_n3_logsig_to_sig_backprop_f64},
    {"logsig_to_sig_backprop", "float32", (void (*)(void))logsig_d2_n3_logsig_to_sig_backprop_f32},
    {"paths", "float64", (void (*)(void))logsig_d2_n3_paths_f64},
    {"paths", "float32", (void (*)(void))logsig_d2_n3_paths_f32},
    {"paths_backprop", "float64", (void (*)(void))logsig_d2_n3_paths_backprop_f64},
    {"paths_backprop", "float32", (void (*)(void))logsig_d2_n3_paths_backprop_f32},
};

static const logsig_module module = {
    2, 2, 3, 54, 5, entries,
};

const logsig_module *logsig_describe(void)
{
    return &module;
}
