/* gpuctl's words: what is parsed, what is guessed, how values look. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/gpuctl/argument.h"
#include "client/gpuctl/complain.h"
#include "client/gpuctl/output.h"
#include "client/gpuctl/value.h"
#include "proto/guess.h"

/* main.c's, which is not linked here. */
int gpuctl_connect(Gpuctl *ctl) {
        (void)ctl;
        return EXIT_FAILED;
}

START_TEST(sizes_are_parsed) {
        static const struct {
                const char *text;
                uint64_t value;
        } good[] = {
                {"0", 0},
                {"4096", 4096},
                {"64K", 65536},
                {"64k", 65536},
                {"1M", 1 << 20},
                {"2G", 2ULL << 30},
                {"100GiB", 100ULL << 30},
                {"1T", 1ULL << 40},
                {"0x10", 16},
                {"18446744073709551615", UINT64_MAX},
                {"15E", 15ULL << 60},
                {"1.5G", 3ULL << 29},
                {"10GB", 10000000000},
                {"10kB", 10000},
                {"0.1K", 102},
                {"1.000000000000000000001M", 1 << 20},
                {"15.999999999999999999999E", UINT64_MAX},
                {"18.4EB", 18400000000000000000ULL},
        };
        static const char *const bad[] = {
                "",       "K",      "-1",           "+1",  " 1",     "1 K",
                "1Kb",    "1.5",    "1.G",          ".5G", "1.5.5G", "1,5G",
                "0x1.8K", "18.5EB", "1B",           "64Q", "16E",    "18446744073709551616",
                "0x",     "1KiBx",  "999999999999T"};
        uint64_t value;

        for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
                ck_assert_msg(parse_size(good[i].text, &value), "%s", good[i].text);
                ck_assert_uint_eq(value, good[i].value);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                ck_assert_msg(!parse_size(bad[i], &value), "%s", bad[i]);
}
END_TEST

START_TEST(times_are_parsed) {
        static const struct {
                const char *text;
                uint64_t value;
        } good[] = {{"0", 0},     {"90", 90},     {"90s", 90},   {"15min", 900},
                    {"15m", 900}, {"12h", 43200}, {"7d", 604800}};
        static const char *const bad[] = {"",    "s",    "-1",    "10K",
                                          "10M", "1.5h", "1h30m", "18446744073709551615min"};
        uint64_t value;

        for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
                ck_assert_msg(parse_duration(good[i].text, &value), "%s", good[i].text);
                ck_assert_uint_eq(value, good[i].value);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                ck_assert_msg(!parse_duration(bad[i], &value), "%s", bad[i]);
}
END_TEST

static int parse(Arguments *arguments, const ProtoStruct *type, const char *const *words, size_t n) {
        Gpuctl ctl = {0};

        return arguments_init(arguments, &ctl, "mem alloc", type, false, words, n);
}

#define PARSE(arguments_, type_, ...)                                                                        \
        parse(arguments_, type_, (const char *const[]){__VA_ARGS__},                                         \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

START_TEST(words_fill_the_structure) {
        const struct gpud_mem_alloc_args *args;
        Arguments arguments;

        ck_assert_int_eq(PARSE(&arguments, &proto_struct_mem_alloc_args, "vulkan:0", "--name=x y", "64K",
                               "--lifetime", "session", "--ttl-s=5", "--exportable", "--mode=640",
                               "--meta=0x00ff10"),
                         0);
        args = arguments.values;
        ck_assert_str_eq(args->device, "vulkan:0");
        ck_assert_uint_eq(args->size, 65536);
        ck_assert_str_eq(args->name, "x y");
        ck_assert(args->has_lifetime && args->lifetime == GPUD_LIFETIME_SESSION);
        ck_assert(args->has_ttl_s && args->ttl_s == 5);
        ck_assert(args->has_exportable && args->exportable);
        ck_assert(args->has_mode && args->mode == 0640);
        ck_assert_uint_eq(args->meta.size, 3);
        ck_assert_mem_eq(args->meta.data, "\x00\xff\x10", 3);
        arguments_deinit(&arguments);

        /* A required field as an option leaves its place to the next word; underscores do as well. */
        ck_assert_int_eq(PARSE(&arguments, &proto_struct_mem_alloc_args, "1M", "--device", "pci", "--ttl_s",
                               "7", "--exportable=false"),
                         0);
        args = arguments.values;
        ck_assert_str_eq(args->device, "pci");
        ck_assert_uint_eq(args->size, 1 << 20);
        ck_assert_uint_eq(args->ttl_s, 7);
        ck_assert(args->has_exportable && !args->exportable);
        ck_assert(!args->has_mode && !args->has_lifetime && !args->name && !args->meta.data);
        arguments_deinit(&arguments);
}
END_TEST

START_TEST(wrong_words_are_refused) {
        static const char *const lines[][4] = {
                {"vulkan:0", NULL},
                {"vulkan:0", "64Q", NULL},
                {"vulkan:0", "1", "more", NULL},
                {"vulkan:0", "1", "--naem=x", NULL},
                {"vulkan:0", "1", "--name", NULL},
                {"vulkan:0", "1", "--mode=9", NULL},
                {"vulkan:0", "1", "--mode=1777", NULL},
                {"vulkan:0", "1", "--ttl-s=10M", NULL},
                {"vulkan:0", "1", "--uid=0", NULL},
                {"vulkan:0", "1", "--lifetime=ever", NULL},
                {"vulkan:0", "1", "--exportable=maybe", NULL},
                {"vulkan:0", "1", "--meta=0xabc", NULL},
                {"vulkan:0", "1", "--meta=0xgg", NULL},
                {"vulkan:0", "1", "-x", NULL},
                {"vulkan:0", "1", "--socket", NULL},
                {"1", "--size=2", "--size=3", NULL},
        };
        Arguments arguments;
        size_t n;

        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
                for (n = 0; n < 4 && lines[i][n];)
                        n++;
                ck_assert_int_eq(parse(&arguments, &proto_struct_mem_alloc_args, lines[i], n), EXIT_USAGE);
                arguments_deinit(&arguments);
        }
        ck_assert_int_eq(PARSE(&arguments, &proto_struct_mem_alloc_args, "a", "1", "--meta=@/nonexistent"),
                         EXIT_FAILED);
        arguments_deinit(&arguments);
}
END_TEST

