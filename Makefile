# gpud's build. GNU Make, one file, no recursion into folders; `make help` prints the targets.
#
#   MODE=release|debug|asan|tsan   what to build; all but release go to build/MODE/
#   WERROR=1                       warnings are errors (CI sets it)
#   V=1                            print every command
#   CC=clang                       either compiler will do
#
# Source lists are explicit: a file in the tree is a decision, and `make lint` checks that each is in a list.

VERSION := $(shell sed -n 's/^\#define GPUD_VERSION "\(.*\)"$$/\1/p' proto/version.h)

MODE   ?= release
PREFIX ?= /usr/local
V      ?= 0
WERROR ?= 0

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG      ?= clang
PKG_CONFIG ?= pkg-config
GLSLC      ?= glslc

prefix         := $(PREFIX)
bindir         := $(prefix)/bin
libdir         := $(prefix)/lib
includedir     := $(prefix)/include
mandir         := $(prefix)/share/man
sysconfdir     ?= $(if $(filter /usr /usr/local,$(prefix)),/etc,$(prefix)/etc)
systemdunitdir ?= $(prefix)/lib/systemd/system
sysusersdir    ?= $(prefix)/lib/sysusers.d
bashcompletiondir ?= $(prefix)/share/bash-completion/completions
zshcompletiondir  ?= $(prefix)/share/zsh/site-functions
fishcompletiondir ?= $(prefix)/share/fish/vendor_completions.d

MAN1 := client/gpuctl/gpuctl.1
MAN5 := daemon/gpud.conf.5
MAN8 := daemon/gpud.8

# ---- what is built from what --------------------------------------------------------------------------

# The contract, in the daemon and in the client library alike.
PROTO_SRCS := \
	proto/codec.c \
	proto/cursor.c \
	proto/fault.c \
	proto/item.c \
	proto/message.c \
	proto/scan.c \
	proto/table.c \
	proto/text.c \
	proto/uuid.c \
	proto/writer.c

# Everything of gpud but main(), so that unit tests can link it.
DAEMON_SRCS := \
	daemon/config.c \
	daemon/daemon.c \
	daemon/executor.c \
	daemon/reload.c \
	daemon/gpu/arrears.c \
	daemon/gpu/backing.c \
	daemon/gpu/calibrate.c \
	daemon/gpu/device.c \
	daemon/gpu/fill.c \
	daemon/gpu/gate.c \
	daemon/gpu/hazard.c \
	daemon/gpu/info.c \
	daemon/gpu/instance.c \
	daemon/gpu/fairqueue.c \
	daemon/gpu/memory.c \
	daemon/gpu/op.c \
	daemon/gpu/pool.c \
	daemon/gpu/queue.c \
	daemon/gpu/record.c \
	daemon/gpu/region.c \
	daemon/gpu/ring.c \
	daemon/gpu/schedule.c \
	daemon/gpu/shader.c \
	daemon/gpu/tlsf.c \
	daemon/gpu/transfer.c \
	daemon/gpu/vk.c \
	daemon/gpu/waiter.c \
	daemon/method/daemon.c \
	daemon/method/device.c \
	daemon/method/mem.c \
	daemon/method/session.c \
	daemon/method/shm.c \
	daemon/method/table.c \
	daemon/method/mem-bytes.c \
	daemon/net/credentials.c \
	daemon/net/idmap.c \
	daemon/net/listener.c \
	daemon/net/lockfile.c \
	daemon/net/net.c \
	daemon/net/peer.c \
	daemon/object/holdset.c \
	daemon/object/lease.c \
	daemon/object/mem.c \
	daemon/object/name.c \
	daemon/object/registry.c \
	daemon/object/result.c \
	daemon/object/session.c \
	daemon/object/shm.c \
	daemon/object/user.c \
	daemon/rpc/channel.c \
	daemon/rpc/fdqueue.c \
	daemon/rpc/pipeline.c \
	daemon/rpc/request.c \
	daemon/rpc/resolve.c \
	daemon/rpc/rpc.c \
	daemon/rpc/stats.c \
	daemon/util/buffer.c \
	daemon/util/clock.c \
	daemon/util/error.c \
	daemon/util/fd.c \
	daemon/util/log.c \
	daemon/util/slab.c \
	daemon/util/thread.c \
	proto/guess.c

DAEMON_MAIN := daemon/main.c

