/*
 * Begins a view of methods.def: gives every row that the view did not define an empty meaning, so that a
 * view names only the rows it is about. BOUNDED falls back to FIELD. No include guard.
 */
#ifndef ENUM
#define ENUM(name_, doc_)
#endif
#ifndef VALUE
#define VALUE(enum_, NAME_, text_, doc_)
#endif
#ifndef END_ENUM
#define END_ENUM(name_)
#endif
#ifndef STRUCT
#define STRUCT(name_, doc_)
#endif
#ifndef FIELD
#define FIELD(struct_, name_, kind_, need_, doc_)
#endif
#ifndef BOUNDED
#define BOUNDED(struct_, name_, kind_, need_, limit_, doc_) FIELD(struct_, name_, kind_, need_, doc_)
#endif
#ifndef CHOICE
#define CHOICE(struct_, name_, enum_, need_, doc_)
#endif
#ifndef EMBED
#define EMBED(struct_, name_, other_, doc_)
#endif
#ifndef LIST
#define LIST(struct_, name_, other_, doc_)
#endif
#ifndef END_STRUCT
#define END_STRUCT(name_)
#endif
#ifndef METHOD
#define METHOD(noun_, verb_, args_, result_, ACCESS_, fds_, since_, doc_)
#endif
