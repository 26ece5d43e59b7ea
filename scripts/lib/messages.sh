# shellcheck shell=bash
# What the scripts say to a person. Everything goes to standard error, so that standard output stays with
# what was asked for: a session's output, a test runner's summary.

step() {
    printf '==> %s\n' "$*" >&2
}

note() {
    printf '    %s\n' "$*" >&2
}

# fail WHAT-WAS-WRONG [WHAT-TO-DO…]: every further argument is a line of its own.
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    while (($# > 0)); do
        printf '       %s\n' "$1" >&2
        shift
    done
    exit 1
}

# The end of a log, indented, for an error message.
show_log_tail() {
    local log=$1 lines=${2:-20}
    [[ -s $log ]] || return 0
    printf '    the last lines of %s:\n' "$log" >&2
    tail -n "$lines" "$log" | sed 's/^/    | /' >&2
}