# Compute shaders: NAME.comp becomes build/gen/NAME.spv.h, an initializer list of 32-bit words, included as
# "daemon/gpu/NAME.spv.h".
SHADERS := \
	daemon/gpu/copy.comp \
	daemon/gpu/fill.comp \
	daemon/gpu/shift.comp

CLIENT_SRCS := \
	client/bulk.c \
	client/bytes.c \
	client/call.c \
	client/client.c \
	client/connect.c \
	client/conn.c \
	client/copier.c \
	client/error.c \
	client/file.c \
	client/fork.c \
	client/headroom.c \
	client/load.c \
	client/region.c \
	client/save.c \
	client/spin.c \
	client/stream.c \
	client/uuid.c \
	client/version.c \
	client/wait.c

# gpuctl but for main().
GPUCTL_SRCS := \
	client/gpuctl/argument.c \
	client/gpuctl/command.c \
	client/gpuctl/complain.c \
	client/gpuctl/completion-asked.c \
	client/gpuctl/completion-bash.c \
	client/gpuctl/completion-fish.c \
	client/gpuctl/completion-zsh.c \
	client/gpuctl/completion.c \
	client/gpuctl/get.c \
	client/gpuctl/help.c \
	client/gpuctl/interrupt.c \
	client/gpuctl/ls.c \
	client/gpuctl/output.c \
	client/gpuctl/progress.c \
	client/gpuctl/put.c \
	client/gpuctl/resolve.c \
	client/gpuctl/rm.c \
	client/gpuctl/status.c \
	client/gpuctl/table.c \
	client/gpuctl/value.c \
	client/gpuctl/verb.c \
	proto/guess.c
GPUCTL_MAIN := client/gpuctl/main.c

# Prints what derives from the schema.
DUMP_SRCS := \
	proto/table.c \
	proto/dump.c \
	proto/dump-header.c \
	proto/dump-markdown.c \
	proto/dump-python.c

# Prints what derives from the table of the configuration.
DUMP_CONFIG_SRCS := \
	daemon/config.c \
	daemon/dump-config.c \
	daemon/util/error.c \
	daemon/util/log.c \
	proto/guess.c

# Prints the manual page of gpuctl.
DUMP_MANUAL_SRCS := client/gpuctl/dump-manual.c

# Unit tests with check, one program per source. Those of the client side link libgpud's and gpuctl's objects,
# the others gpud's.
DAEMON_TESTS := \
	tests/unit/gpu/test-copy.c \
	tests/unit/gpu/test-device.c \
	tests/unit/gpu/test-failing.c \
	tests/unit/gpu/test-gpu.c \
	tests/unit/gpu/test-memory.c \
	tests/unit/gpu/test-order.c \
	tests/unit/gpu/test-schedule.c \
	tests/unit/gpu/test-stress.c \
	tests/unit/gpu/test-tlsf.c \
	tests/unit/net/test-net.c \
	tests/unit/object/test-holdset.c \
	tests/unit/object/test-mem.c \
	tests/unit/proto/test-codec.c \
	tests/unit/proto/test-item.c \
	tests/unit/proto/test-scan.c \
	tests/unit/proto/test-table.c \
	tests/unit/proto/test-text.c \
	tests/unit/proto/test-uuid.c \
	tests/unit/rpc/test-fdqueue.c \
	tests/unit/rpc/test-pipeline.c \
	tests/unit/test-config.c \
	tests/unit/test-executor.c \
	tests/unit/util/test-buffer.c \
	tests/unit/util/test-slab.c

CLIENT_TESTS := \
	tests/unit/client/test-async.c \
	tests/unit/client/test-bulk.c \
	tests/unit/client/test-conn.c \
	tests/unit/client/test-copier.c \
	tests/unit/client/test-error.c \
	tests/unit/client/test-gpuctl.c \
	tests/unit/client/test-headroom.c \
	tests/unit/client/test-layout.c \
	tests/unit/client/test-region.c \
	tests/unit/client/test-spin.c

# Programs for measuring by hand, linked as the daemon's tests are.
DAEMON_TOOLS := \
	tests/unit/gpu/speed.c

# What several unit tests share.
TEST_SUPPORT_SRCS := \
	tests/unit/gpu/loop.c

# A GPU layer and a malloc() that take the real ones' places, in the programs that name them below.
TEST_FAKE_SRCS := \
	tests/unit/failing.c \
	tests/unit/rpc/fake-gpu.c

