/* What `coppice env` tells, for other commands. Local. */
#ifndef CMD_ENV_H
#define CMD_ENV_H
#include "base/json.h"

/** Build, libraries, machine, limits and variables, as with --json. The caller calls json_decref. */
json_t *env_facts(void);

#endif
