/* Lines on stderr. */

#include "client/gpuctl/complain.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/text.h"

int complain(int exit_code, const char *format, ...) {
        char text[1024];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        text_sanitize(text);
        fprintf(stderr, "gpuctl: %s\n", text);
        return exit_code;
}

int complain_call(const Gpuctl *ctl, const char *what, int r) {
        const ProtoError *error = proto_error_find(-r);
        const char *message = gpud_error_message(ctl->client);

        if (!error)
                return complain(EXIT_FAILED, "%s: unknown error %d: %s", what, -r, message);
        /* The message is what the system said, and needs no other word. */
        if (r == -GPUD_E_SYSTEM_CALL)
                return complain(error->exit_code, "%s: %s", what, message);
        if (r == -GPUD_E_INVALID_ARGUMENT)
                return complain(error->exit_code, "%s: %s: %s; see `gpuctl help %s`", what, error->text,
                                message, what);
        return complain(error->exit_code, "%s: %s%s%s; %s", what, error->text, message[0] ? ": " : "",
                        message, error->hint);
}

const char *name_to_text(const char *name, char ret_text[NAME_TEXT_MAX]) {
        snprintf(ret_text, NAME_TEXT_MAX, "%s", name);
        for (char *c = ret_text; *c; c++)
                if (*c == '_')
                        *c = '-';
        return ret_text;
}