# What programs that load drivers link with in a mode of a sanitizer.
SANITIZE_SRCS_asan := tests/sanitize/dlclose.c
SANITIZE_SRCS_tsan := tests/sanitize/timeline.c

# Programs that the benchmark measures with, one per source, and what they share.
BENCHES := \
	tests/bench/echo.c \
	tests/bench/lib.c \
	tests/bench/raw.c
BENCH_SUPPORT_SRCS := tests/bench/side.c

# The program of the integration tests, linked with the shared library as a user's are.
STORIES := \
	tests/integration/client-stories.c \
	tests/integration/copy-stories.c

# libFuzzer targets, one program per source; they need clang.
FUZZERS := \
	tests/fuzz/fuzz-message.c \
	tests/fuzz/fuzz-scan.c

# ---- flags ------------------------------------------------------------------------------------------------

# msgpack-c calls itself `msgpack` in Debian 12 and `msgpack-c` later.
MSGPACK := $(shell $(PKG_CONFIG) --exists msgpack-c 2>/dev/null && echo msgpack-c || \
	{ $(PKG_CONFIG) --exists msgpack 2>/dev/null && echo msgpack; })

pkg_cflags = $(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null)
pkg_libs   = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)

LIBS_PROTO  := $(if $(MSGPACK),$(call pkg_libs,$(MSGPACK)),-lmsgpackc)
LIBS_CONFIG := $(call pkg_libs,inih)
LIBS_DAEMON := $(call pkg_libs,vulkan) $(call pkg_libs,libuv) $(call pkg_libs,libsystemd) $(LIBS_CONFIG) -ldl
LIBS_GPUCTL := $(call pkg_libs,jansson)
LIBS_CHECK  := $(call pkg_libs,check)

WARNINGS := -Wall -Wextra
WARNINGS += -Wshadow # a name means one thing in its scope
WARNINGS += -Wvla # the stack must not grow by a number from the wire
WARNINGS += -Wundef # a mistyped macro in an if would silently be 0
WARNINGS += -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition # every call is checked against its header
WARNINGS += -Wredundant-decls # one declaration, in one header
WARNINGS += -Wwrite-strings -Wcast-qual # const is kept
WARNINGS += -Wpointer-arith # no arithmetic on void pointers
WARNINGS += -Wformat=2 # no format string from outside
WARNINGS += -Wimplicit-fallthrough # a missing break is seen
WARNINGS += -Wdate-time # the same source gives the same binary

ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

CPPFLAGS_ALL := -D_GNU_SOURCE -I. -Ibuild/gen $(call pkg_cflags,$(MSGPACK)) $(CPPFLAGS)
# -fno-common: two files cannot share a variable by accident. -fvisibility=hidden: libgpud shows what its
# symbol file lists and nothing else. -fPIC everywhere: one object serves programs and the library.
CFLAGS_BASE := -std=c17 -fno-common -fvisibility=hidden -fPIC -pthread
LDFLAGS_ALL := -pthread -Wl,--as-needed $(LDFLAGS)

ifeq ($(MODE),release)
OUT := build
CFLAGS_MODE := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
LDFLAGS_ALL += -Wl,-z,relro,-z,now
# Worth a tenth of a request's time in gpud. The objects hold both forms, so that what is linked without it
# (tests, to be linked quickly) needs no second build.
LTO := $(if $(findstring clang,$(CC)),,-flto=auto -ffat-lto-objects)
LINK_PLAIN := $(if $(LTO),-fno-lto)
else
OUT := build/$(MODE)
ifeq ($(MODE),debug)
CFLAGS_MODE := -Og -g3
else ifeq ($(MODE),asan)
CFLAGS_MODE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_ALL += -fsanitize=address,undefined
else ifeq ($(MODE),tsan)
CFLAGS_MODE := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS_ALL += -fsanitize=thread
else
$(error MODE is $(MODE); it must be release, debug, asan or tsan)
endif
endif

CFLAGS_ALL := $(CFLAGS_BASE) $(CFLAGS_MODE) $(LTO) $(WARNINGS) $(CFLAGS)

OBJ := build/$(MODE)/obj
objs = $(patsubst %.c,$(OBJ)/%.o,$(1))

PROTO_OBJS  := $(call objs,$(PROTO_SRCS))
DAEMON_OBJS := $(call objs,$(DAEMON_SRCS))
CLIENT_OBJS := $(call objs,$(CLIENT_SRCS))
GPUCTL_OBJS := $(call objs,$(GPUCTL_SRCS))

