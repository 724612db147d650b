# Completion of vsctl for fish:
#   vsctl completion fish > ~/.config/fish/completions/vsctl.fish

function __vsctl_complete
    set -l words (commandline -opc)
    $words[1] __complete $words[2..-1] (commandline -ct) 2> /dev/null
end

complete -c vsctl -f -a '(__vsctl_complete)'
