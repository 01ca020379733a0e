/*
 * Ends a view of methods.def or errors.def: forgets every row macro. Each view starts from rows.h, which
 * gives the rows that it does not define itself an empty meaning. No include guard.
 */
#undef LIMIT
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
