# shellcheck shell=bash
# Daemons: starting them, knowing them again, ending them.
#
# A pid file outlives its process after a kill -9 or a power cut, and the number may belong to somebody else
# by then. So a pid is only ever believed after a look at the process itself: its arguments or its folder.

# process_has_argument PID ARGUMENT: PID lives and ARGUMENT is one of its arguments, whole.
process_has_argument() {
    local pid=$1 wanted=$2 argument
    local -a arguments=()
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    mapfile -d '' -t arguments 2>/dev/null <"/proc/$pid/cmdline" || return 1
    for argument in "${arguments[@]}"; do
        [[ $argument == "$wanted" ]] && return 0
    done
    return 1
}

# process_runs_program PID FILE: PID lives and FILE is the program it runs, also when FILE was built anew since.
process_runs_program() {
    local pid=$1 program=$2 running
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    running=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
    [[ ${running% (deleted)} == "$program" ]]
}

process_ended() {
    local state
    # A zombie has ended: it only waits for its parent, which may not be us.
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 0
    [[ -z $state || $state == Z || $state == X ]]
}

# wait_for_end PID SECONDS: true once PID has ended, false when the time is over.
wait_for_end() {
    local pid=$1 ticks=$(($2 * 10))
    while ! process_ended "$pid"; do
        ((ticks-- > 0)) || return 1
        sleep 0.1
    done
}

# end_process PID SECONDS: asks, waits, then insists.
end_process() {
    local pid=$1 patience=$2
    kill -TERM "$pid" 2>/dev/null || return 0
    wait_for_end "$pid" "$patience" && return 0
    note "$(cat "/proc/$pid/comm" 2>/dev/null) ($pid) did not end within $patience s of SIGTERM, so it gets SIGKILL"
    kill -KILL "$pid" 2>/dev/null || return 0
    wait_for_end "$pid" 5 || fail "process $pid does not end, not even by SIGKILL" "it probably waits for a disk: see 'ps -o stat,wchan -p $pid'"
}

# close_our_files: all but the standard three. Said in a subshell before a program that may outlive us: a lock it
# inherited would stay locked for as long as it lives.
close_our_files() {
    local descriptor
    for descriptor in "/proc/$BASHPID/fd"/*; do
        descriptor=${descriptor##*/}
        if ((descriptor > 2)); then
            eval "exec $descriptor>&-"
        fi
    done
}

# start_daemon LOG COMMAND…: in a process session of its own, so that ^C does not reach it.
start_daemon() (
    local log=$1
    shift
    close_our_files
    cd /
    exec setsid --fork "$@" </dev/null >>"$log" 2>&1
)

# unmount_below FOLDER: what a killed process left mounted there, deepest first.
unmount_below() {
    local folder=$1 point
    awk '{ print $5 }' /proc/self/mountinfo | grep -F -- "$folder" | sort -r | while IFS= read -r point; do
        [[ $point == "$folder" || $point == "$folder"/* ]] || continue
        umount -l -- "$point" 2>/dev/null || true
    done || true
}

# end_process_tree PID: at once, with all its descendants. For what a crash has left without a parent to ask.
end_process_tree() {
    local pid=$1 child
    for child in $(cat "/proc/$pid/task"/*/children 2>/dev/null || true); do
        end_process_tree "$child"
    done
    kill -KILL "$pid" 2>/dev/null || true
}
