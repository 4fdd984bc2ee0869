/* Does stdout go to a terminal that people watch? Not collective. */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H
#include <stdbool.h>

/** May progress be written in place, because stdout is a terminal? NO_COLOR and TERM=dumb say no. A launcher
 * of parallel programs may give its processes a terminal while it writes to a file itself; with `launched`
 * the launcher's stdout decides. */
bool terminal_watched(bool launched);

#endif
