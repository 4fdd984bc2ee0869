/* Messages for people. Results go to stdout (line-buffered), warnings and errors to stderr. Only rank 0
 * prints; log_open(false) silences a process. Warnings are counted and kept for the summary. Not collective.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"
#include "base/text.h" /* numbers in messages */

void log_open(bool speaks, bool quiet);
/** Append all messages to this file too; NULL stops that. */
status log_file(const char *path) MUST_USE;
/** Print to stdout. Everything printed is wrapped at 120 columns; continued lines are indented by ten. */
void log_say(const char *format, ...) PRINTF(1, 2);
void log_warn(const char *format, ...) PRINTF(1, 2); /* "warning   ..." on stderr; the same text only once */
void log_error(const char *text);                    /* "coppice: ..." on stderr, even if quiet */
int log_warnings(void);                              /* how many so far */
const char *log_warning(int i);                      /* text of the i-th */
bool log_speaks(void);

#endif
