/*
 * Every key of config.def, without a line here for any: what operators read shows it and its default, and it
 * takes what its kind and range say and nothing else. Run from the root of the tree.
 */

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/util/macros.h"
#include "proto/socket.h"

#define CONF "systemd/gpud.conf"
#define MAN  "daemon/gpud.conf.5"

#define LONG_SIZE 4096

static Config config;

static void setup(void) {
        ck_assert_int_eq(config_init(&config), 0);
}

static void teardown(void) {
        config_deinit(&config);
}

static char *read_file(const char *name) {
        FILE *file = fopen(name, "r");
        size_t n_text = 0;
        char *text = NULL;

        ck_assert_msg(file, "%s: %s", name, strerror(errno));
        ck_assert_int_ge(getdelim(&text, &n_text, '\0', file), 0);
        fclose(file);
        return text;
}

static const void *find_place(const Config *of, const ConfigKey *key) {
        return (const char *)of + key->offset;
}

/* The file with every key that it shows put in force gives what no file gives. */
START_TEST(the_file_shows_the_defaults) {
        char path[] = "/tmp/gpud-test-XXXXXX", *text = read_file(CONF);
        FILE *file = fdopen(mkstemp(path), "w");
        Config shown;

        ck_assert_ptr_nonnull(file);
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
                fprintf(file, "%s\n", line[0] == '#' && line[1] != ' ' ? line + 1 : line);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(config_init(&shown), 0);
        ck_assert_int_eq(config_read(&shown, &(ConfigSource){.path = path}), 0);
        unlink(path);
        for (const ConfigKey *key = config_keys; key->name; key++)
                ck_assert_msg(config_is_same(&shown, &config, key), "%s shows another %s", CONF, key->name);
        ck_assert_str_eq(config.net.socket, PROTO_SOCKET_DEFAULT);
        config_deinit(&shown);
        free(text);
}
END_TEST

START_TEST(both_texts_have_every_key) {
        char *conf = read_file(CONF), *man = read_file(MAN), line[128];

        for (const ConfigKey *key = config_keys; key->name; key++) {
                snprintf(line, sizeof(line), "\n#%s =%s%s\n", key->name, *key->value ? " " : "", key->value);
                ck_assert_msg(strstr(conf, line), "%s lacks %s", CONF, line);
                snprintf(line, sizeof(line), "\n.TP\n.B %s\n", key->name);
                ck_assert_msg(strstr(man, line), "%s lacks %s", MAN, line);
                for (const ConfigWord *word = key->words; word && word->text; word++) {
                        ck_assert_msg(strstr(conf, word->doc), "%s lacks %s", CONF, word->text);
                        snprintf(line, sizeof(line), "\n.TP\n.B %s\n", word->text);
                        ck_assert_msg(strstr(man, line), "%s lacks %s", MAN, word->text);
                }
        }
        free(conf);
        free(man);
}
END_TEST

static void take(const ConfigKey *key, const char *value) {
        ck_assert_msg(config_set(&config, key, value) == 0, "%s does not take %s", key->name, value);
}

static void refuse(const ConfigKey *key, const char *value) {
        ck_assert_msg(config_set(&config, key, value) == CONFIG_E_VALUE, "%s takes %s", key->name, value);
}

static const char *repeat(char letter, uint64_t n) {
        static char text[LONG_SIZE];

        ck_assert_uint_lt(n, sizeof(text));
        memset(text, letter, n);
        text[n] = '\0';
        return text;
}

/* Reads a number of the rows, which always have the greatest unit that fits. */
static uint64_t number_of(const char *text, int base) {
        static const char units[] = "KMGT";
        char *end;
        uint64_t number = strtoull(text, &end, base);

        return *end ? number << 10 * (strchr(units, *end) - units + 1) : number;
}

static void print_number(char *ret_text, size_t n_text, const ConfigKey *key, uint64_t number) {
        if (key->kind == CONFIG_MODE)
                snprintf(ret_text, n_text, "%" PRIo64, number);
        else
                snprintf(ret_text, n_text, "%" PRIu64, number);
}

