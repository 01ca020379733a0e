/*
 * Host tool: prints the rows of config.def for operators, as the configuration file that is shipped and as
 * its manual page. `make` runs it, and its output is checked in.
 */

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

#define CONF_WIDTH 110

/* The column for the words of a CHOICE, blank included. */
#define WORD_WIDTH 9

#define LIVE_SENTENCE "A reload changes it."

/* The text as a comment, broken into lines. */
static void print_comment(const char *text) {
        size_t column = 1;

        putchar('#');
        while (*text) {
                size_t n = strcspn(text, " ");

                if (column + 1 + n > CONF_WIDTH)
                        column = (size_t)printf("\n#") - 1;
                column += (size_t)printf(" %.*s", (int)n, text);
                text += n + (text[n] == ' ');
        }
        putchar('\n');
}

/* What the key takes, as a sentence: "A number from 1 to 1M." */
static void get_sentence(const ConfigKey *key, char *ret_text, size_t n_text) {
        config_get_expected(key, ret_text, n_text - 1);
        ret_text[0] = (char)toupper((unsigned char)ret_text[0]);
        strcat(ret_text, ".");
}

static void print_conf_key(const ConfigKey *key) {
        char sentence[CONFIG_EXPECTED_SIZE];
        char text[1024];

        get_sentence(key, sentence, sizeof(sentence));
        snprintf(text, sizeof(text), "%s%s%s%s%s", key->doc, key->is_live ? " " : "",
                 key->is_live ? LIVE_SENTENCE : "", key->words ? "" : " ", key->words ? "" : sentence);
        print_comment(text);
        for (const ConfigWord *word = key->words; word && word->text; word++)
                printf("#   %-*s%s\n", WORD_WIDTH, word->text, word->doc);
        printf("#%s =%s%s\n", key->name, *key->value ? " " : "", key->value);
}

static void print_man_head(void) {
        puts(".\\\" Printed from daemon/config.def.\n"
             ".TH GPUD.CONF 5 \"\" \"gpud\" \"File Formats\"\n"
             ".SH NAME\n"
             "gpud.conf \\- configuration of gpud\n"
             ".SH SYNOPSIS\n"
             ".B /etc/gpud/gpud.conf\n"
             ".SH DESCRIPTION\n"
             "The file that\n"
             ".B gpud \\-\\-config\n"
             "reads when it starts, and again at SIGHUP. Then it takes over the keys that a reload changes, "
             "and\n"
             "logs which others are not what it runs by; a file with a fault changes nothing. A line is\n"
             ".IB key \" = \" value\\fR,\n"
             "or\n"
             ".BI [ section ]\n"
             "for the keys that follow. What follows a\n"
             ".B #\n"
             "at the beginning of a line, or a\n"
             ".B ;\n"
             "there or behind a blank, is a comment.\n"
             ".PP\n"
             "Every key is optional. Where one is given twice, the last line counts; words of a list add "
             "up, and may stand in several lines.\n"
             "Numbers take the suffixes K, M, G and T, powers of 1024.\n"
             "For yes and no, true and false, on and off, 1 and 0 will do.\n"
             ".PP\n"
             ".B gpud \\-\\-check\\-config \\-\\-config\n"
             ".I FILE\n"
             "names the lines that gpud would refuse, and what it expects there.");
}

static void print_man_tail(void) {
        puts(".SH SEE ALSO\n"
             ".BR gpud (8)");
}

/* The text, with `...` in bold, and nothing else in it that means something to troff. */
static void print_man_text(const char *text) {
        bool is_bold = false;

        for (; *text; text++)
                if (*text == '`') {
                        is_bold = !is_bold;
                        fputs(is_bold ? "\\fB" : "\\fR", stdout);
                } else if (*text == '\\') {
                        fputs("\\e", stdout);
                } else if (*text == '-') {
                        fputs("\\-", stdout);
                } else {
                        putchar(*text);
                }
        putchar('\n');
}

static void print_man_key(const ConfigKey *key) {
        char sentence[CONFIG_EXPECTED_SIZE];

        printf(".TP\n.B %s\n", key->name);
        print_man_text(key->doc);
        if (key->is_live)
                print_man_text(LIVE_SENTENCE);
        get_sentence(key, sentence, sizeof(sentence));
        if (!key->words)
                print_man_text(sentence);
        for (const ConfigWord *word = key->words; word && word->text; word++) {
                printf("%s.TP\n.B %s\n", word == key->words ? ".RS\n" : "", word->text);
                print_man_text(word->doc);
        }
        if (key->words)
                puts(".RE\n.IP");
        if (*key->value) {
                printf("Default: ");
                print_man_text(key->value);
        }
}

static bool is_first_of_section(const ConfigKey *key) {
        return key == config_keys || strcmp(key->section, key[-1].section) != 0;
}

static void print_conf(void) {
        print_comment(
                "Configuration of gpud, as gpud.conf(5) has it too. Every key is optional: a line that is "
                "commented out shows what gpud takes when it is absent. Numbers take the suffixes K, M, G "
                "and T, powers of 1024. gpud reads this file when it starts and when it is told to reload "
                "(`systemctl reload gpud`, or SIGHUP); `gpud --check-config --config FILE` says whether it "
                "can.");
        for (const ConfigKey *key = config_keys; key->name; key++) {
                putchar('\n');
                if (is_first_of_section(key))
                        printf("[%s]\n", key->section);
                print_conf_key(key);
        }
}

static void print_man(void) {
        print_man_head();
        for (const ConfigKey *key = config_keys; key->name; key++) {
                if (is_first_of_section(key))
                        printf(".SH [%s]\n", key->section);
                print_man_key(key);
        }
        print_man_tail();
}

int main(int argc, char **argv) {
        if (argc == 2 && strcmp(argv[1], "--conf") == 0)
                print_conf();
        else if (argc == 2 && strcmp(argv[1], "--man") == 0)
                print_man();
        else {
                fputs("usage: dump-config --conf | --man\n", stderr);
                return 2;
        }
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