START_TEST(what_only_gpud_knows_is_left_open) {
        static const char handle[] = "12345678-1234-4234-8234-123456789abc";
        Arguments arguments;

        ck_assert_int_eq(PARSE(&arguments, &proto_struct_mem_copy_args, handle, "a name", "--uid=0", "1"), 0);
        ck_assert_uint_eq(arguments.n_names, 1);
        ck_assert_str_eq(arguments.names[0].text, "a name");
        ck_assert_str_eq(arguments.names[0].field->name, "dst");
        ck_assert(arguments.name_options.has_uid && arguments.name_options.uid == 0);
        ck_assert_ptr_null(arguments.device);
        arguments_deinit(&arguments);

        ck_assert_int_eq(PARSE(&arguments, &proto_struct_mem_alloc_args, "64K", "--name=x"), 0);
        ck_assert_str_eq(arguments.device->name, "device");
        ck_assert_uint_eq(((struct gpud_mem_alloc_args *)arguments.values)->size, 65536);
        arguments_deinit(&arguments);
        ck_assert_int_eq(PARSE(&arguments, &proto_struct_mem_list_args, "--uid=root"), 0);
        ck_assert_uint_eq(((struct gpud_mem_list_args *)arguments.values)->uid, 0);
        arguments_deinit(&arguments);
        /* The pages of a list are gpuctl's to turn. */
        ck_assert_int_eq(PARSE(&arguments, &proto_struct_mem_list_args, "--cursor=1"), EXIT_USAGE);
        arguments_deinit(&arguments);
}
END_TEST

START_TEST(near_words_are_guessed) {
        static const char *const words[] = {"alloc", "free", "list", "write", "read", "name_prefix"};
        const size_t n = sizeof(words) / sizeof(*words);

        ck_assert_str_eq(guess("aloc", words, n), "alloc");
        ck_assert_str_eq(guess("allco", words, n), "alloc");
        ck_assert_str_eq(guess("lsit", words, n), "list");
        ck_assert_str_eq(guess("wirte", words, n), "write");
        ck_assert_str_eq(guess("name-perfix", words, n), "name_prefix");
        ck_assert_ptr_null(guess("destroy", words, n));
        ck_assert_ptr_null(guess("x", words, n));
        ck_assert_ptr_null(guess("a-very-long-word-that-nobody-would-ever-mean", words, n));
        ck_assert(name_is("ttl-s", "ttl_s"));
        ck_assert(!name_is("ttl", "ttl_s"));
        ck_assert(!name_is("ttl_s", "ttl"));
}
END_TEST

START_TEST(sizes_and_durations_are_short) {
        char text[OUTPUT_TEXT_MAX];

        ck_assert_str_eq(size_to_text(0, text), "0 B");
        ck_assert_str_eq(size_to_text(1023, text), "1023 B");
        ck_assert_str_eq(size_to_text(1024, text), "1.0 KiB");
        ck_assert_str_eq(size_to_text((1 << 20) - 1, text), "1.0 MiB");
        ck_assert_str_eq(size_to_text(140ULL << 30, text), "140.0 GiB");
        ck_assert_str_eq(size_to_text(UINT64_MAX, text), "16.0 EiB");
        ck_assert_str_eq(duration_to_text(0, text), "0 s");
        ck_assert_str_eq(duration_to_text(61, text), "1 min 1 s");
        ck_assert_str_eq(duration_to_text(90061, text), "1 d 1 h");
}
END_TEST

/* What a printer wrote. */
static char *printed(const Table *table, void (*print)(const Table *, FILE *)) {
        char *text = NULL;
        size_t n;
        FILE *file = open_memstream(&text, &n);

        print(table, file);
        fclose(file);
        return text;
}

