/* The kind of an unexpected file, by its first bytes. Not collective. */
#ifndef FORMAT_FILE_KIND_H
#define FORMAT_FILE_KIND_H
#include "base/status.h"

/** Explain a failure to read a file: if its first bytes show another kind (a git-lfs pointer, an HTML page,
 * ...), the message says so. Returns the status it was given. */
status file_explain(status, const char *path) MUST_USE;

#endif
