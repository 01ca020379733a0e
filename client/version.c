#include "client/gpud.h"

const char *gpud_version(void) {
        return GPUD_VERSION;
}
