/*
 * Ends a view of methods.def or of one of the other tables: forgets every row macro. A view of methods.def
 * starts from rows.h, which gives the rows that it does not define itself an empty meaning. No include guard.
 */
#undef KIND
#undef LIMIT
#undef SIZE
#undef ENUM
#undef VALUE
#undef END_ENUM
#undef STRUCT
#undef FIELD
#undef BOUNDED
#undef CHOICE
#undef EMBED
#undef LIST
#undef END_STRUCT
#undef METHOD
#undef ERROR
