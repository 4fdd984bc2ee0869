/* One file for a ticket: what a run folder tells, without weights and without data. Local. */
#ifndef REPORT_BUNDLE_H
#define REPORT_BUNDLE_H
#include "report/page.h"
#include "text/buffer.h"

/** A tar archive in memory, in the format of POSIX (ustar). {0} is an empty one. */
void tar_add(struct bytes *, const char *name, const char *from, int64_t n);
void tar_end(struct bytes *);

/** May the bundle be written under this name? NAME.tar; or NAME.tar.gz and NAME.tgz, which need zlib. E_DECK,
 * E_RESOURCE. */
status bundle_name(const char *path) MUST_USE;
/** Write it: the report, of each run its deck, logs and figures (of long ones the end), and `environment`, a
 * JSON text. E_SPACE. */
status bundle_write(const char *path, const struct page *, const char *html,
                    const char *environment) MUST_USE;

#endif
