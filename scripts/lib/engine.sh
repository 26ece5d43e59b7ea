# shellcheck shell=bash
# A Docker engine of our own, beside any other on the machine:
#
#   FOLDER/data  FOLDER/exec  FOLDER/engine.sock  FOLDER/engine.pid  FOLDER/engine.log
#
# Everything is asked over the engine's socket with curl: that is in place before the docker command is, and it
# says the same on every version.

# engine_call SOCKET PATH [CURL OPTION…]: the answer's body; false for an HTTP error.
engine_call() {
    local socket=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --noproxy '*' --unix-socket "$socket" "$@" "http://localhost$path"
}

engine_answers() {
    [[ -S $1 ]] && engine_call "$1" /_ping --max-time 5 >/dev/null 2>&1
}

engine_pid() {
    local folder=$1 pid=''
    read -r pid 2>/dev/null <"$folder/engine.pid" || [[ -n $pid ]] || return 1
    process_has_argument "$pid" "--pidfile=$folder/engine.pid" || return 1
    printf '%s\n' "$pid"
}

engine_containerd_pid() {
    local folder=$1 pid=''
    # The file has no newline at its end, which read reports as a failure.
    read -r pid 2>/dev/null <"$folder/exec/containerd/containerd.pid" || [[ -n $pid ]] || return 1
    process_has_argument "$pid" "$folder/exec/containerd/containerd.toml" || return 1
    printf '%s\n' "$pid"
}

