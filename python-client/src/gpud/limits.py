"""The limits of the protocol. Client.limits has those of the daemon at the other end.

Printed from proto/limits.def by `make`; not for editing.
"""

MESSAGE_MAX = 2097152
"""bytes of one request, header included"""
INLINE_MAX = 65536
"""bytes of data inside one mem.write or mem.read message; more goes through a shared-memory region"""
INFLIGHT_MAX = 256
"""requests of one connection in flight; past it gpud stops reading from that connection"""
OUTPUT_MAX = 1048576
"""bytes of requests in flight and of replies waiting, for one connection; past it gpud stops reading from that connection"""
NAME_MAX = 255
"""bytes of an allocation's name"""
META_MAX = 1048576
"""bytes of metadata kept with one allocation"""
LIST_MAX = 1000
"""entries in one reply of mem.list or session.list"""
SHMS_MAX = 256
"""shared-memory regions registered by one session"""
DEPTH_MAX = 8
"""nested arrays and maps in one request"""
ITEMS_MAX = 256
"""msgpack items in one request"""
FDS_MAX = 16
"""file descriptors of one connection waiting for the message that takes them"""
CLIENT_MAX = 64
"""bytes of a client's name"""
REFS_MAX = 65536
"""references of one session to one allocation"""
PATTERN_MAX = 16
"""bytes of a fill pattern"""