SANITIZE_OBJS := $(call objs,$(SANITIZE_SRCS_$(MODE)))

SHADER_HEADERS := $(patsubst %.comp,build/gen/%.spv.h,$(SHADERS))

TEST_BINS  := $(patsubst %.c,$(OUT)/%,$(DAEMON_TESTS) $(CLIENT_TESTS))
FUZZ_BINS  := $(patsubst %.c,build/fuzz/%,$(FUZZERS))
BENCH_BINS := $(patsubst %.c,$(OUT)/%,$(BENCHES))

PROGRAMS := $(if $(DAEMON_MAIN),$(OUT)/gpud) $(if $(CLIENT_SRCS),$(OUT)/libgpud.so $(OUT)/libgpud.a) \
	$(if $(GPUCTL_MAIN),$(OUT)/gpuctl)

ALL_SRCS := $(PROTO_SRCS) $(DAEMON_SRCS) $(DAEMON_MAIN) $(CLIENT_SRCS) $(GPUCTL_SRCS) $(GPUCTL_MAIN) $(DUMP_SRCS) $(DUMP_CONFIG_SRCS) $(DUMP_MANUAL_SRCS) \
	$(DAEMON_TESTS) $(DAEMON_TOOLS) $(CLIENT_TESTS) $(TEST_SUPPORT_SRCS) $(TEST_FAKE_SRCS) $(SANITIZE_SRCS_asan) $(SANITIZE_SRCS_tsan) $(STORIES) $(FUZZERS) $(BENCHES) \
	$(BENCH_SUPPORT_SRCS)

ifeq ($(V),1)
say = @:
Q :=
else
say = @printf '  %-7s %s\n' $(1) $(2)
Q := @
endif

# ---- targets -----------------------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all help unit gen format deps check demo bench bench-build bench-plots asan fuzz fuzz-build objects lint install clean

all: $(PROGRAMS) ## build gpud, gpuctl and libgpud (the default)

help: ## print this
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

$(OUT)/gpud: $(call objs,$(DAEMON_MAIN)) $(DAEMON_OBJS) $(PROTO_OBJS) $(SANITIZE_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_MODE) $(LTO) -pie -o $@ $^ $(LDFLAGS_ALL) $(LIBS_DAEMON) $(LIBS_PROTO)

SOVERSION := $(firstword $(subst ., ,$(VERSION)))

$(OUT)/libgpud.so: $(CLIENT_OBJS) $(PROTO_OBJS) client/libgpud.sym
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_MODE) $(LTO) -shared -Wl,-soname,libgpud.so.$(SOVERSION) -Wl,--version-script=client/libgpud.sym \
		$(if $(filter asan tsan,$(MODE)),,-Wl,-z,defs) -o $@ $(filter %.o,$^) $(LDFLAGS_ALL) $(LIBS_PROTO)
	$(Q)ln -sf $(@F) $@.$(SOVERSION)

# One object in which only the public names are global: a program that links it statically meets none of ours.
$(OUT)/libgpud.a: $(CLIENT_OBJS) $(PROTO_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(CC) $(CFLAGS_MODE) $(LTO) $(if $(LTO),-flinker-output=nolto-rel) -r -nostdlib -o $(OBJ)/libgpud.o $^
	$(Q)objcopy --localize-hidden $(OBJ)/libgpud.o
	$(Q)$(AR) rcs $@ $(OBJ)/libgpud.o

$(OUT)/gpuctl: $(call objs,$(GPUCTL_MAIN)) $(GPUCTL_OBJS) $(CLIENT_OBJS) $(PROTO_OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_MODE) $(LINK_PLAIN) -pie -o $@ $^ $(LDFLAGS_ALL) $(LIBS_GPUCTL) $(LIBS_PROTO)

# A handler need not use all that every handler is given.
$(OBJ)/daemon/method/%.o: CFLAGS_ALL += -Wno-unused-parameter

# What is printed from the tables is checked in, so that a reader sees it and Python needs no compiler; make keeps it
# as the tables have it. dump_FILE is the command that prints FILE.
GENERATED := client/gpud-protocol.h proto/methods.md \
	python-client/src/gpud/_schema.py python-client/src/gpud/limits.py \
	systemd/gpud.conf daemon/gpud.conf.5 client/gpuctl/gpuctl.1
dump_client/gpud-protocol.h            := build/dump --header
dump_proto/methods.md                  := build/dump --markdown
dump_python-client/src/gpud/_schema.py := build/dump --python
dump_python-client/src/gpud/limits.py  := build/dump --python-limits
dump_systemd/gpud.conf                 := build/dump-config --conf
dump_daemon/gpud.conf.5                := build/dump-config --man
dump_client/gpuctl/gpuctl.1            := build/dump-manual < client/gpuctl/gpuctl.1.in

# Host tools print them. Their objects are apart from all modes, so that no sanitizer runs in the middle of a build.
HOST_TOOLS := build/dump build/dump-config build/dump-manual

build/host/%.o: %.c Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_BASE) -O1 $(WARNINGS) $(CFLAGS) -MMD -MP -c -o $@ $<

