# shellcheck shell=bash
# Where 'make run' keeps what runs, and what 'make stop' looks for.
#
#   .execbox/                       this clone: dev.env, the server's log, pid and data
#   /var/lib/execbox/CLONE/         this clone's PostgreSQL cluster, which the user postgres has to get at
#   /var/lib/execbox/engine/        the private Docker engine: one for the machine, since two engines in one network
#                                   flush each other's rules
# Call these from the clone's folder.

readonly DEVELOPMENT_STATE=/var/lib/execbox
readonly DEVELOPMENT_ENGINE=$DEVELOPMENT_STATE/engine
readonly DEVELOPMENT_BRIDGE=execbox0

# A short name for this clone, the same on every run.
clone_name() {
    pwd -P | sha256sum | cut -c 1-8
}

development_database_folder() {
    printf '%s\n' "$DEVELOPMENT_STATE/$(clone_name)/postgres"
}

# The server's configuration, for every subcommand. What the user has set stays.
development_configuration() {
    local socket=$1 binaries=$2
    export EXECBOX_LISTEN=${EXECBOX_LISTEN:-127.0.0.1:8080}
    export EXECBOX_DATA_DIR=${EXECBOX_DATA_DIR:-$PWD/.execbox/data}
    export EXECBOX_RUN_DIR=${EXECBOX_RUN_DIR:-/run/execbox/$(clone_name)}
    export EXECBOX_AGENT=${EXECBOX_AGENT:-$(agent_program)}
    export EXECBOX_MIGRATIONS=${EXECBOX_MIGRATIONS:-$PWD/migrations}
    export EXECBOX_BRIDGE=${EXECBOX_BRIDGE:-$DEVELOPMENT_BRIDGE}
    export EXECBOX_BRIDGE_SUBNET=${EXECBOX_BRIDGE_SUBNET:-$(development_subnet)}
    export DATABASE_URL=${DATABASE_URL:-$(postgres_url "$(development_database_folder)")}
    export EXECBOX_SECRET_KEY=${EXECBOX_SECRET_KEY:-$(development_secret)}
    export DOCKER_HOST=unix://$socket
    export PATH=$binaries:$PATH:/usr/sbin:/sbin
}

# What encrypts sessions' environments: 32 random bytes, made once.
development_secret() (
    umask 077
    mkdir -p .execbox/data
    if [[ ! -s .execbox/data/secret-key ]]; then
        head -c 32 /dev/urandom | base64 >.execbox/data/secret-key.new
        mv .execbox/data/secret-key.new .execbox/data/secret-key
    fi
    cat .execbox/data/secret-key
)

# A network that none of the machine's routes knows; the same on every run, as the bridge is made only once.
development_subnet() {
    local kept=.execbox/subnet candidate
    if [[ ! -s $kept ]]; then
        for candidate in 10.213 172.29 10.87 172.25 192.168; do
            candidate=$candidate.$([[ $candidate == 192.168 ]] && printf 208 || printf 0).0/20
            if ! ip -4 route show | grep -F "${candidate%.*.*}." >/dev/null; then
                printf '%s\n' "$candidate" >"$kept"
                break
            fi
        done
    fi
    [[ -s $kept ]] || fail "no free network was found for the sandboxes' bridge" "choose one: EXECBOX_BRIDGE_SUBNET=10.1.0.0/20 make run"
    cat "$kept"
}

# The socket of the engine to use: DOCKER_HOST's, the machine's, or that of our private one.
development_engine_socket() {
    local socket
    case ${DOCKER_HOST:-} in
        '') ;;
        unix://*)
            socket=${DOCKER_HOST#unix://}
            engine_answers "$socket" || fail "no Docker engine answers on $socket, which DOCKER_HOST names" \
                "start that engine, or unset DOCKER_HOST to have one of our own"
            printf '%s\n' "$socket"
            return
            ;;
        *) fail "DOCKER_HOST is '$DOCKER_HOST', and execboxd can only use an engine on this machine" \
            "set it to unix:///path/of/the/socket, or unset it" ;;
    esac
    if ! engine_pid "$DEVELOPMENT_ENGINE" >/dev/null && engine_answers /var/run/docker.sock; then
        printf '%s\n' /var/run/docker.sock
    else
        printf '%s\n' "$DEVELOPMENT_ENGINE/engine.sock"
    fi
}

# development_server_pid: of the execboxd that 'make run' has started in this clone, if it runs.
development_server_pid() {
    local pid=''
    read -r pid 2>/dev/null <.execbox/execboxd.pid || return 1
    process_has_argument "$pid" serve && [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == "$(pwd -P)/.build"*/execboxd* ]] || return 1
    printf '%s\n' "$pid"
}

# Everything that concerns the development machine is root's: the engine, the rules, the user postgres.
become_root() {
    local script=$1
    shift
    ((EUID != 0)) || return 0
    command -v sudo >/dev/null || fail "this needs root, and there is no 'sudo'" "run it as root"
    exec sudo --preserve-env=ONCE,DATABASE_URL,DOCKER_HOST,EXECBOX_LISTEN,EXECBOX_DATA_DIR,EXECBOX_RUN_DIR,EXECBOX_AGENT,EXECBOX_BRIDGE,EXECBOX_BRIDGE_SUBNET,EXECBOX_SECRET_KEY,EXECBOX_ISOLATION \
        env PATH="$PATH" HOME="$HOME" "$BASH" "$script" "$@"
}

# Files that the user who called sudo wants to read.
give_to_caller() {
    [[ -z ${SUDO_UID:-} ]] || chown -R "$SUDO_UID:${SUDO_GID:-}" "$@"
}
