#compdef vsctl
# Completion of vsctl for zsh: put this as _vsctl into a directory of $fpath,
#   vsctl completion zsh > /usr/local/share/zsh/site-functions/_vsctl

_vsctl() {
    local -a found open
    local candidate
    for candidate in ${(f)"$(${words[1]} __complete ${words[2,CURRENT-1]} "${words[CURRENT]}" 2> /dev/null)"}; do
        if [[ $candidate == *[=:,\(/] ]]; then
            open+=($candidate)
        else
            found+=($candidate)
        fi
    done
    compadd -a found
    compadd -S '' -a open
}

if [[ $funcstack[1] == _vsctl ]]; then
    _vsctl "$@"
else
    compdef _vsctl vsctl
fi