static void print_plain(const Table *table, FILE *file) {
        table_print_aligned(table, file, false);
}

START_TEST(tables_are_aligned_or_tabs) {
        Table *table = table_new();
        char *text;

        table_add_column(table, "NAME", false);
        table_add_column(table, "SIZE", true);
        table_add_column(table, "NOTE", false);
        table_add_cell(table, "w\xc3\xa4rmer");
        table_add_cell(table, "10");
        table_add_cell(table, "a\tb\033[31m");
        table_add_cell(table, "x");
        table_add_cell(table, "12345");
        table_add_cell(table, "");
        ck_assert_uint_eq(table_get_n_rows(table), 2);
        text = printed(table, print_plain);
        ck_assert_str_eq(text, "NAME     SIZE  NOTE\n"
                               "w\xc3\xa4rmer     10  a?b?[31m\n"
                               "x       12345  \n");
        free(text);
        text = printed(table, table_print_tabs);
        ck_assert_str_eq(text, "w\xc3\xa4rmer\t10\ta?b?[31m\nx\t12345\t\n");
        free(text);
        table_free(table);
        table_free(NULL);
}
END_TEST

START_TEST(tables_are_shortened) {
        static const struct {
                size_t width;
                bool is_fit;
                const char *text;
        } cases[] = {
                {40, true, "HANDLE        MODE  NAME         SIZE\n123456789012  0600  long-name-x     1\n"},
                {37, true, "HANDLE        MODE  NAME         SIZE\n123456789012  0600  long-name-x     1\n"},
                /* A handle goes first, and down to its least; then what is longest, in the middle. */
                {35, true, "HANDLE      MODE  NAME         SIZE\n1234567890  0600  long-name-x     1\n"},
                {32, true, "HANDLE    MODE  NAME        SIZE\n12345678  0600  long-\u2026me-x     1\n"},
                /* Only where that is not enough a column goes, and the others take its place. */
                {24, true, "HANDLE    NAME      SIZE\n12345678  long\u2026e-x     1\n"},
                {5, false, NULL},
        };
        Table *table;
        char *text;

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                table = table_new();
                table_add(table, (TableColumn){.title = "HANDLE", .is_cut = true, .width_min = 8});
                table_add(table, (TableColumn){.title = "MODE", .rank = 1});
                table_add(table, (TableColumn){.title = "NAME", .width_min = 5});
                table_add(table, (TableColumn){.title = "SIZE", .is_number = true});
                table_add_cell(table, "123456789012");
                table_add_cell(table, "0600");
                table_add_cell(table, "long-name-x");
                table_add_cell(table, "1");
                ck_assert_int_eq(table_fit(table, cases[i].width), cases[i].is_fit);
                ck_assert_int_eq(table_is_fitted(table), i > 1);
                text = printed(table, print_plain);
                if (cases[i].text)
                        ck_assert_str_eq(text, cases[i].text);
                free(text);
                table_free(table);
        }
}
END_TEST

START_TEST(json_has_every_field) {
        const struct gpud_mem_info info = {.device = "vulkan:0",
                                           .size = 1ULL << 40,
                                           .lifetime = GPUD_LIFETIME_PERSISTENT,
                                           .sealed = true};
        const struct gpud_mem_meta_result meta = {.meta = {"\x00\xff", 2}};
        json_t *json = output_to_json(&proto_struct_mem_info, &info);

        ck_assert_int_eq(json_integer_value(json_object_get(json, "size")), 1LL << 40);
        ck_assert_str_eq(json_string_value(json_object_get(json, "lifetime")), "persistent");
        ck_assert(json_is_null(json_object_get(json, "name")));
        ck_assert(json_is_null(json_object_get(json, "expires_ns")));
        ck_assert(json_is_true(json_object_get(json, "sealed")));
        ck_assert_uint_eq(json_object_size(json), proto_struct_mem_info.n_fields);
        json_decref(json);
        json = output_to_json(&proto_struct_mem_meta_result, &meta);
        ck_assert_str_eq(json_string_value(json_object_get(json, "meta")), "0x00ff");
        json_decref(json);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/gpuctl");
        TCase *tcase = tcase_create("gpuctl");
        SRunner *runner;
        int n_failed;

        tcase_add_test(tcase, sizes_are_parsed);
        tcase_add_test(tcase, times_are_parsed);
        tcase_add_test(tcase, words_fill_the_structure);
        tcase_add_test(tcase, wrong_words_are_refused);
        tcase_add_test(tcase, what_only_gpud_knows_is_left_open);
        tcase_add_test(tcase, near_words_are_guessed);
        tcase_add_test(tcase, sizes_and_durations_are_short);
        tcase_add_test(tcase, tables_are_aligned_or_tabs);
        tcase_add_test(tcase, tables_are_shortened);
        tcase_add_test(tcase, json_has_every_field);
        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
