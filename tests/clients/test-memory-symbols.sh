#!/usr/bin/env bash
# Proves that the file exports and needs only what it should, so that it loads wherever it must.
. "$(dirname "$0")/functions.sh"
requires nm objdump

exported=$(nm -D --defined-only "$plugin" | awk '{ print $3 }' | sort | tr '\n' ' ')
expect_same "exported symbols" "memory_debug_dir plugin_init " "$exported"

# The functions for plugins in nbdkit 1.32; most are older.
known=" nbdkit_absolute_path nbdkit_add_export nbdkit_add_extent nbdkit_debug nbdkit_error
nbdkit_export_name nbdkit_is_tls nbdkit_nanosleep nbdkit_parse_bool nbdkit_parse_int
nbdkit_parse_int16_t nbdkit_parse_int32_t nbdkit_parse_int64_t nbdkit_parse_int8_t
nbdkit_parse_size nbdkit_parse_uint16_t nbdkit_parse_uint32_t nbdkit_parse_uint64_t
nbdkit_parse_uint8_t nbdkit_parse_unsigned nbdkit_peer_gid nbdkit_peer_name nbdkit_peer_pid
nbdkit_peer_uid nbdkit_printf_intern nbdkit_read_password nbdkit_realpath nbdkit_set_error
nbdkit_shutdown nbdkit_stdio_safe nbdkit_strdup_intern nbdkit_strndup_intern
nbdkit_use_default_export nbdkit_vdebug nbdkit_verror nbdkit_vprintf_intern "
used=$(nm -D --undefined-only "$plugin" | awk '$2 ~ /^nbdkit_/ { print $2 }')
[ -n "$used" ] || fail "no function of nbdkit is used"
for name in $used; do
  grep -qw "$name" <<<"$known" || fail "$name is not in nbdkit 1.32"
done

# Where the C++ runtime can be linked in, it is.
static=
grep -qx 'RAMDISK_HAVE_STATIC_RUNTIME:INTERNAL=1' "$(dirname "$plugin")/CMakeCache.txt" 2>/dev/null && static=yes
needed=$(objdump -p "$plugin" | awk '$1 == "NEEDED" { print $2 }')
for library in $needed; do
  case $library in
    libstdc++.so.6 | libgcc_s.so.1) [ -z "$static" ] || fail "needs $library, which should be linked in" ;;
    libm.so.6 | libc.so.6 | ld-linux*) ;;
    libzstd.so.1) has_zstd || fail "needs libzstd, yet has no allocator=zstd" ;;
    *) fail "needs $library" ;;
  esac
done
# No search path of the machine where it was built.
! objdump -p "$plugin" | grep -E 'RPATH|RUNPATH' || fail "has a path to libraries in it"
