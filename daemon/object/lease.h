#pragma once

/* When the leases of allocations end. */

#include <stdint.h>

#include "daemon/util/list.h"

typedef struct Lease Lease;
typedef struct LeaseTable LeaseTable;
typedef struct Mem Mem;

struct LeaseTable {
        List leases; /* Lease.link, the first to end first */
        void *root;  /* the same, of tsearch() */
};

struct Lease {
        uint64_t expires_ns;
        Mem *mem;
        List link;    /* LeaseTable.leases */
        List **place; /* for lease_new(), else NULL: where to leave the place of the last that ends before */
};

void lease_table_init(LeaseTable *table);

/* `expires_ns` is by the real-time clock. Returns 0 or -ENOMEM. */
int lease_new(Lease **ret_lease, LeaseTable *table, Mem *mem, uint64_t expires_ns);

/* Returns NULL. */
Lease *lease_free(Lease *lease, LeaseTable *table);

/* The first to end; NULL: there is none. */
Lease *lease_table_get_first(LeaseTable *table);
