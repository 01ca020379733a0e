/* The trace of a fatal error, one log line for each function it passes. */

#include "daemon/util/error.h"

#include <errno.h>
#include <string.h>

#include "daemon/util/log.h"

int error_log(int r, const char *what, const char *file, int line, const char *function) {
        if (r < 0)
                log_error("%s %s at %s:%d in %s", strerror(-r), what, file, line, function);
        return r;
}

int error_fold_log(int r, const char *file, int line, const char *function) {
        if (r <= 0)
                return error_log(r, "passed on", file, line, function);
        log_error("condition %d at %s:%d in %s was not expected", r, file, line, function);
        return -ENOTRECOVERABLE;
}
