/* What a process may still have, in recorded trees of /proc and /sys. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/headroom.h"
#include "tests/unit/client/peer.h"

#define MIB (UINT64_C(1) << 20)

static char root[] = "/tmp/gpud-headroom-XXXXXX";

static void enter_root(void) {
        strcpy(root + strlen(root) - 6, "XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(root));
}

static void leave_root(void) {
        char command[64];

        snprintf(command, sizeof(command), "rm -r %s", root);
        ck_assert_int_eq(system(command), 0);
}

/* With the folders above it. */
static void write_file(const char *name, const char *text) {
        char path[256];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", root, name);
        for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                ck_assert(mkdir(path, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        fputs(text, file);
        ck_assert_int_eq(fclose(file), 0);
}

static void write_number(const char *folder, const char *name, uint64_t number) {
        char path[256], text[32];

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        snprintf(text, sizeof(text), "%ju\n", (uintmax_t)number);
        write_file(path, text);
}

/* A process in the group `own`, on a machine with 8 of 16 GiB left. */
static void write_process(const char *own, const char *mounts) {
        write_file("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:   8388608 kB\n"
                                   "HugePages_Total:       0\n");
        write_file("proc/self/cgroup", own);
        write_file("proc/self/mountinfo", mounts);
}

static const char v2_mounts[] = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

/* The controllers are in v1; v2 is there and has none. */
static const char hybrid_mounts[] =
        "23 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
        "48 44 0:32 / /chroot/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";

static void write_v2(const char *folder, const char *limit, uint64_t usage, uint64_t cached) {
        char path[256], text[128];

        snprintf(path, sizeof(path), "%s/memory.max", folder);
        snprintf(text, sizeof(text), "%s\n", limit);
        write_file(path, text);
        write_number(folder, "memory.current", usage);
        snprintf(path, sizeof(path), "%s/memory.stat", folder);
        snprintf(text, sizeof(text), "anon 1\nfile 99999999999\ninactive_file %ju\nactive_file 0\n",
                 (uintmax_t)cached);
        write_file(path, text);
}

static void allows(uint64_t size) {
        ProtoFault fault = {0};

        ck_assert_msg(headroom_check(size, root, &fault) == 0, "%s", fault.text);
}

static void refuses(uint64_t size, const char *why) {
        ProtoFault fault = {0};

        ck_assert_int_eq(headroom_check(size, root, &fault), GPUD_E_SYSTEM_CALL);
        ck_assert_msg(strstr(fault.text, why), "%s", fault.text);
}

START_TEST(machine) {
        write_process("", "");
        allows((UINT64_C(8) << 30) - 256 * MIB);
        refuses((UINT64_C(8) << 30) - 256 * MIB + 1, "no host memory for a region of 8321499137 bytes: of "
                                                     "the machine's 17179869184 bytes 8589934592 "
                                                     "are left");
        refuses(UINT64_MAX, "are left");
}
END_TEST

START_TEST(v2_looks_at_every_ancestor) {
        write_process("0::/a.slice/b.scope\n", v2_mounts);
        write_v2("sys/fs/cgroup/a.slice/b.scope", "max", 100 * MIB, 0);
        write_v2("sys/fs/cgroup/a.slice", "536870912", 100 * MIB, 0);
        allows(380 * MIB);
        refuses(381 * MIB, ": memory.max = 536870912 of control group /a.slice leaves 432013312 bytes");
        write_v2("sys/fs/cgroup/a.slice/b.scope", "209715200", 150 * MIB, 0);
        refuses(51 * MIB, ": memory.max = 209715200 of control group /a.slice/b.scope leaves 52428800 bytes");
}
END_TEST

START_TEST(page_cache_is_no_usage) {
        write_process("0::/a\n", v2_mounts);
        write_v2("sys/fs/cgroup/a", "536870912", 511 * MIB, 400 * MIB);
        allows(300 * MIB);
        refuses(400 * MIB, "of control group /a leaves 420478976 bytes");
        /* More than all of it, as two files read at two times may say. */
        write_v2("sys/fs/cgroup/a", "536870912", 100 * MIB, 600 * MIB);
        allows(480 * MIB);
}
END_TEST

START_TEST(v1_beside_v2) {
        write_process("9:name=systemd:/\n4:cpu,cpuacct:/\n3:memory:/docker/a:b\n0::/system.slice\n",
                      hybrid_mounts);
        write_file("sys/fs/cgroup/unified/cgroup.procs", "1\n");
        write_number("sys/fs/cgroup/memory", "memory.limit_in_bytes", 9223372036854771712u);
        write_number("sys/fs/cgroup/memory", "memory.usage_in_bytes", UINT64_C(12) << 30);
        write_number("sys/fs/cgroup/memory/docker/a:b", "memory.limit_in_bytes", 512 * MIB);
        write_number("sys/fs/cgroup/memory/docker/a:b", "memory.usage_in_bytes", 512 * MIB);
        write_file("sys/fs/cgroup/memory/docker/a:b/memory.stat",
                   "inactive_file 99999999999\ntotal_inactive_file 117440512\n");
        allows(80 * MIB);
        refuses(81 * MIB,
                ": memory.limit_in_bytes = 536870912 of control group /docker/a:b leaves 117440512 bytes");
}
END_TEST

START_TEST(container_sees_a_part_of_the_hierarchy) {
        static const char mounts[] =
                "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

        write_number("sys/fs/cgroup/memory", "memory.limit_in_bytes", 64 * MIB);
        write_number("sys/fs/cgroup/memory", "memory.usage_in_bytes", 0);
        write_process("4:memory:/docker/abc/inner\n", mounts);
        refuses(61 * MIB, "= 67108864 of control group / leaves 67108864 bytes");
        write_process("4:memory:/docker/abcd\n", mounts);
        allows(61 * MIB);
}
END_TEST

START_TEST(groups_of_the_namespace_alone) {
        write_process("0::/\n", v2_mounts);
        allows(1024 * MIB);
        write_v2("sys/fs/cgroup", "67108864", 80 * MIB, 0);
        refuses(1, "of control group / leaves 0 bytes");
}
END_TEST

/* Where nothing can be read nothing is known: an old kernel, a bare root. */
START_TEST(nothing_is_known) {
        allows(UINT64_MAX / 2);
}
END_TEST

START_TEST(error_names_the_limit) {
        struct rlimit limit;
        char text[128], expected[128];

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        snprintf(expected, sizeof(expected), "Too many open files, limit RLIMIT_NOFILE = %ju",
                 (uintmax_t)limit.rlim_cur);
        ck_assert_str_eq(headroom_error_to_string(EMFILE, text, sizeof(text)), expected);
        ck_assert_str_eq(headroom_error_to_string(EPERM, text, sizeof(text)), "Operation not permitted");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client/headroom");
        TCase *tcase = tcase_create("headroom");

        tcase_add_checked_fixture(tcase, enter_root, leave_root);
        tcase_add_test(tcase, machine);
        tcase_add_test(tcase, v2_looks_at_every_ancestor);
        tcase_add_test(tcase, page_cache_is_no_usage);
        tcase_add_test(tcase, v1_beside_v2);
        tcase_add_test(tcase, container_sees_a_part_of_the_hierarchy);
        tcase_add_test(tcase, groups_of_the_namespace_alone);
        tcase_add_test(tcase, nothing_is_known);
        tcase_add_test(tcase, error_names_the_limit);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
