# Completes the command line of mcflush in fish. mcflush itself gives the candidates for a word, without connecting to a server.
function __mcflush_candidates
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    $words[1] completions fish -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
end
complete --command mcflush --no-files --keep-order --arguments '(__mcflush_candidates)'
