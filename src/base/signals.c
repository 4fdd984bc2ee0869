#define _GNU_SOURCE
#include "base/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include "base/clock.h"

static const struct {
    int number;
    const char *name;
} stops[] = {
    {SIGTERM, "TERM"}, {SIGINT, "INT"},   {SIGHUP, "HUP"},   {SIGQUIT, "QUIT"},
    {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}, {SIGXCPU, "XCPU"},
};
enum { STOPS = sizeof stops / sizeof *stops };

/* Signals of faults go to the thread that caused them. CHLD is waited for by code that starts a program. */
static const int unblocked[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGCHLD};

static atomic_int seen;
static atomic_bool hurry;

static bool is_ignored(int number)
{
    struct sigaction a;
    return sigaction(number, NULL, &a) == 0 && !(a.sa_flags & SA_SIGINFO) && a.sa_handler == SIG_IGN;
}

static sigset_t stop_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < STOPS; i++)
        if (stops[i].number != SIGHUP || !is_ignored(SIGHUP))
            sigaddset(&set, stops[i].number);
    return set;
}

/* End as if INT had not been caught, so that a shell sees that the process died of it. The system releases
 * the run's lock. */
static void end_now(void)
{
    sigset_t one;
    signal(SIGINT, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    raise(SIGINT);
}

/* Some senders send a signal twice, to the process and to its group. Two within half a second count as one.
 * `first`: the clock at the first one; 0: there was none. */
static bool is_second(double *first)
{
    double now = clock_seconds();
    if (*first > 0)
        return now - *first >= 0.5;
    *first = now;
    return false;
}

/* The watcher blocks only the signals that ask to stop, so handlers of other libraries run in this thread. */
static void *watch(void *unused)
{
    sigset_t set = stop_set();
    double first_int = 0, first = 0;
    int number;
    (void)unused;
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    for (;;) {
        if (sigwait(&set, &number) != 0)
            continue;
        if (number == SIGINT && is_second(&first_int))
            end_now();
        if (is_second(&first))
            hurry = true;
        seen = number;
    }
    return NULL;
}

status signals_open(void)
{
    sigset_t set;
    pthread_t watcher;
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&set);
    for (size_t i = 0; i < sizeof unblocked / sizeof *unblocked; i++)
        sigdelset(&set, unblocked[i]);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    int error = pthread_create(&watcher, NULL, watch, NULL);
    if (error)
        return fail(E_RESOURCE, "no thread to watch for signals: %s", strerror(error));
    pthread_detach(watcher);
    return OK;
}

bool signals_hurry(void)
{
    return hurry;
}

int signals_seen(void)
{
    return seen;
}

const char *signals_name(int signal)
{
    for (int i = 0; i < STOPS; i++)
        if (stops[i].number == signal)
            return stops[i].name;
    return "?";
}

status signals_check(void)
{
    if (!seen)
        return OK;
    return fail(E_STOP,
                "stopped by the signal %s before a step of this leg was done: nothing new to save; the same "
                "command goes on",
                signals_name(seen));
}
