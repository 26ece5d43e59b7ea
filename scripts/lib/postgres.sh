# shellcheck shell=bash
# A PostgreSQL cluster of our own: Unix socket only, no port, so any number can run side by side.
#
#   FOLDER/data  FOLDER/socket
#
# PostgreSQL refuses to run as root, so root runs it as the user postgres; FOLDER must be one that this user
# can enter, which root's own folders are not.

readonly POSTGRES_DATABASE=execbox

as_postgres() (
    cd / # the user postgres may not be allowed into the current folder, and then initdb stops
    if ((EUID == 0)); then
        exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    fi
    exec "$@"
)

# Debian keeps the programs out of PATH, one folder a version.
postgres_program() {
    local name=$1 folder newest=''
    for folder in /usr/lib/postgresql/*/bin; do
        [[ -x $folder/$name ]] || continue
        if [[ -z $newest || $(printf '%s\n%s\n' "$newest" "$folder" | sort -V | tail -n 1) == "$folder" ]]; then
            newest=$folder
        fi
    done
    if [[ -z $newest ]]; then
        command -v "$name" || fail "PostgreSQL's '$name' is not installed" "install the package 'postgresql'"
        return
    fi
    printf '%s\n' "$newest/$name"
}

# The cluster's own version: a newer server cannot open an older cluster.
postgres_program_for_cluster() {
    local folder=$1 name=$2 version
    version=$(cat "$folder/data/PG_VERSION" 2>/dev/null || true)
    if [[ -n $version && -x /usr/lib/postgresql/$version/bin/$name ]]; then
        printf '%s\n' "/usr/lib/postgresql/$version/bin/$name"
    else
        postgres_program "$name"
    fi
}

# The server's pid, if one really serves this cluster: a server works in its data folder. The pid file alone does not
# tell, and a server whose file was lost still has to be found.
postgres_pid() {
    local folder=$1 pid='' process
    read -r pid 2>/dev/null <"$folder/data/postmaster.pid" || true
    if [[ $pid =~ ^[0-9]+$ && $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$folder/data" ]]; then
        printf '%s\n' "$pid"
        return 0
    fi
    for process in /proc/[0-9]*; do
        # Its children show a title of their own instead of arguments.
        if [[ $(readlink "$process/cwd" 2>/dev/null) == "$folder/data" ]] && process_has_argument "${process##*/}" "$folder/data"; then
            printf '%s\n' "${process##*/}"
            return 0
        fi
    done
    return 1
}

postgres_url() {
    printf 'postgres://postgres@/%s?host=%s\n' "${2:-$POSTGRES_DATABASE}" "$1/socket"
}

# postgres_start FOLDER durable|throwaway: adopts one that runs.
postgres_start() {
    local folder=$1 kind=$2 initdb settings control tries=8
    if ((${#folder} > 80)); then
        fail "the folder name $folder is too long for a Unix socket in it" "use a shorter one"
    fi
    if ((EUID == 0)) && ! id postgres >/dev/null 2>&1; then
        fail "there is no user 'postgres' on this machine" "install the package 'postgresql', which creates it"
    fi
    mkdir -p "$folder/socket"
    if ((EUID == 0)); then
        chown postgres "$folder" "$folder/socket"
        chmod 711 "$folder"
        as_postgres test -w "$folder/socket" ||
            fail "the user postgres cannot enter $folder" "a folder above it is closed to others: use one below /var/lib"
    fi
    chmod 700 "$folder/socket" # whoever gets in here is superuser: peer names are not checked
    if [[ ! -e $folder/data/PG_VERSION ]]; then
        # Made beside and renamed, so that a kill half-way never leaves half a cluster.
        rm -rf "$folder/data" "$folder/data.new"
        initdb=$(postgres_program initdb)
        as_postgres "$initdb" --pgdata="$folder/data.new" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
            --no-sync >"$folder/initdb.log" 2>&1 ||
            { show_log_tail "$folder/initdb.log" && fail "PostgreSQL's initdb failed in $folder"; }
        mv "$folder/data.new" "$folder/data"
    fi
    if ! postgres_pid "$folder" >/dev/null; then
        # Whatever lock files are left name a process that is none of this cluster's.
        rm -f "$folder/data/postmaster.pid" "$folder/socket/.s.PGSQL.5432" "$folder/socket/.s.PGSQL.5432.lock"
        settings="-c listen_addresses= -c port=5432 -c unix_socket_directories=$folder/socket -c unix_socket_permissions=0700 -c max_connections=200"
        if [[ $kind == throwaway ]]; then
            settings+=' -c fsync=off -c synchronous_commit=off -c full_page_writes=off'
        fi
        control=$(postgres_program_for_cluster "$folder" pg_ctl)
        # After a crash the old server's children keep its shared memory until they notice.
        until postgres_launch "$folder" "$control" "$settings"; do
            if ((tries-- <= 0)); then
                show_log_tail "$folder/start.log" 5
                show_log_tail "$folder/data/postgres.log"
                fail "PostgreSQL did not start in $folder"
            fi
            sleep 1
        done
    fi
    if [[ -z $(postgres_query "$folder" postgres "SELECT 1 FROM pg_database WHERE datname = '$POSTGRES_DATABASE'") ]]; then
        postgres_query "$folder" postgres "CREATE DATABASE $POSTGRES_DATABASE"
    fi
}

# pg_ctl gives the server a process session of its own.
postgres_launch() (
    local folder=$1 control=$2 settings=$3
    close_our_files
    as_postgres "$control" start --wait --timeout=60 --pgdata="$folder/data" --log="$folder/data/postgres.log" --options="$settings" \
        </dev/null >"$folder/start.log" 2>&1
)

# postgres_query FOLDER DATABASE SQL: bare values on standard output.
postgres_query() {
    local folder=$1 database=$2 sql=$3
    "$(postgres_program psql)" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 \
        --dbname="$(postgres_url "$folder" "$database")" --command="$sql"
}

# postgres_stop FOLDER: in order, with what was committed on disk.
postgres_stop() {
    local folder=$1 pid
    pid=$(postgres_pid "$folder") || return 0
    as_postgres "$(postgres_program_for_cluster "$folder" pg_ctl)" stop --mode=fast --wait --timeout=60 \
        --pgdata="$folder/data" >/dev/null 2>&1 || end_process "$pid" 10
}
