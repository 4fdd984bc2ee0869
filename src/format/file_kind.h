/* What a file is that is not what it should be, by its first bytes. Not collective. */
#ifndef FORMAT_FILE_KIND_H
#define FORMAT_FILE_KIND_H
#include "base/status.h"

/** A failure to read `path` as what it should be, told by what it seems to be instead if its first bytes show
 *  that (a git-lfs pointer, an HTML page, ...); else as it was. OK stays OK. */
status file_explain(status, const char *path) MUST_USE;

#endif
