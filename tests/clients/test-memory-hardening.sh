#!/usr/bin/env bash
# Proves that the plugin is built with the protections that distributions build with: Debian's own
# checker finds each of them.
. "$(dirname "$0")/functions.sh"
requires hardening-check readelf objdump
build=${RAMDISK_BUILD_DIR:-$(dirname "$plugin")}
[ -e "$build/CMakeCache.txt" ] || skip "$plugin is not in a build directory"
grep -q '^RAMDISK_HARDENING:BOOL=ON$' "$build/CMakeCache.txt" || skip "built with RAMDISK_HARDENING=OFF"

# The mark for control flow is on a library only if it is on all that it is linked from, and Debian's
# C library has files without it. Then only the code is looked at.
options=()
start=$(c++ -print-file-name=crti.o)
grep -q 'IBT, SHSTK' <<<"$(readelf -n "$start" 2>/dev/null)" || options=(--nocfprotection)
hardening-check "${options[@]}" "$plugin" >"$dir/report" ||
  { cat "$dir/report"; fail "a protection is missing"; }
cat "$dir/report"
# It passes what it knows nothing of; here all of these are known.
expect_lines "hardening-check" "$(cat "$dir/report")" 'Stack protected: yes' \
  'Fortify Source functions: yes' 'Read-only relocations: yes' 'Immediate binding: yes'
case $(uname -m) in
  x86_64) landing=endbr64 ;;
  aarch64) landing='paciasp|bti' ;;
  *) landing= ;;
esac
if [ -n "$landing" ]; then
  marks=$(objdump -d --no-show-raw-insn "$plugin" | grep -cE "$landing") || :
  [ "$marks" -ge 100 ] || fail "only $marks places where an indirect jump may land are marked"
fi
# Nor is there memory that can be written and executed.
! grep -qE 'GNU_STACK.* RWE|LOAD.* RWE' <<<"$(readelf -lW "$plugin")" || fail "memory is writable and executable"
