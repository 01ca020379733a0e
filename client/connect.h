#pragma once

/* What barred the way to gpud, for this thread's last gpud_connect() that failed. Never NULL. */
const char *connect_get_message(void);
