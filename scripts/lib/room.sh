# shellcheck shell=bash
# A room: where one run of the tests or benchmarks lives, with everything it starts.
#
# A room has its own network, mount and process namespaces, and a folder /var/lib/execbox/rooms/NAME. Its first
# process is PID 1 in there, so when that ends, for whatever reason, the kernel ends all the rest: PostgreSQL,
# the engine, its shims, the containers. Networks, rules and mounts go with the namespaces. What is left to us is
# the folder and the control groups; and these are removed
#   - by the run itself when it ends or is interrupted,
#   - by its janitor, which waits for the room's lock, when the run was killed by SIGKILL,
#   - by the next run, when the janitor was killed too or the machine went down.

readonly ROOMS=/var/lib/execbox/rooms
readonly ROOMS_LOCK=/run/lock/execbox-rooms

room_folder=''
room_process=''
room_janitor=''
room_lock=''

# room_remove FOLDER: of a room whose run has ended.
room_remove() {
    local folder=$1 name=${1##*/} ticks=150 process
    for process in /proc/[0-9]*; do
        process=${process##*/}
        if [[ $process != "$$" && $process != "$BASHPID" ]] && process_has_argument "$process" "--room=$folder"; then
            kill -KILL "$process" 2>/dev/null || true
        fi
    done
    # What was killed needs a moment to be gone, and may write until then.
    while ! room_remove_once "$folder" "$name" 2>/dev/null; do
        ((ticks-- > 0)) || fail "the folder $folder cannot be removed" "see who uses it: fuser -vm $folder"
        sleep 0.1
    done
}

room_remove_once() {
    local folder=$1 name=$2
    if cgroups_mounted; then
        room_remove_groups "$name" || return 1
    else
        # The room has mounted them for itself alone. The groups are the machine's all the same.
        # shellcheck disable=SC2016 # for the shell in there to expand
        unshare --mount "$BASH" -c 'source "$1/messages.sh"; source "$1/engine.sh"; source "$1/room.sh"
            engine_require_cgroups; room_remove_groups "$2"' remove-groups "${BASH_SOURCE[0]%/*}" "$name" || return 1
    fi
    rm -rf -- "$folder"
}

room_remove_groups() {
    find /sys/fs/cgroup -depth -type d -path "*/execbox-room-$1*" -exec rmdir {} +
}

# The last room takes the folders with it, if 'make run' keeps nothing there.
room_remove_last() {
    flock "$ROOMS_LOCK" rmdir --parents --ignore-fail-on-non-empty "$ROOMS" 2>/dev/null || true
}

# room_sweep: what dead runs have left. A lock that can be had belongs to nobody any more.
room_sweep() {
    local folder
    for folder in "$ROOMS"/*/; do
        folder=${folder%/}
        [[ -d $folder ]] || continue
        if flock --nonblock "$folder.lock" true; then
            room_remove "$folder"
            rm -f "$folder.lock"
        fi
    done
}

# room_open: sets room_folder.
room_open() {
    local opening
    # One at a time: between mkdir and lock a new room looks like a dead one.
    exec {opening}>"$ROOMS_LOCK"
    flock "$opening"
    mkdir -p "$ROOMS"
    chmod 711 "${ROOMS%/*}" "$ROOMS" # the user postgres has to get through
    room_sweep
    room_folder=$(mktemp -d "$ROOMS/XXXXXX")
    chmod 711 "$room_folder"
    exec {room_lock}>"$room_folder.lock"
    flock "$room_lock"
    exec {opening}>&-
    # In a process session of its own: neither ^C nor the end of a terminal reaches it.
    {
        close_our_files
        exec setsid "$BASH" "${BASH_SOURCE[0]%/*}/../room-janitor" "$room_folder" </dev/null >/dev/null 2>&1
    } &
    room_janitor=$!
}

# room_run PROGRAM [ARGUMENT…]: as the room's first process; false when that was.
room_run() {
    local status=0
    # A job of its own: bash starts other background processes with SIGINT ignored, which the tests would inherit.
    set -m
    {
        close_our_files
        exec setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc -- \
            "$@" "--room=$room_folder" </dev/null
    } &
    room_process=$!
    set +m
    wait "$room_process" || status=$?
    room_process=''
    return "$status"
}

# room_close: safe to call at any moment, more than once.
room_close() {
    local first
    if [[ -n $room_process ]]; then
        # unshare's only child is the room's first process, and unshare ends once the whole room has ended: waiting
        # for it is waiting for all. Before it has a child it can go itself.
        first=$(cat "/proc/$room_process/task/$room_process/children" 2>/dev/null || true)
        first=${first%% *}
        end_process "${first:-$room_process}" 3
        wait "$room_process" 2>/dev/null || true
        room_process=''
    fi
    if [[ -n $room_folder ]]; then
        room_remove "$room_folder"
        if [[ -n $room_janitor ]]; then
            kill -KILL "$room_janitor" 2>/dev/null || true
            wait "$room_janitor" 2>/dev/null || true
            room_janitor=''
        fi
        rm -f "$room_folder.lock"
        room_folder=''
        room_remove_last
    fi
}

# room_enter ROOM: what the room's first process does before anything else. A loopback network, a /run of our own
# (containerd, Docker's network code and execboxd have fixed places there), and folders.
room_enter() {
    local room=$1 resolver resolver_file
    [[ -n $room && $$ == 1 ]] || fail "this script is started as the first process of a room"
    # The first process of a namespace hears only the signals that it has asked for.
    trap 'exit 143' TERM
    export PATH=$PATH:/usr/sbin:/sbin
    ip link set lo up

    # The resolver's settings often live in /run, and containers get a copy of them.
    resolver=$(cat /etc/resolv.conf 2>/dev/null || true)
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock
    if [[ ! -e /etc/resolv.conf ]]; then
        resolver_file=$(readlink -m /etc/resolv.conf)
        mkdir -p "$(dirname "$resolver_file")"
        printf '%s\n' "$resolver" >"$resolver_file"
    fi
}

# room_start_services ROOM: PostgreSQL and an engine with the base image.
room_start_services() {
    local room=$1 engine_starting
    # The control groups get the room's name, so that they can be found and removed. systemd could not manage them:
    # it does not know the process ids of another process namespace.
    engine_start "$room/engine" --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent="/execbox-room-${room##*/}" &
    engine_starting=$!
    postgres_start "$room/postgres" throwaway
    wait "$engine_starting"
    base_image_build "$room/engine/engine.sock"
}

# room_use SCRIPT ARGUMENT…: runs it in a room that goes with it; ends with its status. As root.
room_use() {
    local status=0
    trap 'room_close' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    room_open
    room_run "$BASH" "$@" || status=$?
    # The script's own summary is to stay the last thing said.
    exit "$status"
}
