/* The lock files of a run folder: run.lock, and run.lock.T, which follows the lock with the token T. The last
 * of them counts. Local. */
#ifndef CKPT_CHAIN_H
#define CKPT_CHAIN_H
#include <sys/types.h>
#include "base/json.h"
#include "ckpt/owner.h"

struct seen {      /* a lock as it was read */
    json_t *owner; /* NULL: unreadable */
    char *path;
    char token[2 * TOKEN]; /* of a lock that has none: its inode and time */
    ino_t inode;
    double touched; /* by the file system's clock */
    int file;       /* open for reading; -1: there is no such lock */
};

/** The lock that counts. E_SPACE if the folder cannot be read. seen_free also after a failure. */
status chain_end(const char *run_lock, struct seen *) MUST_USE;
/** One of its files. */
status chain_look(const char *path, struct seen *) MUST_USE;
void seen_free(struct seen *);
/** run.lock.TOKEN; caller frees. */
char *chain_follower(const char *run_lock, const char *token);
/** Remove what broken attempts left: files of these names that are older than `file` by `age` seconds. */
void chain_sweep(const char *dir, int file, double age);

#endif
