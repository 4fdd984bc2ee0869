#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "config.h"
#include "base/status.h"
#include "cmd/commands.h"
#include "base/io.h"
#include "base/log.h"
#include "comm/launch.h"

static bool asks_help(const char *argument)
{
    return !strcmp(argument, "--help") || !strcmp(argument, "-h");
}

/* Does an argument behind the command ask for help? */
static bool asked_behind(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (asks_help(argv[i]))
            return true;
    return false;
}

/* Answer coppice -h and coppice COMMAND ... --help. Of many ranks only the first answers. */
static int answer_help(const struct command *c, int argc, char **argv)
{
    static char help[] = "help";
    if (comm_launch().rank > 0)
        return OK;
    if (argc < 2 || asks_help(argv[1]))
        return cmd_help(argc, argv);
    if (!c) /* coppice deck --help */
        return cmd_help(3, (char *[]){argv[0], help, argv[1], NULL});
    command_help(c);
    return OK;
}

int main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN); /* so that a limit of file sizes (ulimit -f) fails the write, with a message */
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        printf("Coppice %s (%s)\n", PACKAGE_VERSION, COPPICE_REVISION);
        return OK;
    }
    const struct command *c = command_find(argc, argv);
    if (argc < 2 || asks_help(argv[1]) || asked_behind(argc, argv))
        return answer_help(c, argc, argv);
    if (io_faults_open() != OK) {
        log_error(status_text());
        return E_DECK;
    }
    return c ? c->run(argc, argv) : command_unknown(argc, argv);
}
