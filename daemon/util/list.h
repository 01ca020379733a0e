#pragma once

/*
 * Intrusive doubly linked list. A List is either a head or a link; an unlinked link and an empty head point
 * at themselves. The field that is a link says in a comment which list it is on.
 */

#include <stdbool.h>

#include "daemon/util/macros.h"

typedef struct List List;

struct List {
        List *next;
        List *prev;
};

static inline void list_init(List *list) {
        list->next = list;
        list->prev = list;
}

static inline bool list_is_empty(const List *list) {
        return list->next == list;
}

/* Appends `link`. Requires: it is on no list. */
static inline void list_link(List *head, List *link) {
        link->prev = head->prev;
        link->next = head;
        head->prev->next = link;
        head->prev = link;
}

/* Takes `link` off its list, if it is on one. */
static inline void list_unlink(List *link) {
        link->prev->next = link->next;
        link->next->prev = link->prev;
        list_init(link);
}

/* Moves all of `from` to the end of `to`. */
static inline void list_splice(List *to, List *from) {
        if (list_is_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

/* Returns the first link; NULL when the list is empty. */
static inline List *list_first(List *head) {
        return list_is_empty(head) ? NULL : head->next;
}

/* Takes the first link off and returns it; NULL when the list is empty. */
static inline List *list_pop(List *head) {
        List *link = list_first(head);

        if (link)
                list_unlink(link);
        return link;
}

/* The body may unlink `link_`, and only it. */
#define list_for_each(link_, head_)                                                                          \
        for (List *link_ = (head_)->next, *next_##link_ = link_->next; link_ != (head_);                     \
             link_ = next_##link_, next_##link_ = link_->next)
