/* Status codes and the error record.
 *
 * A status is the exit code of the program. Mistakes of users, files and disks are statuses; our own are
 * bug(). Nothing inside a training step returns a status. The first function that knows what is wrong writes
 * this thread's record with fail(); its callers pass the code on with TRY(). Not collective: comm_agree()
 * (comm/comm.h) makes one record of those of all ranks. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

typedef enum {
    OK = 0,
    E_DIFFERENT = 1, /* a comparison failed; the verdict was printed */
    E_DECK = 64,     /* deck or command line */
    E_DATA = 65,     /* a model, token or reference file */
    E_RESOURCE = 69, /* memory or a device is missing */
    E_BUG = 70,      /* our mistake */
    E_NAN = 71,      /* the NaN policy stopped the run */
    E_HANG = 72,     /* a watchdog saw no progress */
    E_SPACE = 73,    /* cannot write: disk full, quota, permission */
    E_COMM = 74,     /* communication lost */
    E_IO = E_COMM,   /* a file cannot be read now; it may be read later */
    E_STOP = 75,     /* stopped by a signal or the time limit, checkpointed: to be requeued */
    E_NOCKPT = 76,   /* no usable checkpoint */
    E_ASKED = 79     /* stopped by RUN/stop, checkpointed: not to be requeued */
} status;

#define NORETURN __attribute__((noreturn))
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/** Pass a failure on to the caller. Evaluates its argument once. */
#define TRY(call)             \
    do {                      \
        status try_ = (call); \
        if (try_ != OK)       \
            return try_;      \
    } while (0)

/** Write this thread's error record, without a newline at its end, and return `code`. */
status fail(status code, const char *format, ...) PRINTF(2, 3);
/** This thread's record, "" if there is none. Borrowed. */
const char *status_text(void);
/** Replace the record's text (comm_agree installs the winner's). */
void status_set_text(const char *text);
/** A short name for a code: "ok", "deck", "data" ... */
const char *status_name(status code);
/** All codes in ascending order, with a name and a meaning. doc/errors.md says for each what to do. */
struct status_about {
    status code;
    const char *name, *meaning;
};
const struct status_about *status_list(int *n);
/** For our own mistakes: print message and backtrace, and exit with E_BUG at once. */
NORETURN void bug(const char *format, ...) PRINTF(1, 2);

#endif
