#!/usr/bin/env bash
# Proves that `cmake --install` puts the plugin, stripped, and its manual page where nbdkit looks for them,
# with DESTDIR and with a prefix of one's own, and that what was installed works.
. "$(dirname "$0")/functions.sh"
requires cmake nbdinfo readelf
build=${RAMDISK_BUILD_DIR:-$(dirname "$plugin")}
[ -e "$build/CMakeCache.txt" ] || skip "$plugin is not in a build directory"

# works FILE: it is our plugin, and it serves.
works() {
  expect_lines "--dump-plugin of $1" "$(dump_plugin "$1")" '^ramdisk_version=' '^name=memory$'
  expect_same "the size served by $1" 1048576 \
    "$(nbdkit -U - "$1" 1M --run 'nbdinfo --size "$uri"')"
}

plugindir=$(nbdkit --dump-config | sed -n 's/^plugindir=//p')
prefix=$(pkg-config --variable=prefix nbdkit)
below=${plugindir#"$prefix"/}
configured=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$build/CMakeCache.txt")

# manual DIRECTORY: the manual page below it.
manual() {
  local page
  page=$(find "$1" -name 'nbdkit-memory-plugin.1*')
  [ -s "$page" ] || fail "no manual page below $1"
  case $page in */man/man1/*) ;; *) fail "the manual page is $page" ;; esac
}

DESTDIR=$dir/stage cmake --install "$build" >"$dir/log" || { cat "$dir/log"; fail "install"; }
works "$dir/stage$configured/$below/nbdkit-memory-plugin.so"
manual "$dir/stage$configured"
! grep -qE '[.](symtab|debug_info)' <<<"$(readelf -SW "$dir/stage$configured/$below/nbdkit-memory-plugin.so")" ||
  fail "what was installed is not stripped"
# Just these two: no test program, header or library comes along.
expect_same "the number of files" 2 "$(find "$dir/stage" -type f | wc -l)"

cmake --install "$build" --prefix "$dir/opt" >"$dir/log" || { cat "$dir/log"; fail "install"; }
works "$dir/opt/$below/nbdkit-memory-plugin.so"
manual "$dir/opt"

# By its path from the folder where it was built.
cd "$(dirname "$plugin")"
works ./nbdkit-memory-plugin.so
