# Completes the command line of mcflush in bash. mcflush itself gives the candidates for a word, without connecting to a server.
_mcflush() {
    local line=${COMP_LINE:0:COMP_POINT} word prefix candidate
    local -a words
    COMPREPLY=()
    # Not COMP_WORDS, which bash cuts at each ":", "=" and "@".
    read -ra words <<<"$line"
    case $line in *[[:space:]]) words+=('') ;; esac
    while [[ ${#words[@]} -gt 1 && ${words[0]} != "$1" ]]; do words=("${words[@]:1}"); done
    [[ ${#words[@]} -gt 1 ]] || return 0
    word=${words[${#words[@]} - 1]}
    # bash replaces only the text after its last cut.
    prefix=${word%"$2"}
    while IFS= read -r candidate; do
        # Special characters are quoted, so that no name in a config file becomes a command.
        printf -v candidate %q "${candidate#"$prefix"}"
        COMPREPLY+=("${candidate/#\\~\//\~/}")
    done < <("${1/#\~\//$HOME/}" completions bash -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace 2>/dev/null; fi
    return 0
}
complete -F _mcflush mcflush
