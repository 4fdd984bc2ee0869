#include "text/libraries.h"

#include <string.h>
#include <utf8proc.h>
#include "base/mem.h"
#include "config.h"
#include <pcre2.h>
#ifdef HAVE_ZLIB
#    include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#    include <zstd.h>
#endif

char *text_libraries(void)
{
    char pcre[64] = "";
    pcre2_config(PCRE2_CONFIG_VERSION, pcre); /* with the date of the release */
    char *text = mem_format("PCRE2 %.*s, utf8proc %s", (int)strcspn(pcre, " "), pcre, utf8proc_version());
#ifdef HAVE_ZLIB
    mem_append(&text, ", zlib %s", zlibVersion());
#else
    mem_append(&text, ", no zlib");
#endif
#ifdef HAVE_ZSTD
    mem_append(&text, ", zstd %s", ZSTD_versionString());
#else
    mem_append(&text, ", no zstd");
#endif
    return text;
}
