/* The input is a machine file of coppice plan. If it is accepted, it is written and read again. */
#include "fuzz.h"
#include "plan/machine.h"

static void write_again(const struct machine *m)
{
    char *path = fuzz_path("again.yaml");
    FILE *f = fopen(path, "w");
    if (!f)
        abort();
    machine_write(m, f);
    fclose(f);
    struct machine again;
    if (machine_read(&again, path) != OK)
        bug("what was written is refused: %s", status_text());
    free(path);
}

status fuzz_parse(const uint8_t *data, size_t size)
{
    struct machine m;
    fuzz_write("machine.yaml", data, size);
    char *path = fuzz_path("machine.yaml");
    status s = machine_read(&m, path);
    free(path);
    if (s == OK)
        write_again(&m);
    return s;
}
