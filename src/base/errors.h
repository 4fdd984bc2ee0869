/* Several mistakes in one error record: a line each, in the order in which they were found, as many whole
 * lines as the record holds. */
#ifndef BASE_ERRORS_H
#define BASE_ERRORS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct errors {
    char *text;
    int64_t length;
    int n, told; /* how many mistakes there were, and how many stand in the text */
    status code; /* of the first mistake */
};

/** Add the mistake "WHERE: message" with code E_DECK. */
void errors_add(struct errors *, const char *where, const char *format, ...) PRINTF(3, 4);
/** Add the mistake "message" with this code. */
void errors_say(struct errors *, status code, const char *format, ...) PRINTF(3, 4);
/** Given what a call returned: if it failed, add each line of the error record as a mistake with this code.
 *  Returns true if the call succeeded. */
bool errors_take(struct errors *, status);
/** End the list: OK without mistakes, else the code of the first, with all lines in the error record. */
status errors_end(struct errors *) MUST_USE;

#endif
