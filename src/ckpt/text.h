/* The model's shape and the run's state as JSON text. Pure. */
#ifndef CKPT_TEXT_H
#define CKPT_TEXT_H
#include "ckpt/ckpt.h"

char *config_to_json(const struct config *);    /* caller frees */
char *state_to_json(const struct ckpt_state *); /* all but the deck; caller frees */
/** Every field must be there and no other. E_DATA with `where`. */
status config_from_json(struct config *, const char *where, const char *text) MUST_USE;
status state_from_json(struct ckpt_state *, const char *where, const char *text) MUST_USE;

#endif
