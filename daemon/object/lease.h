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
        uint64_t expires_ns; /* by the boot clock */
        Mem *mem;
        List link;    /* LeaseTable.leases */
        List **place; /* for lease_new(): where to leave the link of the last that ends before; else NULL */
};

void lease_table_init(LeaseTable *table);

/* Makes a lease of `mem` that ends at `expires_ns` of the boot clock. Returns 0 or -ENOMEM. */
int lease_new(Lease **ret_lease, LeaseTable *table, Mem *mem, uint64_t expires_ns);

/* Takes the lease off the table. NULL is fine. Returns NULL. */
Lease *lease_free(Lease *lease, LeaseTable *table);

/* Returns the first to end; NULL if there is none. */
Lease *lease_table_get_first(LeaseTable *table);