build/dump: $(patsubst %.c,build/host/%.o,$(DUMP_SRCS))
	$(call say,LINK,$@)
	$(Q)$(CC) -pie -o $@ $^ $(LDFLAGS)

build/dump-config: $(patsubst %.c,build/host/%.o,$(DUMP_CONFIG_SRCS))
	$(call say,LINK,$@)
	$(Q)$(CC) -pie -o $@ $^ $(LDFLAGS) $(LIBS_CONFIG)

build/dump-manual: $(patsubst %.c,build/host/%.o,$(DUMP_MANUAL_SRCS))
	$(call say,LINK,$@)
	$(Q)$(CC) -pie -o $@ $^ $(LDFLAGS)

# In every build: whoever changed one of these files, or brought an older one, has it as the tables say again. Written
# beside and moved only if changed, so that whoever includes it is made anew only then. With STALE=fail, as in `make
# check`, a file that is not as the tables say is an error: it would be missing from the commit.
gen: $(HOST_TOOLS) ## print what derives from the tables (every build does)
	$(Q)mkdir -p build/gen
	$(Q)set -e; $(foreach f,$(GENERATED),$(dump_$(f)) > build/gen/new; \
		if cmp -s build/gen/new $(f); then :; \
		elif [ "$(STALE)" = fail ]; then echo "$(f) is not what the tables say: run make, commit it" >&2; exit 1; \
		else printf '  %-7s %s\n' GEN $(f); cp build/gen/new $(f).new; mv $(f).new $(f); fi;)

$(GENERATED): gen ;

build/gen/%.spv.h: %.comp
	$(call say,GLSLC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(GLSLC) --target-env=vulkan1.2 -O -mfmt=c -o $@ $<

$(OBJ)/%.o: %.c Makefile | $(SHADER_HEADERS) $(GENERATED)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# ---- tests ------------------------------------------------------------------------------------------------

build/$(MODE)/gpud-objects.a: $(DAEMON_OBJS) $(PROTO_OBJS) $(call objs,$(TEST_SUPPORT_SRCS))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

build/$(MODE)/client-objects.a: $(CLIENT_OBJS) $(GPUCTL_OBJS) $(PROTO_OBJS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(patsubst %.c,$(OUT)/%,$(DAEMON_TESTS) $(DAEMON_TOOLS)): $(OUT)/%: $(OBJ)/%.o $(SANITIZE_OBJS) build/$(MODE)/gpud-objects.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_MODE) $(LINK_PLAIN) -pie -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDFLAGS_ALL) $(LIBS_CHECK) \
		$(LIBS_DAEMON) $(LIBS_PROTO)

$(OUT)/tests/unit/object/test-mem $(OUT)/tests/unit/rpc/test-pipeline: $(call objs,$(TEST_FAKE_SRCS))
$(OUT)/tests/unit/net/test-net: $(call objs,tests/unit/failing.c)

# In this program the allocations of the GPU layer fail, and nobody else's.
$(OUT)/tests/unit/gpu/test-failing: $(OBJ)/tests/unit/gpu/failing-layer.o

$(OBJ)/tests/unit/gpu/failing-layer.o: $(call objs,$(filter daemon/gpu/% daemon/util/slab.c,$(DAEMON_SRCS)))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LINK_PLAIN) -r -nostdlib -o $@ $^ -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
		-Wl,--wrap=reallocarray,--wrap=free,--wrap=mmap,--wrap=munmap,--wrap=thread_start

$(patsubst %.c,$(OUT)/%,$(CLIENT_TESTS)): $(OUT)/%: $(OBJ)/%.o build/$(MODE)/client-objects.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_MODE) $(LINK_PLAIN) -pie -o $@ $^ $(LDFLAGS_ALL) $(LIBS_CHECK) $(LIBS_GPUCTL) $(LIBS_PROTO)

