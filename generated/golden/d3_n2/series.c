/* Power series in the tensor algebra: dimension 3, degree 2. */
#define LOGSIG_REAL_BITS 64 /* whatever the rows are */
#define LOGSIG_DIMENSION 3
#define LOGSIG_DEGREE 2
#define LOGSIG_POWERS 1, 3, 9
#define LOGSIG_STARTS 0, 3, 12
#define LOGSIG_WORDS 12
#define LOGSIG_STAGES 15 /* words of all stages of Horner's scheme */
#define LOGSIG_SERIES_IN_LANES 1
#include "logsig_series.h"

#ifdef __GNUC__
__attribute__((visibility("hidden")))
#endif
int logsig_d3_n2_series(const logsig_series_call *call, ptrdiff_t batch, int n_jobs);

int logsig_d3_n2_series(const logsig_series_call *call, ptrdiff_t batch, int n_jobs)
{
    static const double logarithm[] = {
        (logsig_real)0, (logsig_real)1, (logsig_real)-1 / 2,
    };
    static const double exponential[] = {
        (logsig_real)1, (logsig_real)1, (logsig_real)1 / 2,
    };
    const logsig_series_job job = logsig_series_job_of(call, call->logarithm ? logarithm : exponential);
    return logsig_share(&job, logsig_series_run, LOGSIG_SERIES_FRAME, batch, n_jobs);
}
