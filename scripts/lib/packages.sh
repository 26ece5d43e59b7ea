# shellcheck shell=bash
# What has to be on the machine: a Swift toolchain, which we only ask for, and Debian packages, which we install.

as_root() {
    if ((EUID == 0)); then
        "$@"
        return
    fi
    command -v sudo >/dev/null || fail "this needs root, and there is no 'sudo'" "run it as root: $*"
    sudo "$@"
}

readonly SWIFT_NEEDED=6.1

toolchain_require() {
    local found
    command -v swift >/dev/null || fail "there is no 'swift' in PATH" \
        "install a Swift toolchain, version $SWIFT_NEEDED or newer (swift.org/install), and put its usr/bin into PATH"
    found=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
    [[ -n $found ]] || fail "'swift --version' does not work" "see what it says: swift --version"
    if [[ $(printf '%s\n' "$SWIFT_NEEDED" "$found" | sort -V | head -n 1) != "$SWIFT_NEEDED" ]]; then
        fail "Swift $found is too old" "install version $SWIFT_NEEDED or newer (swift.org/install)"
    fi
}

# Each package with the way to see that it, or what does its work, is there: a command, a library or a file.
packages_for_building() {
    command_or_package pkg-config pkg-config
    library_or_package libpq libpq-dev
    library_or_package libcurl libcurl4-openssl-dev
    library_or_package openssl libssl-dev
    file_or_package /etc/ssl/certs/ca-certificates.crt ca-certificates
}

packages_for_services() {
    command_or_package curl curl
    command_or_package busybox busybox-static
    command_or_package ip iproute2
    command_or_package openssl openssl
    file_or_package '/usr/lib/postgresql/*/bin/initdb' postgresql
}

packages_for_engine() {
    command_or_package dockerd docker.io
    command_or_package iptables iptables
}

# What makes load, for 'make bench'.
packages_for_load() {
    command_or_package wrk wrk
    command_or_package h2load nghttp2-client
}

command_or_package() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || printf '%s\n' "$2"
}

library_or_package() {
    pkg-config --exists "$1" 2>/dev/null || printf '%s\n' "$2"
}

file_or_package() {
    compgen -G "$1" >/dev/null || printf '%s\n' "$2"
}

# packages_install LIST…: names of the functions above.
packages_install() {
    local list
    local -a missing=()
    mapfile -t missing < <(for list in "$@"; do "packages_for_$list"; done)
    ((${#missing[@]} > 0)) || return 0
    command -v apt-get >/dev/null || fail "these packages are missing: ${missing[*]}" \
        "this is no Debian or Ubuntu, so install what corresponds to them by hand"
    step "installing ${missing[*]}"
    # The lock: another apt-get, of a second 'make test' say, may be at work.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 update >&2 ||
        fail "apt-get update failed" "it has said why above"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
        install --no-install-recommends "${missing[@]}" >&2 ||
        fail "these packages could not be installed: ${missing[*]}" "apt-get has said why above"
}
