/* A fatal error is logged where it began. */

#include "daemon/util/error.h"

#include <errno.h>
#include <string.h>

#include "daemon/util/log.h"

int error_log(int r, const char *file, int line, const char *function) {
        if (r < 0)
                log_error("%s raised at %s:%d in %s", strerror(-r), file, line, function);
        return r;
}

int error_fold_log(int r, const char *file, int line, const char *function) {
        if (r <= 0)
                return r;
        log_error("condition %d at %s:%d in %s was not expected", r, file, line, function);
        return -ENOTRECOVERABLE;
}
