#!/usr/bin/env bash
# Proves that nbdkit's own shell completion finds the plugin by its name and offers its parameters, and
# that what the plugin adds to nbdkit --help, which the completion reads, fits a screen.
. "$(dirname "$0")/functions.sh"

# nbdkit prints its own options first. What remains on a screen of 24 lines is the end of the output.
help=$(nbdkit "$plugin" --help | sed -n '/^plugin: memory/,$p')
[ -n "$help" ] || fail "the help does not name the plugin"
[ "$(wc -l <<<"$help")" -le 23 ] || fail "with a prompt the help does not fit 24 lines: $help"
# The line with the path of the plugin is as long as that path.
wide=$(grep -vF "($plugin)" <<<"$help" | grep -E '^.{81,}' || :)
expect_same "lines of more than 80 columns" "" "$wide"
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
expect_same "all parameters" "$(printf '%s=\n' allocator dump exports-max exports image load max-memory mlock save scratch size stats-export stats-file stats-format)" \
  "$(offered nbdkit memory '')"
expect_same "a parameter" max-memory= "$(offered nbdkit memory 1G max)"
