#pragma once

/* Calls that wait for their reply, and for how long. */

#include "client/client.h"

/* The thunk of a call that a blocking one waits for: its result outlives the reply. */
void wait_complete(struct gpud_client *client, const Call *call, int r, const void *result);

/*
 * Waits until gpud says something, takes it in, and runs what callbacks that ends: 0,
 * -GPUD_E_DEADLINE_EXCEEDED once gpud has been silent for as long as the client allows, or why the
 * connection is lost.
 */
int wait_for_gpud(struct gpud_client *client);
