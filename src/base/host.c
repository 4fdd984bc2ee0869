#define _GNU_SOURCE
#include "base/host.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int host_cores(int *list, int max)
{
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set) && n++ < max)
            list[n - 1] = i;
    return n;
}

char *host_cores_text(char out[64])
{
    int list[CPU_SETSIZE], n = host_cores(list, CPU_SETSIZE), used = 0;
    out[0] = '\0';
    for (int i = 0; i < n && used < 48; i++) {
        int from = i;
        while (i + 1 < n && list[i + 1] == list[i] + 1)
            i++;
        used += snprintf(out + used, 64 - (size_t)used, "%s%d", used ? "," : "", list[from]);
        if (i > from)
            used += snprintf(out + used, 64 - (size_t)used, "-%d", list[i]);
    }
    return out;
}

char *host_name(char out[64])
{
    if (gethostname(out, 63) != 0)
        strcpy(out, "host");
    out[63] = '\0';
    out[strcspn(out, ".")] = '\0';
    return out;
}
