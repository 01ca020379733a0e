/* A refusal in the making: what it says can go on the wire and to a terminal as it is. */

#include "proto/fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "proto/text.h"

int proto_fault(ProtoFault *fault, int code, const char *format, ...) {
        va_list args;

        fault->code = code;
        va_start(args, format);
        vsnprintf(fault->text, sizeof(fault->text), format, args);
        va_end(args);
        text_sanitize(fault->text);
        return code;
}
