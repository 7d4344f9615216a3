#compdef mcflush
# Completes the command line of mcflush in zsh. mcflush itself gives the candidates for a word, without connecting to a server.
_mcflush() {
    local line value
    local -a names folders
    for line in "${(@f)$("${words[1]/#\~\//$HOME/}" completions zsh -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        value=${line%%$'\t'*}
        if [[ -z $value ]]; then
            continue
        elif [[ $value == */ ]]; then
            folders+=("$value")
        elif [[ $line == *$'\t'* ]]; then
            names+=("${value//:/\\:}:${line#*$'\t'}")
        else
            names+=("${value//:/\\:}")
        fi
    done
    local found=1
    if (( $#names )); then _describe mcflush names && found=0; fi
    if (( $#folders )); then compadd -S '' -a folders && found=0; fi
    return found
}
# For compinit this file is the function itself; after `source` the function has to be registered.
if [[ $funcstack[1] == _mcflush ]]; then _mcflush "$@"; else compdef _mcflush mcflush; fi
