/* Fuzz targets: a file for each parser defines fuzz_parse(). They are built in two ways: with driver.c as a
 * test of make check, and with libFuzzer (validation/fuzz/run). Every target checks that there is no crash,
 * and no refusal without a message. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/status.h"

/** Parse one input and free everything. Returns what the parser returned. */
status fuzz_parse(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *fuzz_folder_path;

static void fuzz_folder_remove(void)
{
    char *command = mem_format("rm -rf '%s'", fuzz_folder_path);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", fuzz_folder_path);
    free(command);
    free(fuzz_folder_path);
}

/** A folder for the parser's input files, removed at exit. */
__attribute__((unused)) static const char *fuzz_folder(void)
{
    if (!fuzz_folder_path) {
        const char *where = getenv("TMPDIR");
        fuzz_folder_path = mem_format("%s/coppice-fuzz.XXXXXX", where ? where : "/tmp");
        if (!mkdtemp(fuzz_folder_path))
            abort();
        atexit(fuzz_folder_remove);
    }
    return fuzz_folder_path;
}

/** Path of a file there; the caller frees. */
__attribute__((unused)) static char *fuzz_path(const char *name)
{
    return mem_format("%s/%s", fuzz_folder(), name);
}

__attribute__((unused)) static void fuzz_write(const char *name, const uint8_t *data, size_t size)
{
    char *path = fuzz_path(name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
        abort();
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    status_set_text("");
    if (fuzz_parse(data, size) != OK && !*status_text())
        abort(); /* refused, and nobody says why */
    return 0;
}

#endif
