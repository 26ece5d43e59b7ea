# shellcheck shell=bash
# Building with SwiftPM. The agent has a build folder of its own, since it alone is linked statically.

readonly AGENT_BUILD_FOLDER=.build-agent

build_agent() {
    step "building execbox-agent (static, release)"
    swift build -c release --product execbox-agent --scratch-path "$AGENT_BUILD_FOLDER" \
        --static-swift-stdlib -Xswiftc -static-executable -Xlinker -s >&2 ||
        fail "execbox-agent was not built" "the compiler has said why above"
}

agent_program() {
    printf '%s\n' "$PWD/$AGENT_BUILD_FOLDER/release/execbox-agent"
}

# build_release PRODUCT…: one at a time, since SwiftPM takes one product a build, and to say which one it is. Swift's
# own libraries are linked in: a command line starts in half the time, and runs where no toolchain is.
build_release() {
    local product
    for product in "$@"; do
        step "building $product (release)"
        swift build -c release --static-swift-stdlib --product "$product" >&2 || fail "$product was not built" "the compiler has said why above"
    done
}

release_folder() {
    swift build -c release --show-bin-path
}

# build_tests: everything with its tests, debug; false when our own sources gave a warning.
build_tests() {
    local log=.build/build-tests.log warnings own file
    step "building everything and its tests (debug)"
    mkdir -p .build
    # As a pipe: a progress bar would leave no lines to search.
    swift build --build-tests 2>&1 | tee "$log" >&2 || fail "the build failed" "the compiler has said why above"
    own="^($PWD/)?(Sources|Tests|Package\.swift).*: warning:|^warning: '$(basename "$PWD" | tr '[:upper:]' '[:lower:]')':"
    warnings=$(grep -E "$own" "$log" | sort -u || true)
    [[ -n $warnings ]] || return 0
    # A second build would not compile these files again and so say nothing. Touched, they are compiled.
    cut -d : -f 1 <<<"$warnings" | sort -u | while IFS= read -r file; do
        if [[ -f $file ]]; then
            touch -- "$file"
        fi
    done
    printf '%s\n' "$warnings" >&2
    fail "the build printed warnings for our own sources" "they are listed above"
}

format_lint() {
    local -a places=()
    local place
    for place in Sources Tests benchmarks Package.swift; do
        [[ -e $place ]] && places+=("$place")
    done
    swift format lint --strict --parallel --recursive "${places[@]}" >&2 ||
        fail "the sources are not formatted as .swift-format says" "run 'make format' and look at what is left above"
}

format_sources() {
    local -a places=()
    local place
    for place in Sources Tests benchmarks Package.swift; do
        [[ -e $place ]] && places+=("$place")
    done
    swift format --in-place --parallel --recursive "${places[@]}"
}
