# shellcheck shell=bash
# A Docker registry on loopback for the tests that pull: Debian's docker-registry, with one image in it.

# registry_program TOOLS-FOLDER: unpacked, not installed, since the package would start a service on every address.
registry_program() {
    local tools=$1
    if command -v docker-registry; then
        return 0
    fi
    if [[ ! -x $tools/usr/bin/docker-registry ]]; then
        rm -rf "$tools.new"
        mkdir -p "$tools.new"
        if ! (cd "$tools.new" && apt-get download docker-registry >/dev/null 2>&1); then
            as_root apt-get update -qq >&2
            (cd "$tools.new" && apt-get download -qq docker-registry >/dev/null) ||
                fail "the package 'docker-registry' could not be downloaded" "the tests need it: install it by hand"
        fi
        dpkg-deb --extract "$tools.new"/docker-registry_*.deb "$tools.new"
        rm -rf "$tools" "$tools.new"/docker-registry_*.deb
        mv "$tools.new" "$tools"
    fi
    printf '%s\n' "$tools/usr/bin/docker-registry"
}

# registry_start PROGRAM FOLDER PORT
registry_start() {
    local program=$1 folder=$2 port=$3 ticks=100
    mkdir -p "$folder/data"
    cat >"$folder/registry.yml" <<EOF_CONFIGURATION
version: 0.1
log: { level: warn }
storage: { filesystem: { rootdirectory: "$folder/data" }, delete: { enabled: true } }
http: { addr: "127.0.0.1:$port" }
EOF_CONFIGURATION
    start_daemon "$folder/registry.log" "$program" serve "$folder/registry.yml"
    while ! curl --silent --fail --noproxy '*' "http://127.0.0.1:$port/v2/" >/dev/null; do
        if ((ticks-- <= 0)); then
            show_log_tail "$folder/registry.log"
            fail "the registry did not start on 127.0.0.1:$port"
        fi
        sleep 0.1
    done
}

# registry_push_test_image SOCKET PORT: HOST/execbox/test:latest, of layers that the engine does not keep, so that
# a pull has something to fetch.
registry_push_test_image() {
    local socket=$1 port=$2 name answer root busybox
    busybox=$(static_busybox) || exit
    name=127.0.0.1:$port/execbox/test
    root=$(mktemp -d)
    mkdir "$root/bin"
    install -m 755 "$busybox" "$root/bin/busybox"
    ln -s busybox "$root/bin/sh"
    ln -s busybox "$root/bin/cat"
    printf 'from the registry\n' >"$root/origin"
    head -c 2097152 /dev/urandom >"$root/filler" # does not compress: long enough for progress to be told
    tar --create --directory="$root" --owner=0 --group=0 --numeric-owner . |
        image_import "$socket" "$name" latest 'CMD ["/bin/cat","/origin"]'
    rm -rf "$root"
    # The header must be there, though there is nobody to log in as: {} in base64.
    answer=$(engine_call "$socket" "/images/$name/push?tag=latest" --request POST --header 'X-Registry-Auth: e30=') ||
        fail "the engine could not push $name: $answer"
    if [[ $answer == *'"error"'* ]]; then # said in the body of a 200
        fail "the engine could not push $name: $answer"
    fi
    engine_call "$socket" "/images/$name:latest?force=1" --request DELETE >/dev/null
}
