/* How many threads a process may use: the processors of its affinity, and at most what its control groups grant.
 *
 * C and C++ on Linux, with _GNU_SOURCE; elsewhere, and where nothing can be read, there is no limit but the processors.
 * Python's build/cpu.py says the same.
 */
#ifndef LOGSIG_THREADS_H
#define LOGSIG_THREADS_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Numbers of a file, at most two; "max" and what is no number end it. */
static inline int logsig_read_numbers(const char *folder, const char *name, double *numbers)
{
    char path[4352];
    int count = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "r");
    if (!file) return 0;
    while (count < 2 && fscanf(file, "%lf", &numbers[count]) == 1) count++;
    fclose(file);
    return count;
}

/* Processors that one group grants, or 0 without a limit. */
static inline double logsig_group_quota(const char *folder, int second_version)
{
    double quota[2], period[2];
    if (second_version) return logsig_read_numbers(folder, "cpu.max", quota) == 2 ? quota[0] / quota[1] : 0;
    if (!logsig_read_numbers(folder, "cpu.cfs_quota_us", quota) || quota[0] <= 0) return 0;
    return logsig_read_numbers(folder, "cpu.cfs_period_us", period) ? quota[0] / period[0] : 0;
}

/* Whether "cpu" is one of the controllers, which commas divide. */
static inline int logsig_has_cpu(const char *controllers)
{
    for (const char *word = controllers; word; word = strchr(word, ',')) {
        word += *word == ',';
        if (!strncmp(word, "cpu", 3) && (word[3] == ',' || !word[3])) return 1;
    }
    return 0;
}

/* Processors that the tightest of the groups listed in a file like /proc/self/cgroup grants, below `root`; 0: no limit. A
 * limit on any enclosing group binds too. */
static inline double logsig_read_quota(const char *groups, const char *root)
{
    char line[4096], folder[8448];
    double least = 0;
    FILE *const file = fopen(groups, "r");
    while (file && fgets(line, sizeof line, file)) {
        char *const controllers = strchr(line, ':') ? strchr(line, ':') + 1 : NULL;
        char *const path = controllers ? strchr(controllers, ':') : NULL;
        if (!path) continue;
        *path = '\0';
        path[1 + strcspn(path + 1, "\n")] = '\0';
        if (*controllers && !logsig_has_cpu(controllers)) continue;
        const int base = snprintf(folder, sizeof folder, "%s%s%s", root, *controllers ? "/" : "", controllers);
        snprintf(folder + base, sizeof folder - (size_t)base, "%s%s", path[1] == '/' ? "" : "/", path + 1);
        for (;;) {
            const double quota = logsig_group_quota(folder, !*controllers);
            if (quota > 0 && (least == 0 || quota < least)) least = quota;
            char *const last = strrchr(folder + base, '/');
            if (!last) break;
            *last = '\0';
        }
    }
    if (file) fclose(file);
    return least;
}

/* The same for this process; its groups do not change often enough to be read at every call. */
static inline double logsig_own_quota(void)
{
    return logsig_read_quota("/proc/self/cgroup", "/sys/fs/cgroup");
}

/* Processors this process may use, at least 1; quota: what its control groups grant, or 0. */
static inline int logsig_usable_processors(double quota)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef CPU_COUNT
    cpu_set_t allowed;
    if (!sched_getaffinity(0, sizeof allowed, &allowed)) count = CPU_COUNT(&allowed);
#endif
    const long granted = (long)quota + (quota > (double)(long)quota);
    if (quota > 0 && granted < count) count = granted;
    return count < 1 ? 1 : (int)count;
}

#endif
