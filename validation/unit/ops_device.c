/* See ops_device.h. */
#include "ops_device.h"
#include <string.h>
#include "base/status.h"

void (*ops_stage)(struct dev *);
static const char *ops_device;

void ops_arguments(int *argc, char **argv)
{
    ops_device = ops_stage ? "cuda" : "cpu";
    for (int i = 1; i + 1 < *argc; i++)
        if (!strcmp(argv[i], "--device")) {
            ops_device = argv[i + 1];
            memmove(argv + i, argv + i + 2, (size_t)(*argc - i - 1) * sizeof *argv);
            *argc -= 2;
            return;
        }
}

bool ops_on_cpu(void)
{
    return !strcmp(ops_device, "cpu");
}

struct dev *ops_open(int threads, enum dev_check mode)
{
    struct dev *dev;
    if (dev_open(&dev, ops_device, 0, &(struct dev_options){.threads = threads, .check = mode}) != OK)
        bug("no device: %s", status_text());
    if (!ops_on_cpu() && !ops_stage)
        bug("device %s: this program tests the CPU alone", ops_device);
    if (!ops_on_cpu())
        ops_stage(dev);
    return dev;
}