static void check_number(const ConfigKey *key) {
        static const char *const wrong[] = {
                "-1", "+1", "x", "1x", "12Q", "1KK", "1 1", "99999999999999999999", "99999999T"};
        int base = key->kind == CONFIG_MODE ? 8 : 0;
        uint64_t least = number_of(key->least, base), most = number_of(key->most, base);
        char text[32];

        ck_assert_uint_lt(least, most);
        for (size_t i = 0; i < N_ELEMENTS(wrong); i++)
                refuse(key, wrong[i]);
        if (least > 0) {
                print_number(text, sizeof(text), key, least - 1);
                refuse(key, text);
        }
        print_number(text, sizeof(text), key, most + 1);
        refuse(key, text);
        take(key, key->least);
        take(key, key->most);
        if (key->kind == CONFIG_MODE)
                ck_assert_uint_eq(*(const mode_t *)find_place(&config, key), most);
        else
                ck_assert_uint_eq(*(const uint64_t *)find_place(&config, key), most);
}

static void check_bool(const ConfigKey *key) {
        static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1", "NO", "Yes"};

        refuse(key, "perhaps");
        refuse(key, "2");
        for (size_t i = 0; i < N_ELEMENTS(words); i++) {
                take(key, words[i]);
                ck_assert_int_eq(*(const bool *)find_place(&config, key), i % 2 == 1);
        }
}

static void check_path(const ConfigKey *key) {
        uint64_t most = number_of(key->most, 0);

        refuse(key, repeat('x', most + 1));
        take(key, repeat('x', most));
        ck_assert_uint_eq(strlen(*(char *const *)find_place(&config, key)), most);
}

static void check_group(const ConfigKey *key) {
        const gid_t *gid = find_place(&config, key);

        refuse(key, "no such group");
        refuse(key, "-1");
        refuse(key, "4294967295");
        take(key, "12345");
        ck_assert_uint_eq(*gid, 12345);
        take(key, "root");
        ck_assert_uint_eq(*gid, 0);
}

static void check_users(const ConfigKey *key) {
        const OptionUsers *users = find_place(&config, key);

        refuse(key, "nobody-of-this-name");
        refuse(key, "4294967295");
        take(key, "root, 12345,");
        take(key, "7");
        ck_assert_uint_eq(users->n_uids, 3);
        ck_assert_uint_eq(users->uids[0], 0);
        ck_assert_uint_eq(users->uids[1], 12345);
        ck_assert_uint_eq(users->uids[2], 7);
}

static void check_names(const ConfigKey *key) {
        const OptionNames *list = find_place(&config, key);

        take(key, "a,b ,\tc");
        take(key, "d");
        ck_assert_uint_eq(list->n_names, 4);
        for (size_t i = 0; i < list->n_names; i++)
                ck_assert_str_eq(list->names[i], ((const char *const[]){"a", "b", "c", "d"})[i]);
}

static void check_choice(const ConfigKey *key) {
        refuse(key, "none of these");
        for (const ConfigWord *word = key->words; word->text; word++) {
                take(key, word->text);
                ck_assert_int_eq(*(const int *)find_place(&config, key), word->value);
        }
}

START_TEST(every_key_takes_what_it_says) {
        static void (*const checks[])(const ConfigKey *key) = {
                [CONFIG_BOOL] = check_bool,           [CONFIG_COUNT] = check_number,
                [CONFIG_SIZE] = check_number,         [CONFIG_MODE] = check_number,
                [CONFIG_MICROSECONDS] = check_number, [CONFIG_PATH] = check_path,
                [CONFIG_GROUP] = check_group,         [CONFIG_USERS] = check_users,
                [CONFIG_NAMES] = check_names,         [CONFIG_CHOICE] = check_choice,
        };

        for (const ConfigKey *key = config_keys; key->name; key++) {
                char expected[CONFIG_EXPECTED_SIZE];

                /* Without a value goes what has none by default. */
                (*key->value ? refuse : take)(key, "");
                take(key, key->value);
                checks[key->kind](key);
                config_get_expected(key, expected, sizeof(expected));
                ck_assert_uint_lt(strlen(expected), sizeof(expected) - 2);
                ck_assert_ptr_eq(config_find_key(key->section, key->name), key);
        }
}
END_TEST

/* Whoever does not choose is told so by a value that nobody can choose. */
START_TEST(what_nobody_chose) {
        ck_assert_uint_eq(config.registry.shm_max, OPTION_UNSET);
        ck_assert_uint_eq(config.loop.spin_us, OPTION_UNSET);
        ck_assert_uint_eq(config.net.socket_group, NO_GROUP);
        ck_assert_uint_eq(config.net.admins.n_uids, 0);
        ck_assert_uint_eq(config.gpu.devices.n_names, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("config");
        TCase *tests = tcase_create("config");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, the_file_shows_the_defaults);
        tcase_add_test(tests, both_texts_have_every_key);
        tcase_add_test(tests, every_key_takes_what_it_says);
        tcase_add_test(tests, what_nobody_chose);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