# Tests that need a device take lavapipe, or the drivers that GPUD_TEST_DRIVER_FILES names.
LAVAPIPE = $(firstword $(wildcard /usr/share/vulkan/icd.d/lvp_icd*.json))
TEST_ENV = VK_DRIVER_FILES="$${GPUD_TEST_DRIVER_FILES:-$(LAVAPIPE)}" \
	LSAN_OPTIONS=suppressions=tests/integration/lsan.supp:print_suppressions=0

$(OUT)/tests/integration/client-stories: $(call objs,$(STORIES)) $(OUT)/libgpud.so
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_MODE) $(LINK_PLAIN) -pie -o $@ $(filter %.o,$^) $(LDFLAGS_ALL) -L$(OUT) -lgpud -Wl,-rpath,'$$ORIGIN/../..'

unit: $(TEST_BINS) ## build and run the unit tests
	$(Q)r=0; for t in $(TEST_BINS); do $(TEST_ENV) $$t || r=1; done; exit $$r

# Fuzzers are built by clang from the sources, apart from everything else.
build/fuzz/obj/%.o: %.c Makefile
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS_ALL) $(CFLAGS_BASE) -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=all $(WARNINGS) -MMD -MP -c -o $@ $<

$(FUZZ_BINS): build/fuzz/%: build/fuzz/obj/%.o $(patsubst %.c,build/fuzz/obj/%.o,$(PROTO_SRCS))
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDFLAGS_ALL) $(LIBS_PROTO)

FUZZ_S ?= 60

fuzz-build: $(FUZZ_BINS)

fuzz: fuzz-build ## fuzz the scanner and the decoder, FUZZ_S seconds each
	$(Q)set -e; for f in $(FUZZ_BINS); do tests/fuzz/run.sh $$f $(FUZZ_S); done

# Linked like any user's program, against the static library; each takes what it needs of these.
$(OUT)/tests/bench/lib: $(OUT)/libgpud.a
$(OUT)/tests/bench/raw: $(OBJ)/proto/item.o $(OBJ)/proto/scan.o
$(BENCH_BINS): $(OUT)/%: $(OBJ)/%.o $(call objs,$(BENCH_SUPPORT_SRCS))
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_MODE) $(LINK_PLAIN) -pie -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDFLAGS_ALL) $(call pkg_libs,libuv) \
		$(LIBS_PROTO)

bench-build: all $(BENCH_BINS) $(patsubst %.c,$(OUT)/%,$(DAEMON_TOOLS))

bench: ## measure gpud beside what it competes with; BENCH holds options for tests/bench/bench.py
	$(Q)tests/deps.sh bench
	$(Q)$(MAKE) --no-print-directory -j2 bench-build
	$(Q)$(VENV)/bin/python tests/bench/bench.py $(BENCH)

# Drawn from the last benchmark's numbers, wherever those were measured.
bench-plots: deps ## draw the sweeps of build/bench.json, into build/bench-*.png
	$(Q)test -e build/bench.json || { echo "no build/bench.json: make bench first" >&2; exit 1; }
	$(Q)$(VENV)/bin/python -c 'import matplotlib' 2> /dev/null || \
		$(VENV)/bin/python -m pip install -qq --disable-pip-version-check -r tests/bench/requirements.txt
	$(Q)$(VENV)/bin/python tests/bench/plots.py build/bench.json

VENV := $(CURDIR)/build/venv

deps: ## install what building and testing lack on Debian
	$(Q)tests/deps.sh all

# What is installed changes the flags above, so the rest runs in a make of its own.
check: deps ## set up, then every test: lint, unit, integration, sanitizers, fuzzing
	$(Q)MAKE="$(MAKE)" VENV=$(VENV) tests/check.sh

demo: ## set up, then put a file into GPU memory and read it back
	$(Q)tests/deps.sh demo
	$(Q)$(MAKE) --no-print-directory -s -j2 all
	$(Q)tests/demo.sh

asan: ## build with AddressSanitizer and UndefinedBehaviorSanitizer, into build/asan
	$(Q)$(MAKE) --no-print-directory MODE=asan all

# Every source compiled, nothing linked: what another compiler says of them.
objects: $(call objs,$(filter-out $(FUZZERS),$(ALL_SRCS)))