# The shims of this engine's containers: each is the parent of one container's first process.
engine_shim_pids() {
    local folder=$1 process
    for process in /proc/[0-9]*; do
        process=${process##*/}
        if process_has_argument "$process" "$folder/exec/containerd/containerd.sock"; then
            printf '%s\n' "$process"
        fi
    done
}

cgroups_mounted() {
    grep -Eq ' /sys/fs/cgroup(/[a-z,]+)? cgroup2? ' /proc/self/mounts
}

# Where no init system has mounted the control groups, dockerd stops with "Devices cgroup isn't mounted".
engine_require_cgroups() {
    local controller
    if cgroups_mounted; then
        return 0
    fi
    if awk '!/^#/ && $2 != 0 { found = 1 } END { exit !found }' /proc/cgroups; then
        # Something has bound controllers to version 1, so version 2 could not have them.
        mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
        while read -r controller _; do
            [[ $controller == '#'* ]] && continue
            mkdir -p "/sys/fs/cgroup/$controller"
            mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" 2>/dev/null || rmdir "/sys/fs/cgroup/$controller"
        done </proc/cgroups
    else
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
    fi || fail "the control groups are not mounted at /sys/fs/cgroup, and mounting them failed" \
        "a Docker engine needs them: run this on a machine or in a container that has them"
}

# engine_start FOLDER [DOCKERD OPTION…]: adopts one that runs; starts anew after a crash.
engine_start() {
    local folder=$1 pid ticks=600
    shift
    if pid=$(engine_pid "$folder"); then
        engine_wait "$folder" "$pid" "$ticks"
        return
    fi
    command -v dockerd >/dev/null || fail "there is no 'dockerd' on this machine" "install the package 'docker.io'"
    engine_require_cgroups
    mkdir -p "$folder/data" "$folder/exec"
    # dockerd and its containerd take a file's pid for their own if any process has that number.
    rm -f "$folder/engine.pid" "$folder/engine.sock"
    engine_containerd_pid "$folder" >/dev/null || rm -f "$folder/exec/containerd/containerd.pid"
    # Of its own, since the machine's /etc/docker/daemon.json speaks of another engine.
    printf '{}\n' >"$folder/daemon.json"
    # No default bridge: sandboxes get a network of ours or none. iptables stays on, as user-defined networks
    # need it for outgoing traffic and published ports.
    start_daemon "$folder/engine.log" dockerd \
        --config-file="$folder/daemon.json" --data-root="$folder/data" --exec-root="$folder/exec" \
        --pidfile="$folder/engine.pid" --host="unix://$folder/engine.sock" --group=root --bridge=none "$@"
    while ! pid=$(engine_pid "$folder"); do
        if ((ticks-- <= 0)) || { ((ticks < 580)) && ! engine_is_starting "$folder"; }; then
            show_log_tail "$folder/engine.log"
            fail "the Docker engine did not start"
        fi
        sleep 0.1
    done
    engine_wait "$folder" "$pid" "$ticks"
}

# Between its exec and its pid file dockerd can only be found by its arguments.
engine_is_starting() {
    local folder=$1 process
    for process in /proc/[0-9]*; do
        process_has_argument "${process##*/}" "--pidfile=$folder/engine.pid" && return 0
    done
    return 1
}

engine_wait() {
    local folder=$1 pid=$2 ticks=$3
    while ! engine_answers "$folder/engine.sock"; do
        if process_ended "$pid"; then
            show_log_tail "$folder/engine.log"
            fail "the Docker engine ended while it started"
        fi
        if ((ticks-- <= 0)); then
            show_log_tail "$folder/engine.log"
            fail "the Docker engine (process $pid) runs but does not answer on $folder/engine.sock" \
                "end it with 'kill -9 $pid' and try again"
        fi
        sleep 0.1
    done
}

# engine_remove_containers SOCKET [QUERY]: all, or those that a filter of the list call selects.
engine_remove_containers() {
    local socket=$1 query=${2:-} container
    engine_call "$socket" "/containers/json?all=1$query" | grep -o '"Id":"[0-9a-f]\{64\}"' | cut -d '"' -f 4 |
        while IFS= read -r container; do
            engine_call "$socket" "/containers/$container?force=1&v=1" --request DELETE --max-time 60 >/dev/null ||
                note "the engine would not remove container ${container:0:12}"
        done || true # grep finds nothing: there is none
}

# engine_stop FOLDER: the engine, its containers and what they leave behind.
engine_stop() {
    local folder=$1 pid
    if pid=$(engine_pid "$folder"); then
        # The engine is started with live-restore, so its own shutdown would let them run on.
        engine_answers "$folder/engine.sock" && engine_remove_containers "$folder/engine.sock"
        end_process "$pid" 30
    fi
    if pid=$(engine_containerd_pid "$folder"); then
        end_process "$pid" 10
    fi
    # Only after a crash is there anything left to do.
    for pid in $(engine_shim_pids "$folder"); do
        end_process_tree "$pid"
    done
    unmount_below "$folder"
    rm -rf "$folder/exec" "$folder/engine.sock" "$folder/engine.pid"
}

# The engine's rules outlive it, and it switches forwarding on. What was there before is noted when it is first
# started, so that exactly its own can be taken back. Another engine's rules have the same names: if there are any,
# none are ours to remove.
engine_remember_rules() {
    local folder=$1 policy
    [[ ! -e $folder/before && ! -e $folder/engine.pid ]] || return 0
    mkdir -p "$folder"
    if iptables --wait -n -L DOCKER >/dev/null 2>&1 || iptables --wait -n -L DOCKER-USER >/dev/null 2>&1; then
        return 0
    fi
    policy=$(iptables --wait -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p')
    printf '%s %s\n' "${policy:-ACCEPT}" "$(cat /proc/sys/net/ipv4/ip_forward)" >"$folder/before.new"
    mv "$folder/before.new" "$folder/before"
}

engine_forget_rules() {
    local folder=$1 policy forward table
    [[ -e $folder/before ]] || return 0
    if engine_answers /var/run/docker.sock; then
        note "another Docker engine runs by now, so the rules in DOCKER chains are left to it"
        rm -f "$folder/before"
        return 0
    fi
    read -r policy forward <"$folder/before"
    for table in filter nat; do
        rules_remove_docker iptables "$table"
        rules_remove_docker ip6tables "$table"
    done
    iptables --wait -P FORWARD "$policy"
    printf '%s\n' "$forward" >/proc/sys/net/ipv4/ip_forward
    rm -f "$folder/before"
}

# One table without the chains that Docker makes and the rules that lead to them, replaced as a whole.
rules_remove_docker() {
    local command=$1 table=$2 rules
    rules=$("$command-save" -t "$table" 2>/dev/null) || return 0
    [[ $rules == *DOCKER* ]] || return 0
    printf '%s\n' "$rules" | sed -e '/^:DOCKER/d' -e '/^-A DOCKER/d' -e '/ -j DOCKER/d' | "$command-restore" --wait --table "$table"
}
