/* Small files that all ranks need (decks, config.json, headers of safetensors files, indices of token sets)
 * are opened by one rank. While this memory is on, whatever reads such a file asks here first, and leaves
 * here what it read. comm_once (comm/comm.h) gives the others what rank 0 left. The working thread alone uses
 * it while it is on. Not collective. */
#ifndef BASE_ONCE_H
#define BASE_ONCE_H
#include <stdbool.h>
#include <stdint.h>

/** Remember what is read from now on, and answer from it. */
void once_on(void);
/** Let readers go to the files again. What was remembered stays. */
void once_off(void);
/** Forget everything. */
void once_forget(void);

/** What was left under this name: a copy of n bytes with a NUL behind them, which the caller frees. False if
 * nothing was left, if that has more than `limit` bytes, or while the memory is off. */
bool once_get(const char *name, int64_t limit, char **bytes, int64_t *n);
/** Leave a copy of n bytes. Does nothing while the memory is off. */
void once_put(const char *name, const char *bytes, int64_t n);

/** All that was left since the last call, as one block of *n bytes; caller frees. */
char *once_pack(int64_t *n);
/** Leave what a block holds, also while the memory is off. */
void once_unpack(const char *block, int64_t n);

#endif
