# shellcheck shell=bash
# The image execbox/base: one static busybox with every applet linked. Made here from Debian's package, so that
# the first session needs no registry.

readonly BASE_IMAGE=execbox/base

static_busybox() {
    local busybox linkage
    busybox=$(command -v busybox) || fail "there is no 'busybox' on this machine" "install the package 'busybox-static'"
    linkage=$(LC_ALL=C ldd "$busybox" 2>&1 || true) # says false for a static one
    if [[ $linkage != *'not a dynamic executable'* && $linkage != *'statically linked'* ]]; then
        fail "$busybox is not static, so it would not run in an image of its own" "install the package 'busybox-static' in its place"
    fi
    printf '%s\n' "$busybox"
}

# base_image_archive: the root file system as tar.
base_image_archive() (
    local busybox root applet
    busybox=$(static_busybox) || exit
    root=$(mktemp -d)
    # shellcheck disable=SC2064 # the name now, not later
    trap "rm -rf -- '$root'" EXIT
    umask 022
    mkdir -p "$root"/{bin,etc,home,lib,opt,proc,root,run,srv,sys,dev,tmp,usr/lib,usr/local/bin,var/log,var/tmp}
    install -m 755 "$busybox" "$root/bin/busybox"
    "$busybox" --list | while IFS= read -r applet; do
        [[ $applet == busybox ]] || ln -s busybox "$root/bin/$applet"
    done
    # Scripts say #!/usr/bin/env.
    ln -s bin "$root/sbin"
    ln -s ../bin "$root/usr/bin"
    ln -s ../bin "$root/usr/sbin"
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/sh' >"$root/etc/passwd"
    printf '%s\n' 'root:x:0:' 'nobody:x:65534:' >"$root/etc/group"
    chmod 700 "$root/root"
    chmod 1777 "$root/tmp" "$root/var/tmp"
    chmod 755 "$root" # mktemp makes it 0700, and it is the image's /
    tar --create --directory="$root" --owner=0 --group=0 --numeric-owner --sort=name --mtime='@0' .
)

# The image is made anew when what goes into it has changed: this file or busybox.
base_image_recipe() {
    local busybox
    busybox=$(static_busybox) || return
    cat "${BASH_SOURCE[0]}" "$busybox" | sha256sum | cut -c 1-16
}

# image_import SOCKET NAME TAG [CHANGE…]: a tar on standard input; changes are Dockerfile instructions.
image_import() {
    local socket=$1 name=$2 tag=$3 answer
    shift 3
    answer=$(engine_call "$socket" "/images/create?fromSrc=-&repo=$name&tag=$tag$(image_query "$@")" \
        --request POST --header 'Content-Type: application/x-tar' --upload-file -) ||
        fail "the engine refused the image $name: $answer"
    if [[ $answer == *'"error"'* ]]; then # said in the body of a 200
        fail "the engine refused the image $name: $answer"
    fi
}

# Encoded by hand: the body is the archive, and curl before 7.87 can encode parameters only into a body or into a
# request without one.
image_query() {
    local change encoded i character
    for change in "$@"; do
        encoded=''
        for ((i = 0; i < ${#change}; i++)); do
            character=${change:i:1}
            case $character in
                [a-zA-Z0-9._/-]) encoded+=$character ;;
                *) encoded+=$(printf '%%%02X' "'$character") ;;
            esac
        done
        printf '&changes=%s' "$encoded"
    done
}

# base_image_build SOCKET: only if the engine has none of this recipe.
base_image_build() {
    local socket=$1 recipe
    recipe=$(base_image_recipe) || exit
    if engine_call "$socket" "/images/$BASE_IMAGE:latest/json" 2>/dev/null | grep -F "\"execbox.recipe\":\"$recipe\"" >/dev/null; then
        return 0
    fi
    base_image_archive | image_import "$socket" "$BASE_IMAGE" latest \
        'CMD ["/bin/sh"]' \
        'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        "LABEL execbox.recipe=$recipe"
}
