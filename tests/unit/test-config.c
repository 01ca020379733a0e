/* What gpud.conf and gpud.8 show as defaults is what gpud takes. Run from the root of the tree. */

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/util/clock.h"
#include "proto/socket.h"

#define CONF "systemd/gpud.conf"
#define MAN  "daemon/gpud.8"

static char path[] = "/tmp/gpud-test-XXXXXX";

static char *read_file(const char *name) {
        FILE *file = fopen(name, "r");
        size_t n_text = 0;
        char *text = NULL;

        ck_assert_msg(file, "%s: %s", name, strerror(errno));
        ck_assert_int_ge(getdelim(&text, &n_text, '\0', file), 0);
        fclose(file);
        return text;
}

/* `#key = value`: false for what is no such line or shows no value. */
static bool parse_shown(const char *line, char *key, char *value) {
        return sscanf(line, "#%31[a-z_] = %63[^\n]", key, value) == 2;
}

/* The file as it would be with a default uncommented wherever one is shown. */
static void uncomment(void) {
        char *text = read_file(CONF), key[32], value[64];
        FILE *file = fdopen(mkstemp(path), "w");

        ck_assert(file);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
                fprintf(file, "%s\n", parse_shown(line, key, value) ? line + 1 : line);
        ck_assert_int_eq(fclose(file), 0);
        free(text);
}

START_TEST(the_file_shows_the_defaults) {
        Config config, none;

        uncomment();
        ck_assert_int_eq(config_init(&config), 0);
        ck_assert_int_eq(config_init(&none), 0);
        ck_assert_int_eq(config_read(&config, path), 0);
        unlink(path);
        ck_assert_str_eq(config.socket, none.socket);
        ck_assert_str_eq(config.socket, PROTO_SOCKET_DEFAULT);
        ck_assert_uint_eq(config.socket_mode, none.socket_mode);
        ck_assert_uint_eq(config.socket_group, none.socket_group);
        ck_assert_uint_eq(config.admins.n_uids, none.admins.n_uids);
        ck_assert_uint_eq(config.connections_max, none.connections_max);
        ck_assert_uint_eq(config.shm_max, none.shm_max);
        ck_assert_uint_eq(config.gpu.n_devices, none.gpu.n_devices);
        ck_assert(config.gpu.validation == none.gpu.validation);
        ck_assert(config.gpu.force_staging == none.gpu.force_staging);
        ck_assert(config.gpu.copy == none.gpu.copy);
        ck_assert_uint_eq(config.gpu.staging_bytes, GPU_STAGING_BYTES);
        ck_assert_uint_eq(config.gpu.segment_max, GPU_SEGMENT_MAX);
        ck_assert_uint_eq(config.gpu.block_max, GPU_BLOCK_MAX);
        ck_assert_uint_eq(config.spin_ns, CONFIG_SPIN_GPU_US * NS_PER_US);
        config_deinit(&config);
        config_deinit(&none);
}
END_TEST

/* The paragraph of the manual that is about the key. */
static char *find_paragraph(const char *man, const char *key) {
        char head[64], *paragraph, *end;
        const char *found;

        snprintf(head, sizeof(head), "\n.TP\n.B %s\n", key);
        found = strstr(man, head);
        ck_assert_msg(found, "%s says nothing of %s", MAN, key);
        paragraph = strdup(found + strlen(head));
        end = strstr(paragraph, "\n.TP\n");
        if (end)
                *end = '\0';
        end = strstr(paragraph, "\n.S");
        if (end)
                *end = '\0';
        return paragraph;
}

static void check_manual(const char *man, const char *key, const char *shown) {
        char *paragraph = find_paragraph(man, key), end[160];

        snprintf(end, sizeof(end), "; %s.", shown);
        ck_assert_msg(strlen(paragraph) > strlen(end) &&
                              strcmp(paragraph + strlen(paragraph) - strlen(end), end) == 0,
                      "%s of %s: \"%s\" does not end in \"%s\"", MAN, key, paragraph, end);
        free(paragraph);
}

START_TEST(the_manual_shows_the_same) {
        char *text = read_file(CONF), *man = read_file(MAN), key[32], value[64], shown[128];
        int n_shown = 0;

        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
                if (!parse_shown(line, key, value))
                        continue;
                n_shown++;
                snprintf(shown, sizeof(shown), "%s", value);
                if (strcmp(key, "spin_us") == 0)
                        snprintf(shown, sizeof(shown), "%s with a GPU, %d with software devices only", value,
                                 (int)CONFIG_SPIN_CPU_US);
                else if (strcmp(key, "block_max") == 0)
                        snprintf(shown, sizeof(shown), "%s, or 1/%d of the device's memory if that is less",
                                 value, GPU_BLOCK_SHARE);
                check_manual(man, key, shown);
        }
        ck_assert_int_gt(n_shown, 0);
        free(text);
        free(man);
}
END_TEST

START_TEST(both_show_every_key) {
        char *text = read_file(CONF), *man = read_file(MAN), line[64];
        const char *key;

        for (size_t i = 0; (key = config_get_key(i)); i++) {
                snprintf(line, sizeof(line), "\n#%s =", key);
                ck_assert_msg(strstr(text, line), "%s lacks %s", CONF, key);
                free(find_paragraph(man, key));
        }
        free(text);
        free(man);
}
END_TEST

/* What a comment of the file says besides the value. */
START_TEST(the_file_says_the_same_in_words) {
        char *text = read_file(CONF), words[64];

        snprintf(words, sizeof(words), "in microseconds; %d where all devices are\n",
                 (int)CONFIG_SPIN_CPU_US);
        ck_assert_msg(strstr(text, words), "%s lacks: %s", CONF, words);
        snprintf(words, sizeof(words), "; 1/%d of the device's memory if that is less", GPU_BLOCK_SHARE);
        ck_assert_msg(strstr(text, words), "%s lacks: %s", CONF, words);
        free(text);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("config");
        TCase *tests = tcase_create("config");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_test(tests, the_file_shows_the_defaults);
        tcase_add_test(tests, the_manual_shows_the_same);
        tcase_add_test(tests, both_show_every_key);
        tcase_add_test(tests, the_file_says_the_same_in_words);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
