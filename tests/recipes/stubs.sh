# shellcheck shell=bash disable=SC2154 # folder is lib.sh's
# Recipes that run an app's own steps get steps that write down that they ran. To be sourced after lib.sh.

mkdir -p "$folder/bin"
ln -s "$MCFLUSH" "$folder/bin/mcflush"
for step in release open; do
    printf '#!/bin/sh\necho %s >>"%s/steps"\n' "$step" "$folder" >"$folder/bin/$step"
    chmod 755 "$folder/bin/$step"
done
PATH=$folder/bin:$PATH
: >"$folder/steps"

# steps: those that ran, in order.
steps() { paste -sd' ' "$folder/steps"; }
