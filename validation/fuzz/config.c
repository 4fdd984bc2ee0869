/* config.json of a model directory. */
#include "format/hf_config.h"
#include "fuzz.h"

status fuzz_parse(const uint8_t *data, size_t size)
{
    struct hf_config c;
    fuzz_write("config.json", data, size);
    status s = hf_config_read(&c, fuzz_folder(), NULL, 0);
    if (s == OK)
        hf_config_free(&c);
    return s;
}
