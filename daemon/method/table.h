#pragma once

/* Every handler, in the order of proto_methods. */

#include "daemon/rpc/request.h"

extern const MethodRow method_rows[];
