/* Several mistakes in one error record: lines in the order found, as many whole ones as the record holds. */
#ifndef BASE_ERRORS_H
#define BASE_ERRORS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct errors {
    char *text;
    int64_t length;
    int n, told; /* how many there were, and how many fitted into the text */
    status code; /* of the first */
};

/** "WHERE: message", with code E_DECK. */
void errors_add(struct errors *, const char *where, const char *format, ...) PRINTF(3, 4);
/** "message" with this code. */
void errors_say(struct errors *, status code, const char *format, ...) PRINTF(3, 4);
/** What a call returned: if it failed, each line of the error record is a mistake with its code. True if it
 * did not fail. */
bool errors_take(struct errors *, status);
/** OK, or the first mistake's code with all lines in the error record. Ends the list. */
status errors_end(struct errors *) MUST_USE;

#endif
