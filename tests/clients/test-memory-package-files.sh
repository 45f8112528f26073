#!/usr/bin/env bash
# Proves of the RPM spec, the Alpine APKBUILD and the Containerfile what can be proved away from those
# systems: their steps build, check and install a release without a network, and what they install works.
. "$(dirname "$0")/functions.sh"
requires cmake ninja rpmbuild rpm rpm2archive tar python3
source=$(realpath "${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..}")
version=$(sed -n 's/^project(.* VERSION \([0-9.]*\) .*/\1/p' "$source/CMakeLists.txt")
name=nbdkit-memory-plugin-$version
offline=()
! unshare --net true 2>/dev/null || offline=(unshare --net)

release_archive "$name" >"$dir/$name.tar"

# The version is the same wherever it is written.
first() { sed -n "s/$2/\1/p" "$source/$1" | sed -n 1p; }
for written in \
  "$(first CHANGELOG.md '^## \([0-9.]*\) (.*)$')" \
  "$(first README.md '.*nbdkit-memory-plugin_\([0-9.]*\)_amd64[.]deb$')" \
  "$(first .packaging/alpine/APKBUILD '^pkgver=\(.*\)$')" \
  "$(first .packaging/rpm/nbdkit-memory-plugin.spec '^Version: *\(.*\)$')" \
  "$(first .packaging/rpm/nbdkit-memory-plugin.spec '^[*] .* - \([0-9.]*\)-1$')"; do
  expect_same "a version" "$version" "$written"
done

# works PLUGIN: it is ours, and holds data.
works() {
  plugin=$1
  expect_lines "$1" "$(dump_plugin)" "^ramdisk_version=$version\$"
  start_nbdkit 64M
  check_disk sparse
  stop_nbdkit
}

# ---- RPM: Fedora's macros for CMake, and where this system has its libraries, are given here.
mkdir -p "$dir/rpm/SOURCES"
gzip -c "$dir/$name.tar" >"$dir/rpm/SOURCES/$name.tar.gz"
libraries=$(nbdkit --dump-config | sed -n 's|^libdir=||p')
"${offline[@]}" rpmbuild -bb --nodeps --define "_topdir $dir/rpm" --define "_libdir $libraries" \
  --define 'cmake cmake -S . -B made -DCMAKE_INSTALL_PREFIX=/usr' --define 'cmake_build cmake --build made' \
  --define 'cmake_install DESTDIR=%{buildroot} cmake --install made' --define 'debug_package %{nil}' \
  "$source/.packaging/rpm/nbdkit-memory-plugin.spec" >"$dir/log" 2>&1 ||
  { tail -n 40 "$dir/log"; fail "rpmbuild"; }
package=$(echo "$dir"/rpm/RPMS/*/*.rpm)
rpm -qlp "$package"
mkdir "$dir/from-rpm"
rpm2archive "$package" && tar -C "$dir/from-rpm" -xf "$package.tgz"
works "$dir/from-rpm$libraries/nbdkit-memory-plugin/nbdkit-memory-plugin.so"

# ---- Alpine: the steps are shell functions.
mkdir "$dir/apk"
tar -C "$dir/apk" -xf "$dir/$name.tar"
(
  cd "$dir/apk/$name"
  export pkgdir=$dir/from-apk
  "${offline[@]}" sh -euc '. ./.packaging/alpine/APKBUILD && build && check && package'
) >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; fail "the steps of the APKBUILD"; }
(cd "$dir/from-apk" && find . -type f)
works "$dir/from-apk$(nbdkit --dump-config | sed -n 's/^plugindir=//p')/nbdkit-memory-plugin.so"

# ---- The Containerfile: what it copies and builds, in a directory in the place of its root, and the
# command with which the container starts. Its packages are this system's.
recipe=$(sed -e ':a' -e '/\\$/ { N; s/ *\\\n */ /; ba' -e '}' "$source/.packaging/Containerfile")
image=$dir/image
mkdir -p "$image/source"
while read -r step from to; do
  [[ $step != COPY || $from == --from=* ]] || cp -r "$dir/apk/$name/$from" "$image$to"
done <<<"$recipe"
build=$(sed -n 's/^RUN \(cmake .*\)/\1/p' <<<"$recipe" | sed "s#\([ =]\)/\(source\|build\|install\)#\1$image/\2#g")
[ -n "$build" ] || fail "the Containerfile does not build"
"${offline[@]}" sh -euc "$build" >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; fail "the steps of the Containerfile"; }
(cd "$image/install" && find . -type f)
installed=$image/install$(nbdkit --dump-config | sed -n 's/^plugindir=//p')/nbdkit-memory-plugin.so
works "$installed"
mapfile -t command < <(sed -n 's/^\(ENTRYPOINT\|CMD\) //p' <<<"$recipe" |
  python3 -c 'import json, sys; print(*(word for line in sys.stdin for word in json.loads(line)), sep="\n")')
expect_lines "the command of the container" "${command[*]}" '^nbdkit --foreground --port=10809 memory 1G allocator=zstd$'
if [ ${#offline[@]} -gt 0 ]; then
  expect_same "the size of the container's disk" 1073741824 "$(unshare --net sh -c 'ip link set lo up && exec "$@"' sh \
    "${command[@]/#memory/$installed}" --run 'nbdinfo --size "$uri"')"
fi
