#!/usr/bin/env bash
# Proves that size= takes what it should, that the last one counts, and what it refuses.
. "$(dirname "$0")/functions.sh"
requires nbdinfo

# size_is BYTES ARGUMENT...: the size that a client sees.
size_is() {
  local expected=$1 got
  shift
  got=$(nbdkit -U - "$plugin" "$@" --run 'nbdinfo --size "$uri"')
  [ "$got" = "$expected" ] || fail "the size with '$*' is $got and should be $expected"
}

size_is 0 0
size_is 1 1
size_is 0 size=0
size_is 1000001 1000001
size_is 1048576 1M
size_is 512 size=1s
size_is 8070450532247928832 7E
size_is 9223372036854775807 9223372036854775807
size_is 9223372036854775807 $((2 ** 63 - 1)) allocator=sparse
size_is 2097152 1M 2M
size_is 1048576 size=2M size=1M
size_is 3145728 2M size=1M size=3M
size_is 0 allocator=malloc 0
size_is 1048576 allocator=malloc 1M
if has_zstd; then
  size_is 0 0 allocator=zstd
  size_is 9223372036854775807 9223372036854775807 allocator=zstd
fi

# refused PATTERN ARGUMENT...
refused() {
  local pattern=$1 errors
  shift
  errors=$(errors_of "$@")
  [ "$(wc -l <<<"$errors")" -eq 1 ] || fail "not one line for '$*': $errors"
  expect_lines "$*" "$errors" "$pattern"
}

refused 'must specify size=.*load=.*image=.*exports='
refused 'must specify size=' allocator=sparse
refused 'size=: the size is missing' size=
refused 'size=abc: must be a number of bytes' size=abc
refused 'size=GB: must be a number of bytes' GB
refused 'size cannot be negative' size=-1
refused 'the largest size is 9223372036854775807' 9223372036854775808
refused 'size=8E: the largest size is 9223372036854775807' 8E
refused 'size=1.5G: must be a whole number, as in size=1536M' 1.5G
refused 'size=1x: must be a number of bytes.*K, M, G, T, P or E' 1x
refused 'size=1Mfoo: must be a number of bytes' 1Mfoo
# A wrong one counts even if a right one follows.
refused 'size=abc: must be a number of bytes' size=abc size=1M
