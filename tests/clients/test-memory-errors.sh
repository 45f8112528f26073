#!/usr/bin/env bash
# Proves that a wrong parameter is reported once, with its name, its value and what would be right.
. "$(dirname "$0")/functions.sh"

# refused "PATTERN..." ARGUMENT...: nbdkit prints one line that holds all of the patterns.
refused() {
  local patterns=$1 errors pattern
  shift
  errors=$(errors_of "$@")
  [ "$(wc -l <<<"$errors")" -eq 1 ] || fail "not one line for '$*': $errors"
  for pattern in $patterns; do
    grep -qF -- "$pattern" <<<"$errors" || fail "'$pattern' is not in the error for '$*': $errors"
  done
  echo "$* -> $errors"
}

names="sparse malloc zstd"
refused "allocator=foo unknown allocator \"foo\" $names" 1M allocator=foo
refused "allocator= missing $names" 1M allocator=
refused "allocator=,mlock=true missing $names" 1M allocator=malloc allocator=,mlock=true
for prefix in s spars sparse2 SPARSE m mallo z zst zstd3; do
  refused "allocator=$prefix unknown mean $names" 1M "allocator=$prefix"
done
for blank in 'sparse ' ' sparse'; do
  refused "allocator=$blank blanks mean allocator=sparse?" 1M "allocator=$blank"
done

refused 'allocator=sparse level option allocator=zstd mlock' 1M allocator=sparse,level=3
refused 'allocator=sparse unknown option "x" mlock' 1M allocator=sparse,x=1
refused 'allocator=malloc level option allocator=zstd mlock=' 1M allocator=malloc,level=3
refused 'allocator=malloc unknown option "mloc" mean mlock?' 1M allocator=malloc,mloc=true
refused 'allocator=malloc, no option last comma' 1M allocator=malloc,
refused 'allocator=malloc,,mlock=true no option between' 1M allocator=malloc,,mlock=true

for value in maybe 2 '' tru; do
  refused "mlock=$value true false" 1M "allocator=malloc,mlock=$value"
  refused "mlock=$value true false" 1M allocator=malloc "mlock=$value"
done
refused "mlock=true true false" 1M allocator=malloc 'mlock=true '

refused 'unknown parameter foo size allocator mlock max-memory dump' 1M foo=1

# What people write who mean something else: the hint is told through nbdkit, too. The table of all is in
# src/plugin/config_test.cc.
refused 'level option allocator=zstd,level=9' 1M allocator=zstd level=9
refused 'mlock NAME=VALUE mlock=true' 1M mlock
refused 'NAME=VALUE allocator=zstd,level=9' 1M zstd,level=9
refused 'mlok mean mlock?' 1M mlok=true
refused 'allocator=zstd, no option comma blank' 1M allocator=zstd, level=3
refused 'size=1GB one letter size=1G' 1GB
refused 'max-memory=lots size none' 1M max-memory=lots
refused 'size=foo number bytes' foo

if has_zstd; then
  refused 'allocator=zstd unknown option "mloc" level' 1M allocator=zstd,mloc=true
  for level in 23 -999999 99999999999999999999 3x x '' 3.5 true; do
    refused "allocator=zstd level=$level 22" 1M "allocator=zstd,level=$level"
  done
  refused 'allocator=zstd level= 22' 1M allocator=zstd,level
  refused 'allocator=zstd level=9 blanks mean allocator=zstd,level=9?' 1M 'allocator=zstd,level= 9'
  for size in '' -1 x 1X 64MB 1.5M 99999999999999999999 16E; do
    refused "allocator=zstd cache=$size bytes" 1M "allocator=zstd,cache=$size"
  done
  refused 'allocator=zstd cache= bytes' 1M allocator=zstd,cache
  refused 'allocator=zstd recompress=maybe' 1M allocator=zstd,recompress=maybe
  refused 'allocator=sparse cache option allocator=zstd mlock' 1M allocator=sparse,cache=1M
else
  refused 'allocator=zstd without zstd sparse malloc' 1M allocator=zstd
fi

# More memory than there can be is refused when nbdkit starts.
refused 'allocator=malloc 4611686018427387904 (4 EiB)' 4E allocator=malloc

# The message names what was asked for and what there is.
total=$(awk '/^(MemTotal|SwapTotal):/ { kib += $2 } END { printf "%.0f", kib * 1024 }' /proc/meminfo)
refused "allocator=malloc $((total + 1))" "$((total + 1))" allocator=malloc
left=$(errors_of "$((total + 1))" allocator=malloc | sed -n 's/.*: \([0-9]*\) bytes.* are left (.*/\1/p')
[ "${left:-0}" -gt 0 ] || fail "the error does not say how much there is"
[ "$left" -le "$total" ] || fail "the error says that there are $left bytes of $total"
