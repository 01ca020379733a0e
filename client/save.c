/*
 * An allocation into a file that takes the old one's place when it is whole: written beside it, brought to
 * the disk, renamed. What is no regular file (a pipe, a device, a link of /proc to what a process has
 * open) is written as it is.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "client/cleanup.h"
#include "client/client.h"
#include "client/headroom.h"

#define LINKS_MAX 40 /* as many as the kernel follows */
#define TRIES_MAX 100

/* Bytes of a file's name that the temporary one's has in it. With what is around them they fit. */
#define NAME_KEPT (NAME_MAX - 15)

typedef struct Save {
        struct gpud_client *client;
        const char *path;        /* as the program says it */
        int directory;           /* where the file is to be, whatever links lead there; owned, or AT_FDCWD */
        char name[NAME_MAX + 1]; /* in it; no link */
        bool is_through;         /* no regular file: written as it is */
        bool is_old;             /* there is a file of that name */
        struct stat old;         /* of it */
        char temporary[NAME_MAX + 1]; /* beside it; empty while there is none */
        int fd;                       /* of what is written; owned */
} Save;

static void save_deinit(Save *save) {
        if (save->temporary[0])
                unlinkat(save->directory, save->temporary, 0);
        if (save->fd >= 0)
                close(save->fd);
        if (save->directory >= 0)
                close(save->directory);
}

static int fail(const Save *save, const char *what) {
        char text[128];

        return client_fail(save->client, GPUD_E_SYSTEM_CALL, "%s%s: %s", what, save->path,
                           headroom_error_to_string(errno, text, sizeof(text)));
}

/* ---- where it is to be ---- */

/*
 * Goes to the directory that `path` is in, seen from the one before, and keeps the name. errno says why
 * not.
 */
static int enter_directory(Save *save, const char *path) {
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        _cleanup_(fd_closep) int before = -1;
        char parent[PATH_MAX] = ".";
        int directory;

        if (slash)
                snprintf(parent, sizeof(parent), "%.*s", (int)(name - path), path);
        directory = openat(save->directory, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return -1;
        before = save->directory;
        save->directory = directory;
        if (!*name || strlen(name) > NAME_MAX) {
                errno = *name ? ENAMETOOLONG : EISDIR;
                return -1;
        }
        strcpy(save->name, name);
        return 0;
}

/* A link in /proc leads to an open file, not to a name: that file is meant, and no other in its place. */
static bool is_in_proc(const Save *save) {
        struct statfs status;

        return fstatfs(save->directory, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

static int follow_links(Save *save) {
        char path[PATH_MAX];
        ssize_t n = snprintf(path, sizeof(path), "%s", save->path);

        for (int i = 0; n < PATH_MAX && i < LINKS_MAX; i++) {
                if (enter_directory(save, path) < 0)
                        return fail(save, "");
                n = readlinkat(save->directory, save->name, path, sizeof(path) - 1);
                /* It is no link, or not there. */
                if (n < 0)
                        return 0;
                path[n] = '\0';
                if (is_in_proc(save)) {
                        save->is_through = true;
                        return 0;
                }
        }
        errno = n < PATH_MAX ? ELOOP : ENAMETOOLONG;
        return fail(save, "");
}

/* What is there now, and whether it may be written at all: a rename would not ask. */
static int look_at_old(Save *save) {
        int fd;

        if (save->is_through)
                return 0;
        if (fstatat(save->directory, save->name, &save->old, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : fail(save, "");
        save->is_old = true;
        save->is_through = !S_ISREG(save->old.st_mode) && !S_ISDIR(save->old.st_mode);
        if (save->is_through)
                return 0;
        fd = openat(save->directory, save->name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        return fd < 0 || close(fd) < 0 ? fail(save, "") : 0;
}

/* ---- what is written ---- */

static int open_through(Save *save) {
        save->fd = open(save->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return save->fd < 0 ? fail(save, "") : 0;
}

/* To whom the old file belongs and who may use it stays, as far as this user may decide that. */
static int take_over_rights(const Save *save) {
        mode_t mode = save->old.st_mode & 07777;

        if (fchown(save->fd, save->old.st_uid, save->old.st_gid) < 0) {
                /* Whoever it belongs to now was not to run it as another. */
                mode &= 0777;
                if (fchown(save->fd, (uid_t)-1, save->old.st_gid) < 0)
                        mode &= 0707;
        }
        return fchmod(save->fd, mode);
}

static int open_temporary(Save *save) {
        uint32_t number = 0;

        for (int i = 0; save->fd < 0 && i < TRIES_MAX; i++) {
                if (getrandom(&number, sizeof(number), 0) < 0)
                        return fail(save, "a name for a temporary file beside ");
                snprintf(save->temporary, sizeof(save->temporary), ".%.*s.gpud-%08x", NAME_KEPT, save->name,
                         number);
                save->fd = openat(save->directory, save->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                                  save->is_old ? 0600 : 0666);
                if (save->fd < 0 && errno != EEXIST)
                        break;
        }
        if (save->fd < 0) {
                save->temporary[0] = '\0';
                return fail(save, "a temporary file beside ");
        }
        return save->is_old && take_over_rights(save) < 0 ? fail(save, "") : 0;
}

/* ---- when it is whole ---- */

/* Whether errno says that there is nothing to be synced in such a file. */
static bool has_no_sync(void) {
        return errno == EINVAL || errno == EROFS || errno == ENOTSUP;
}

/* A file system may tell only a file that is closed of what did not get to the disk. The file stays open. */
static int flush_file(const Save *save) {
        int copy = fcntl(save->fd, F_DUPFD_CLOEXEC, 0);

        if (copy < 0 || close(copy) < 0 || (fsync(save->fd) < 0 && !has_no_sync()))
                return fail(save, "writing ");
        return 0;
}

/* The name counts when the directory is on the disk. One that may not be read is left to the kernel. */
static int sync_directory(const Save *save) {
        _cleanup_(fd_closep) int fd = -1;

        fd = openat(save->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd >= 0 && fsync(fd) < 0 && !has_no_sync() ? fail(save, "the directory of ") : 0;
}

static int replace_old(Save *save) {
        if (renameat(save->directory, save->temporary, save->directory, save->name) < 0)
                return fail(save, "");
        save->temporary[0] = '\0';
        return sync_directory(save);
}

static int close_file(Save *save) {
        int fd = save->fd;

        save->fd = -1;
        return close(fd) < 0 ? fail(save, "closing ") : 0;
}

static int save_run(Save *save, struct gpud_uuid mem, uint64_t offset, uint64_t size,
                    gpud_progress_fn *progress, void *userdata) {
        int r;

        /* What gpud refuses touches no file. */
        r = gpud_read(save->client, mem, offset, NULL, 0);
        if (r == 0)
                r = follow_links(save);
        if (r == 0)
                r = look_at_old(save);
        if (r == 0)
                r = save->is_through ? open_through(save) : open_temporary(save);
        if (r == 0)
                r = gpud_get_file(save->client, mem, offset, save->fd, 0, size, progress, userdata);
        if (r == 0)
                r = flush_file(save);
        if (r == 0 && !save->is_through)
                r = replace_old(save);
        return r == 0 ? close_file(save) : r;
}

int gpud_save_file(struct gpud_client *client, struct gpud_uuid mem, uint64_t offset, uint64_t size,
                   const char *path, gpud_progress_fn *progress, void *userdata) {
        _cleanup_(save_deinit) Save save = {.client = client, .path = path, .directory = AT_FDCWD, .fd = -1};

        return save_run(&save, mem, offset, size, progress, userdata);
}
