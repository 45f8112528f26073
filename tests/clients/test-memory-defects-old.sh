#!/usr/bin/env bash
# Proves that each of the tests for a defect of the distribution's plugin can fail: with that plugin
# every one of them does.
. "$(dirname "$0")/functions.sh"
requires_old_plugin
tests=${RAMDISK_DEFECT_TESTS:?the program with the tests for the defects}
# Those who mend the plugin are ahead of a test that says it is broken.
case $(dump_plugin "$old_plugin" | sed -n 's/^version=//p') in
  1.32.*) ;;
  *) skip "the distribution's plugin is not that of nbdkit 1.32" ;;
esac

export NBDKIT_MEMORY_PLUGIN=$old_plugin
mapfile -t names < <("$tests" --gtest_list_tests |
  awk '/^[^ ]/ { suite = $1 } /^ / { print suite $1 }')
[ "${#names[@]}" -ge 10 ] || fail "there are only ${#names[@]} tests for defects"

passed=()
for name in "${names[@]}"; do
  status=0
  "$tests" --gtest_filter="$name" >"$dir/output" 2>&1 || status=$?
  # That the test ran and failed, not that it could not run.
  if [ "$status" -eq 0 ]; then
    passed+=("$name")
  elif ! grep -qF "[  FAILED  ] $name" "$dir/output"; then
    cat "$dir/output"
    fail "$name did not run"
  fi
done
[ "${#passed[@]}" -eq 0 ] || fail "the distribution's plugin passes: ${passed[*]}"
echo "all ${#names[@]} tests fail with $old_plugin"
