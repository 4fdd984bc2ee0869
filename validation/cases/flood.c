/* A preloaded library with a timer signal and its handler, a thousand times a second, as profilers have it.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

static void nothing(int number)
{
    (void)number;
}

__attribute__((constructor)) static void start(void)
{
    struct sigaction a = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    struct itimerval t = {{0, 1000}, {0, 1000}};
    sigaction(SIGALRM, &a, NULL);
    sigaction(SIGPROF, &a, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
    setitimer(ITIMER_PROF, &t, NULL);
}
