# Completion of vsctl for bash:
#   vsctl completion bash > /etc/bash_completion.d/vsctl

_vsctl() {
    local line="${COMP_LINE:0:COMP_POINT}" words current candidate
    read -ra words <<< "$line"
    current=
    if [[ $line != *[[:space:]] ]]; then
        current="${words[-1]}"
        unset 'words[-1]'
    fi
    COMPREPLY=()
    # A quote in front is no part of the word for bash.
    local word="${current#[\'\"]}"
    # bash completes only what follows the last of these.
    local done="${word%"${word##*[=:]}"}" open=yes
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate#"$done"}")
        [[ $candidate == *[=:,\(/] ]] || open=
    done < <("${words[0]}" __complete "${words[@]:1}" "$current" 2> /dev/null)
    if [[ $open ]]; then
        compopt -o nospace 2> /dev/null
    fi
}

complete -F _vsctl vsctl
