/* cuDNN is 1 GB of libraries that few machines have: it is opened when the program runs. */
#include <stdio.h>
#include "base/library.h"
#include "device/cuda/sdpa.h"

enum { OLDEST = 90000 };

const struct cudnn *cudnn_open(char why[256])
{
#define NAME(name) "cudnn" #name,
    static const char *const names[] = {CUDNN_FUNCTIONS(NAME) NULL};
#undef NAME
    static struct cudnn cudnn;
    static bool open;
    *why = 0;
    if (!open && library_open("libcudnn.so.9", names, &cudnn, why) && cudnn.GetVersion() < OLDEST)
        snprintf(why, 256, "cuDNN %zu is too old, 9 is wanted", cudnn.GetVersion());
    open = !*why;
    return open ? &cudnn : NULL;
}
