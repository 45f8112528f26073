#!/usr/bin/env bash
# Proves that the Debian package takes the place of the distribution's plugin and manual page, and
# gives it back: install, install again, upgrade, an upgrade of nbdkit, remove, purge. In a copy of
# this system's root tree, which nothing else sees.
. "$(dirname "$0")/functions.sh"
requires cmake cpack ninja gzip dpkg-deb dpkg-shlibdeps dpkg-divert lintian unshare chroot
requires_root
requires_old_plugin

# A release builds without a network.
release_archive release | tar -C "$dir" -xf -

# package VERSION FILE: builds the package and calls it that version.
package() {
  unshare --net cmake -S "$dir/release" -B "$dir/build" -G Ninja -DRAMDISK_PACKAGE=ON \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF \
    -DCPACK_DEBIAN_PACKAGE_VERSION="$1" -DCPACK_OUTPUT_FILE_PREFIX="$dir/out" >"$dir/log" 2>&1 &&
    unshare --net cmake --build "$dir/build" >>"$dir/log" 2>&1 &&
    (cd "$dir/build" && unshare --net cpack -G DEB) >>"$dir/log" 2>&1 ||
    { cat "$dir/log"; fail "the package cannot be built"; }
  mv "$dir"/out/*.deb "$2"
}
package 1.0.0 "$dir/first.deb"
package 1.0.1 "$dir/second.deb"
dpkg-deb --info "$dir/first.deb"
dpkg-deb --contents "$dir/first.deb" >"$dir/contents"
cat "$dir/contents"
depends=$(dpkg-deb --field "$dir/first.deb" Depends)
expect_lines "the package" "$depends" nbdkit libzstd1 libc6
[[ $depends != *libstdc* ]] || fail "the C++ runtime is not linked in: $depends"
expect_lines "the package" "$(cat "$dir/contents")" '/lib/systemd/system/nbdkit-memory@[.]service$' \
  '/lib/systemd/system/nbdkit-memory@[.]socket$'
expect_same "the number of files" 6 "$(grep -vc '/$' "$dir/contents")"
expect_same "what lintian says" "" "$(lintian --allow-root "$dir/first.deb" 2>&1)"

mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" overlay "$dir/root" \
  2>/dev/null || skip "no overlay of the root tree can be mounted"
at_exit "umount -l '$dir/root'"
mount -t proc proc "$dir/root/proc"
at_exit "umount -l '$dir/root/proc'"
cp "$dir/first.deb" "$dir/second.deb" "$dir/root/root/"
inside() { chroot "$dir/root" env HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

page=$(nbdkit --dump-config | sed -n 's/^mandir=//p')/man1/nbdkit-memory-plugin.1.gz
state() { inside sha256sum "$old_plugin" "$page"; }
before=$(state)

# whose PLUGIN: who made the plugin that "nbdkit memory" is.
whose() {
  if grep -q '^ramdisk_version=' <<<"$(inside nbdkit memory --dump-plugin)"; then
    echo ours
  else
    echo "the distribution's"
  fi
}
expect_same "at first the plugin is" "the distribution's" "$(whose)"
for step in 'install first' 'install first' 'install second' 'remove' 'install second' 'purge'; do
  case $step in
    install*) inside dpkg --install "/root/${step#* }.deb" ;;
    *) inside dpkg --"$step" nbdkit-memory-plugin ;;
  esac || fail "dpkg $step"
  case $step in
    install*)
      expect_same "after $step the plugin is" ours "$(whose)"
      inside zgrep -q max-memory "$page" || fail "after $step the manual page is not ours"
      expect_same "what was diverted" "$(cut -d' ' -f1 <<<"$before")" \
        "$(inside sha256sum "$old_plugin.distrib" "$page.distrib" | cut -d' ' -f1)"
      inside dpkg --verify nbdkit-memory-plugin || fail "files are missing after $step"
      ;;
    *)
      expect_same "after $step the plugin is" "the distribution's" "$(whose)"
      expect_same "after $step the files" "$before" "$(state)"
      expect_same "diversions after $step" "" "$(inside dpkg-divert --list '*nbdkit-memory*')"
      ;;
  esac
done
