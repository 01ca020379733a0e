#!/bin/sh
# Installs what building gpud (`deps.sh demo`), testing it (`deps.sh all`) and also measuring it beside its peers
# (`deps.sh bench`) lack on Debian 12 or 13, with sudo where the caller is not root. What is there already is
# left alone: when nothing lacks, this runs no package manager and needs no network. Each probe asks for the
# thing itself and not for the package, so what came from elsewhere counts too.
set -eu

scope=${1:-all}
top=$(cd "$(dirname "$0")/.." && pwd)
lacking=

# need PACKAGE COMMAND...: PACKAGE lacks if COMMAND fails.
need() {
        package=$1
        shift
        if ! "$@" > /dev/null 2>&1; then
                lacking="$lacking $package"
        fi
}

has_header() {
        echo "#include <$1>" | gcc -E -x c - -o /dev/null
}

has_module() {
        pkg-config --exists "$1"
}

has_any_module() {
        pkg-config --exists "$1" || pkg-config --exists "$2"
}

# A Vulkan driver's manifest, wherever the loader looks.
has_vulkan_driver() {
        [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] ||
                ls /usr/share/vulkan/icd.d/*.json || ls /usr/local/share/vulkan/icd.d/*.json || ls /etc/vulkan/icd.d/*.json
}

has_lavapipe() {
        ls /usr/share/vulkan/icd.d/lvp_icd*.json
}

has_validation() {
        ls /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json || ls /etc/vulkan/explicit_layer.d/VkLayer_khronos_validation.json
}

# clang alone does not always bring the run-time library of its sanitizers.
has_libfuzzer() {
        echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { (void)d; (void)n; return 0; }' |
                clang -fsanitize=fuzzer,address -x c - -o /dev/null
}

has_redis() {
        command -v redis-benchmark && { command -v redis-server || command -v redis-check-rdb; }
}

# demo.sh takes the first of these that has it.
has_msgpack() {
        for python in "$top/build/venv/bin/python" python3 /usr/bin/python3; do
                if "$python" -c 'import msgpack'; then
                        return 0
                fi
        done
        return 1
}

need gcc command -v gcc
need make command -v make
need libc6-dev has_header stdio.h
need pkg-config command -v pkg-config
need libvulkan-dev has_module vulkan
need libuv1-dev has_module libuv
need libmsgpack-dev has_any_module msgpack-c msgpack
need libsystemd-dev has_module libsystemd
need libinih-dev has_module inih
need libjansson-dev has_module jansson
need glslc command -v glslc
need python3 command -v python3

if [ "$scope" = demo ]; then
        need mesa-vulkan-drivers has_vulkan_driver
        need python3-msgpack has_msgpack
else
        need mesa-vulkan-drivers has_lavapipe
        need vulkan-validationlayers has_validation
        need check has_module check
        need clang command -v clang
        need libclang-rt-dev has_libfuzzer
        need cppcheck command -v cppcheck
        need shellcheck command -v shellcheck
        need neovim command -v nvim
        need python3-venv python3 -c 'import ensurepip, venv'
fi

# Not redis-server: that package starts a service, and redis-tools has the same program by another name.
[ "$scope" != bench ] || need redis-tools has_redis

if [ -n "$lacking" ]; then
        echo "deps: installing$lacking"
        sudo=
        if [ "$(id -u)" != 0 ]; then
                sudo=sudo
                command -v sudo > /dev/null || { echo "deps: become root or install sudo first" >&2; exit 1; }
        fi
        command -v apt-get > /dev/null || { echo "deps: no apt-get here; install the like of:$lacking" >&2; exit 1; }
        $sudo apt-get update -q=2
        # The C library's package got a name of its own after Debian 12.
        if apt-cache show libmsgpack-c-dev > /dev/null 2>&1; then
                lacking=$(echo "$lacking" | sed 's/ libmsgpack-dev/ libmsgpack-c-dev/')
        fi
        # shellcheck disable=SC2086 # a list of words
        $sudo env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes apt-get install -q=2 -y --no-install-recommends $lacking > /dev/null
fi

[ "$scope" = demo ] && exit 0

# The Python tools, in an environment of their own: Debian's Python refuses to be installed into.
venv=$top/build/venv
requirements=$top/tests/requirements.txt
if ! cmp -s "$requirements" "$venv/installed.txt" || ! "$venv/bin/python" -c 'import pytest' 2> /dev/null; then
        echo "deps: installing Python tools into build/venv"
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install -qq --disable-pip-version-check --requirement "$requirements"
        cp "$requirements" "$venv/installed.txt"
fi
