#pragma once

/* A refusal: a code of errors.def and what the reader is told. */
typedef struct ProtoFault {
        int code;
        char text[256];
} ProtoFault;

/* Fills `fault` and returns `code`. The text is cut where it does not fit. */
int proto_fault(ProtoFault *fault, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
