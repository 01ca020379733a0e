/* Handles: random, distinct, and the same as text and as bytes. */

#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "proto/types.h"
#include "proto/uuid.h"

START_TEST(random_ones_are_distinct_and_of_version_4) {
        struct gpud_uuid uuids[1000];

        for (size_t i = 0; i < 1000; i++) {
                uuid_new_random(&uuids[i]);
                ck_assert_uint_eq(uuids[i].bytes[6] >> 4, 4);
                ck_assert_uint_eq(uuids[i].bytes[8] >> 6, 2);
                for (size_t j = 0; j < i; j++)
                        ck_assert_mem_ne(&uuids[i], &uuids[j], sizeof(*uuids));
        }
}
END_TEST

START_TEST(text_goes_round_in_either_case) {
        struct gpud_uuid uuid;
        struct gpud_uuid back;
        char text[GPUD_UUID_TEXT + 1];

        for (int round = 0; round < 1000; round++) {
                uuid_new_random(&uuid);
                uuid_to_string(&uuid, text);
                ck_assert_uint_eq(strlen(text), GPUD_UUID_TEXT);
                for (char *c = text; round % 2 && *c; c++)
                        *c = (char)toupper(*c);
                ck_assert(uuid_from_string(text, GPUD_UUID_TEXT, &back));
                ck_assert_mem_eq(&uuid, &back, sizeof(uuid));
        }
        ck_assert(uuid_from_string("00112233-4455-6677-8899-aabbccddeeff", 36, &uuid));
        for (unsigned i = 0; i < 16; i++)
                ck_assert_uint_eq(uuid.bytes[i], i * 0x11);
}
END_TEST

START_TEST(what_is_none_is_refused) {
        static const char *const texts[] = {
                "",
                "00112233-4455-6677-8899-aabbccddeef",
                "00112233-4455-6677-8899-aabbccddeeff0",
                "001122334455-6677-8899-aabbccddeeff-",
                "00112233-4455-6677-8899_aabbccddeeff",
                "00112233-4455-6677-8899-aabbccddeefg",
                " 0112233-4455-6677-8899-aabbccddeeff",
                "0x112233-4455-6677-8899-aabbccddeeff",
        };
        struct gpud_uuid uuid;

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                ck_assert_msg(!uuid_from_string(texts[i], strlen(texts[i]), &uuid), "%s", texts[i]);
}
END_TEST

START_TEST(every_byte_at_every_place) {
        static const char valid[] = "01234567-89ab-cdef-0123-456789abcdef";
        char text[sizeof(valid)];
        struct gpud_uuid uuid;
        char again[GPUD_UUID_TEXT + 1];

        for (size_t place = 0; place < GPUD_UUID_TEXT; place++)
                for (int byte = 0; byte < 256; byte++) {
                        bool is_fine = valid[place] == '-' ? byte == '-' : byte < 128 && isxdigit(byte);

                        memcpy(text, valid, sizeof(text));
                        text[place] = (char)byte;
                        ck_assert(uuid_from_string(text, GPUD_UUID_TEXT, &uuid) == is_fine);
                        if (!is_fine)
                                continue;
                        uuid_to_string(&uuid, again);
                        text[place] = (char)tolower(byte);
                        ck_assert_str_eq(again, text);
                }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("uuid");
        TCase *tests = tcase_create("uuid");
        SRunner *runner = srunner_create(suite);
        int n_failed;

        tcase_add_test(tests, random_ones_are_distinct_and_of_version_4);
        tcase_add_test(tests, text_goes_round_in_either_case);
        tcase_add_test(tests, what_is_none_is_refused);
        tcase_add_test(tests, every_byte_at_every_place);
        suite_add_tcase(suite, tests);
        srunner_run_all(runner, CK_NORMAL);
        n_failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
