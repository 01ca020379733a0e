/*
 * gpuctl: gpud from the command line. The first word is a command of commands.def, or the first two are noun
 * and verb of a method; everything else follows from the tables.
 */

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cleanup.h"
#include "client/gpuctl/argument.h"
#include "client/gpuctl/command.h"
#include "client/gpuctl/complain.h"
#include "proto/guess.h"

int gpuctl_connect(Gpuctl *ctl) {
        const ProtoError *error;
        int r;

        if (ctl->client)
                return EXIT_SUCCESS;
        r = gpud_connect_timeout(&ctl->client, ctl->socket, ctl->timeout_ms);
        if (r == 0)
                return EXIT_SUCCESS;
        error = proto_error_find(-r);
        /* The message has the way out where there is one; errors.def's hint is about allocations. */
        if (r == -GPUD_E_PERMISSION_DENIED)
                return complain(error->exit_code, "%s", gpud_error_message(NULL));
        return complain(error->exit_code, "%s: %s; %s", error->text, gpud_error_message(NULL), error->hint);
}

/* For each word where there may be several. It goes on after one fails, and exits as the first that did. */
static int run_each(Gpuctl *ctl, const Command *command, const char *what, Arguments *arguments) {
        int first = EXIT_SUCCESS, r;

        for (;;) {
                r = arguments_resolve(arguments, ctl, what);
                if (r == EXIT_SUCCESS)
                        r = command->run(ctl, arguments->values);
                if (first == EXIT_SUCCESS)
                        first = r;
                if (arguments->i_more == arguments->n_more || (r && !ctl->client))
                        return first;
                arguments_next(arguments);
        }
}

static int run_command(Gpuctl *ctl, const Command *command, const char *const *words, size_t n_words) {
        _cleanup_(arguments_deinit) Arguments arguments = {0};
        int r;

        r = arguments_init(&arguments, ctl, words[0], command->args, command->is_repeated, words + 1,
                           n_words - 1);
        if (r)
                return r;
        return ctl->is_help ? help_print(words, 1) : run_each(ctl, command, words[0], &arguments);
}

static int run_method(Gpuctl *ctl, const ProtoMethod *method, const char *const *words, size_t n_words) {
        _cleanup_(arguments_deinit) Arguments arguments = {0};
        char what[64];
        int r;

        snprintf(what, sizeof(what), "%s %s", method->noun, method->verb);
        r = arguments_init(&arguments, ctl, what, method->args, false, words + 2, n_words - 2);
        if (r || ctl->is_help)
                return r ? r : help_print(words, 2);
        r = arguments_resolve(&arguments, ctl, what);
        return r ? r : verb_run(ctl, method, arguments.values);
}

/* `words` begin with the command. */
static int run(Gpuctl *ctl, const char *const *words, size_t n_words) {
        const char *verb = n_words > 1 && words[1][0] != '-' ? words[1] : NULL;
        const Command *command;
        bool is_noun = false;

        /* The words behind `help` are a command's, and no arguments. */
        if (strcmp(words[0], "help") == 0 && verb)
                return help_print(words + 1, n_words - 1);
        command = command_find(words[0]);
        if (command)
                return run_command(ctl, command, words, n_words);
        for (size_t i = 0; i < PROTO_N_METHODS; i++) {
                if (!name_is(words[0], proto_methods[i].noun))
                        continue;
                is_noun = true;
                if (verb && name_is(verb, proto_methods[i].verb))
                        return run_method(ctl, &proto_methods[i], words, n_words);
        }
        if (is_noun && !verb && n_words > 1 && strcmp(words[1], "--help") == 0)
                return help_print(words, 1);
        return command_complain(words[0], verb);
}

/* Options before the command, then the command. */
static int run_words(Gpuctl *ctl, const char *const *words, size_t n_words) {
        size_t i = 0;
        int r;

        while (i < n_words && words[i][0] == '-') {
                if (strcmp(words[i], "--version") == 0) {
                        puts("gpuctl " GPUD_VERSION);
                        return EXIT_SUCCESS;
                }
                if (!gpuctl_take_option(ctl, words, n_words, &i, &r))
                        return complain(EXIT_USAGE, "there is no option %s; see `gpuctl help`", words[i]);
                if (r)
                        return r;
        }
        if (ctl->is_help)
                return help_print_first(words + i, n_words - i);
        if (i == n_words)
                return complain(EXIT_USAGE, "a command is missing; `gpuctl help` lists them");
        return run(ctl, words + i, n_words - i);
}

static bool wants_colour(void) {
        const char *term = getenv("TERM");
        const char *no_colour = getenv("NO_COLOR");

        return !(no_colour && *no_colour) && term && strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv) {
        Gpuctl ctl = {
                .timeout_ms = GPUCTL_TIMEOUT_MS,
                .is_terminal = isatty(STDOUT_FILENO),
                .is_error_terminal = isatty(STDERR_FILENO),
        };
        int r;

        /* A file past RLIMIT_FSIZE is an error like others, not the end. */
        signal(SIGXFSZ, SIG_IGN);
        /* How wide characters are, is asked of the C library. */
        setlocale(LC_CTYPE, "C.UTF-8");
        ctl.is_colour = ctl.is_terminal && wants_colour();
        r = run_words(&ctl, (const char *const *)argv + 1, argc > 0 ? (size_t)argc - 1 : 0);
        gpud_close(ctl.client);
        if ((fflush(stdout) != 0 || ferror(stdout)) && r == EXIT_SUCCESS)
                r = complain(EXIT_FAILED, "writing the output: %s", strerror(errno));
        return r;
}
