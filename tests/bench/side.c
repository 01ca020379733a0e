#include "tests/bench/side.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void die(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        fputs("bench: ", stderr);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
        exit(1);
}

void *must_alloc(size_t size) {
        void *data = malloc(size);

        if (!data)
                die("no memory for %zu bytes", size);
        return data;
}

size_t to_size(const char *text) {
        char *end;
        unsigned long long size;

        errno = 0;
        size = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0')
                die("\"%s\" is not a number", text);
        return size;
}

double now_us(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void samples_add(Samples *samples, double us) {
        if (samples->n == samples->n_max) {
                samples->n_max = samples->n_max > 0 ? samples->n_max * 2 : 1024;
                samples->us = realloc(samples->us, samples->n_max * sizeof(samples->us[0]));
                if (!samples->us)
                        die("no memory for %zu samples", samples->n_max);
        }
        samples->us[samples->n++] = us;
}

static int compare_double(const void *a, const void *b) {
        double x = *(const double *)a;
        double y = *(const double *)b;

        return (x > y) - (x < y);
}

static double samples_at(const Samples *samples, double part) {
        return samples->us[(size_t)(part * (double)(samples->n - 1))];
}

void samples_print(Samples *samples) {
        if (samples->n == 0)
                die("nothing was measured");
        qsort(samples->us, samples->n, sizeof(samples->us[0]), compare_double);
        printf("\"n\": %zu, \"min_us\": %.3f, \"median_us\": %.3f, \"p99_us\": %.3f, \"max_us\": %.3f",
               samples->n, samples->us[0], samples_at(samples, 0.5), samples_at(samples, 0.99),
               samples_at(samples, 1));
        samples->n = 0;
}

static void command_run(const Command *commands, void *side, char *line) {
        char *args[COMMAND_ARGS_MAX] = {NULL};
        char *state;
        char *name = strtok_r(line, " \n", &state);
        size_t n_args = 0;

        if (!name)
                return;
        for (char *word; n_args < COMMAND_ARGS_MAX && (word = strtok_r(NULL, " \n", &state)); n_args++)
                args[n_args] = word;
        for (const Command *command = commands; command->name; command++)
                if (strcmp(command->name, name) == 0) {
                        if (n_args != command->n_args)
                                die("%s takes %zu words, not %zu", name, command->n_args, n_args);
                        command->run(side, args);
                        fflush(stdout);
                        return;
                }
        die("no command is called \"%s\"", name);
}

void commands_run(const Command *commands, void *side) {
        char line[4096];

        while (fgets(line, sizeof(line), stdin))
                command_run(commands, side, line);
}
