#!/usr/bin/env bash
# Proves that nbdkit's own shell completion finds the plugin by its name and offers its parameters.
. "$(dirname "$0")/functions.sh"
files=/usr/share/bash-completion
for file in bash_completion completions/nbdkit; do
  [ -e "$files/$file" ] || skip "there is no $files/$file"
done

# What "nbdkit memory" means to the shell below: the plugin under test, in the place of nbdkit's.
cat >"$dir/nbdkit" <<SHIM
#!/bin/bash
[ "\$1" != memory ] || set -- "$(realpath "$plugin")" "\${@:2}"
exec "$(command -v nbdkit)" "\$@"
SHIM
chmod +x "$dir/nbdkit"

# offered WORD...: what a user is offered who typed these words and then presses the tab key.
offered() {
  PATH=$dir:$PATH bash --norc -c '
    . "$1/bash_completion"
    . "$1/completions/nbdkit"
    shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMPREPLY=()
    _nbdkit
    printf "%s\n" "${COMPREPLY[@]}"' bash "$files" "$@" | sort
}

expect_same "the name of the plugin" memory "$(offered nbdkit memor)"
expect_same "all parameters" "$(printf '%s=\n' allocator dump image load max-memory mlock save size stats-export stats-file stats-format)" \
  "$(offered nbdkit memory '')"
expect_same "a parameter" max-memory= "$(offered nbdkit memory 1G max)"
