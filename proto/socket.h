#pragma once

/* Where gpud listens, and where clients look for it, unless told otherwise. */
#define PROTO_SOCKET_DEFAULT "/run/gpud/gpud.sock"
