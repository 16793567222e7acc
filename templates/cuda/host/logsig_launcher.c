/* The launcher as a library, for callers that find its functions by name. */
#define LOGSIG_HOST
#include "logsig_gpu_paths.h"
