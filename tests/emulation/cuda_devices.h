/* What the drivers of the tests have in common: two devices of compute capability 9.0 in one context, which a thread
 * has to make current. MULTIPROCESSORS: how many there are. */
#include <stddef.h>

enum { MULTIPROCESSOR_COUNT = 16, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76, SHARED_OPTIN = 97, DYNAMIC_SHARED = 8, CARVEOUT = 9 };
enum { MOST_SHARED = 232448 };
static void *const the_context = (void *)0x1230L;
static _Thread_local int depth;

int cuInit(unsigned flags) { return (int)flags; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < 2 ? 0 : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    switch (attribute) {
    case CAPABILITY_MAJOR: *value = 9; return 0;
    case CAPABILITY_MINOR: *value = 0; return 0;
    case MULTIPROCESSOR_COUNT: *value = MULTIPROCESSORS; return 0;
    case SHARED_OPTIN: *value = MOST_SHARED; return 0;
    default: return 1;
    }
}
int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = the_context; return 0; }
int cuCtxPushCurrent_v2(void *context) { depth++; return context == the_context ? 0 : 201; }
int cuCtxPopCurrent_v2(void **context) { *context = the_context; return depth-- > 0 ? 0 : 201; }
