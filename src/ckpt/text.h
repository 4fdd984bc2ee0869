/* The model's shape and the run's state as JSON text. Pure. */
#ifndef CKPT_TEXT_H
#define CKPT_TEXT_H
#include "ckpt/ckpt.h"

char *config_to_json(const struct config *);    /* caller frees */
char *state_to_json(const struct ckpt_state *); /* all but deck and data; caller frees */
/** Fields by name: those that came later may be missing, a field that this program does not know is refused
 * by its name. E_DATA with `where`. */
status config_from_json(struct config *, const char *where, const char *text) MUST_USE;
status state_from_json(struct ckpt_state *, const char *where, const char *text) MUST_USE;

#endif