lint: gen $(SHADER_HEADERS) ## layers, formats, static analysis, generated files
	$(Q)MAKE="$(MAKE)" VENV=$(VENV) VERSION=$(VERSION) SOURCES="$(ALL_SRCS) $(SHADERS)" CPPFLAGS="$(CPPFLAGS_ALL)" \
		WARNINGS="$(WARNINGS)" GENERATED="$(GENERATED)" tests/lint/lint.sh

# What a formatter has the last word on: all C but the tables and what is printed.
FORMATTED = $(filter-out $(GENERATED),$(shell find proto daemon client tests -name '*.[ch]'))

format: ## lay out C and Python as lint wants it
	$(Q)$(VENV)/bin/clang-format -i $(FORMATTED)
	$(Q)$(VENV)/bin/ruff format --no-cache -q python-client tests

INSTALL := install
at = sed -e 's|@PREFIX@|$(prefix)|g' -e 's|@bindir@|$(bindir)|g' -e 's|@LIBDIR@|$(libdir)|g' -e 's|@INCLUDEDIR@|$(includedir)|g' \
	-e 's|@sysconfdir@|$(sysconfdir)|g' -e 's|@VERSION@|$(VERSION)|g' -e 's|@MSGPACK@|$(or $(MSGPACK),msgpack-c)|g'

install: all ## install below DESTDIR and PREFIX (/usr/local); a config that is there is kept
	$(Q)$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(libdir)/pkgconfig $(includedir) $(systemdunitdir) $(sysusersdir) \
		$(sysconfdir)/gpud $(mandir)/man1 $(mandir)/man5 $(mandir)/man8 $(bashcompletiondir) \
		$(zshcompletiondir) $(fishcompletiondir))
	$(Q)$(INSTALL) -m 755 build/gpud build/gpuctl $(DESTDIR)$(bindir)
	$(Q)$(INSTALL) -m 755 build/libgpud.so $(DESTDIR)$(libdir)/libgpud.so.$(VERSION)
	$(Q)ln -sf libgpud.so.$(VERSION) $(DESTDIR)$(libdir)/libgpud.so.$(SOVERSION)
	$(Q)ln -sf libgpud.so.$(SOVERSION) $(DESTDIR)$(libdir)/libgpud.so
	$(Q)$(INSTALL) -m 644 build/libgpud.a $(DESTDIR)$(libdir)
	$(Q)$(INSTALL) -m 644 client/gpud.h client/gpud-protocol.h $(DESTDIR)$(includedir)
	$(Q)$(at) client/libgpud.pc.in > $(DESTDIR)$(libdir)/pkgconfig/libgpud.pc
	$(Q)$(at) systemd/gpud.service > $(DESTDIR)$(systemdunitdir)/gpud.service
	$(Q)$(INSTALL) -m 644 systemd/gpud.socket $(DESTDIR)$(systemdunitdir)
	$(Q)$(INSTALL) -m 644 systemd/gpud.sysusers $(DESTDIR)$(sysusersdir)/gpud.conf
	$(Q)test -e $(DESTDIR)$(sysconfdir)/gpud/gpud.conf || \
		$(INSTALL) -m 644 systemd/gpud.conf $(DESTDIR)$(sysconfdir)/gpud/gpud.conf
	$(Q)build/gpuctl completion bash > $(DESTDIR)$(bashcompletiondir)/gpuctl
	$(Q)build/gpuctl completion zsh > $(DESTDIR)$(zshcompletiondir)/_gpuctl
	$(Q)build/gpuctl completion fish > $(DESTDIR)$(fishcompletiondir)/gpuctl.fish
	$(Q)$(INSTALL) -m 644 $(MAN1) $(DESTDIR)$(mandir)/man1
	$(Q)$(INSTALL) -m 644 $(MAN5) $(DESTDIR)$(mandir)/man5
	$(Q)$(INSTALL) -m 644 $(MAN8) $(DESTDIR)$(mandir)/man8
	$(Q)test -n "$(DESTDIR)" || test "$$(id -u)" != 0 || ldconfig

clean: ## remove build/
	rm -rf build

-include $(patsubst %.c,$(OBJ)/%.d,$(ALL_SRCS)) $(patsubst %.c,build/host/%.d,$(DUMP_SRCS) $(DUMP_CONFIG_SRCS) $(DUMP_MANUAL_SRCS)) $(patsubst %.c,build/fuzz/obj/%.d,$(PROTO_SRCS) $(FUZZERS))
