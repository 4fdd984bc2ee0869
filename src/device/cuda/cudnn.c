/* cuDNN is 1 GB of libraries that few machines have: it is opened when the program runs. */
#include <dlfcn.h>
#include <stdio.h>
#include "device/cuda/sdpa.h"

enum { OLDEST = 90000 };

/* False if a function is missing, which `why` names. */
static bool find_all(void *library, struct cudnn *c, char why[256])
{
#define FIND(name)                                               \
    *(void **)&c->name = dlsym(library, "cudnn" #name);          \
    if (!c->name) {                                              \
        snprintf(why, 256, "cuDNN has no function cudnn" #name); \
        return false;                                            \
    }
    CUDNN_FUNCTIONS(FIND)
#undef FIND
    return true;
}

const struct cudnn *cudnn_open(char why[256])
{
    static struct cudnn cudnn;
    static bool open;
    void *library = open ? NULL : dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    *why = 0;
    if (open)
        return &cudnn;
    if (!library)
        snprintf(why, 256, "no cuDNN (libcudnn.so.9)");
    else if (find_all(library, &cudnn, why) && cudnn.GetVersion() < OLDEST)
        snprintf(why, 256, "cuDNN %zu is too old, 9 is wanted", cudnn.GetVersion());
    open = !*why;
    return open ? &cudnn : NULL;
}
