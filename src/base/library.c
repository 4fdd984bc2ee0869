#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>

bool library_open(const char *file, const char *const name[], void *table, char why[256])
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL), **to = table;
    if (!library)
        snprintf(why, 256, "no %s (%s)", file, dlerror());
    for (int i = 0; library && name[i]; i++) {
        to[i] = dlsym(library, name[i]);
        if (!to[i]) {
            snprintf(why, 256, "%s has no function %s", file, name[i]);
            return false;
        }
    }
    return library != NULL;
}
