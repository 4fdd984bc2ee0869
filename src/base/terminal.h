/* Do people watch what this process prints? Not collective. */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H
#include <stdbool.h>

/** May progress be written in place on stdout: is it a terminal that obeys? A launcher of parallel programs
 * may give its processes a terminal of its own making while it writes to a file itself: then (`launched`) its
 *  stdout counts. NO_COLOR and TERM=dumb say no. */
bool terminal_watched(bool launched);

#endif
