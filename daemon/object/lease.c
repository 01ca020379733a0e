/*
 * Leases in a list by when they end, and in a balanced tree that tells a new one its place: whoever chooses
 * how long they are, none is far.
 */

#include "daemon/object/lease.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "daemon/util/error.h"
#include "daemon/util/macros.h"

/* On its way down the tree, a new lease meets the one that it comes after: the last that it is behind. */
static int compare(const void *a, const void *b) {
        const Lease *x = a, *y = b;
        int order =
                x->expires_ns != y->expires_ns ? (x->expires_ns < y->expires_ns ? -1 : 1) : (x > y) - (x < y);

        if (order > 0 && x->place)
                *x->place = y->link.next->prev;
        if (order < 0 && y->place)
                *y->place = x->link.next->prev;
        return order;
}

void lease_table_init(LeaseTable *table) {
        *table = (LeaseTable){};
        list_init(&table->leases);
}

int lease_new(Lease **ret_lease, LeaseTable *table, Mem *mem, uint64_t expires_ns) {
        _cleanup_(freep) Lease *lease = malloc(sizeof(*lease));
        List *place = &table->leases;

        if (!lease)
                return error_origin(-ENOMEM);
        *lease = (Lease){.expires_ns = expires_ns, .mem = mem, .place = &place};
        if (!tsearch(lease, &table->root, compare))
                return error_origin(-ENOMEM);
        lease->place = NULL;
        list_link(place->next, &lease->link);
        *ret_lease = STEAL(lease);
        return 0;
}

Lease *lease_free(Lease *lease, LeaseTable *table) {
        if (!lease)
                return NULL;
        tdelete(lease, &table->root, compare);
        list_unlink(&lease->link);
        free(lease);
        return NULL;
}

Lease *lease_table_get_first(LeaseTable *table) {
        List *first = list_first(&table->leases);

        return first ? container_of(first, Lease, link) : NULL;
}
