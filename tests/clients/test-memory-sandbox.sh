#!/usr/bin/env bash
# Proves that every allocator starts, serves and keeps data where a sandbox or an old kernel refuses
# a system call that can be done without, whatever error it gives; that nbdkit's log says what the
# disk does without; and that mlock=true says truly why it fails.
. "$(dirname "$0")/functions.sh"
requires cc nbdsh

cc -O2 -o "$dir/deny" "$(dirname "$0")/deny.c" 2>"$dir/errors" ||
  skip "the test's program cannot be built: $(cat "$dir/errors")"
"$dir/deny" EPERM populate true 2>"$dir/errors" ||
  skip "system calls cannot be denied here: $(cat "$dir/errors")"
nbdkit_program=$(command -v nbdkit)
errors='EPERM ENOSYS EINVAL'
# Every nbdkit from here on may not make the calls in $denied, which give $error.
denied=
error=
nbdkit() {
  [ -n "$denied" ] || exec "$nbdkit_program" "$@"
  exec "$dir/deny" "$error" "$denied" "$nbdkit_program" "$@"
}
all_allocators=$(allocators)

# Whether the log of the last server has something to say about a call.
said() { grep -qF "the system refuses $1 " "$dir/log"; }

# serve ALLOCATOR [ARGUMENT]...: a server of that kind holds what is written.
serve() {
  start_nbdkit 100M "allocator=$@" 2>"$dir/log"
  check_disk "$1"
  stop_nbdkit
}

# name_of CALL: how the log names it.
name_of() {
  case $1 in
    populate) echo 'madvise(MADV_POPULATE_WRITE)' ;;
    mlock2) echo 'mlock2(MLOCK_ONFAULT)' ;;
    *) echo "madvise(MADV_${1^^})" ;;
  esac
}

# used_by ALLOCATOR CALL: malloc takes all its memory at once, and gives none back.
used_by() {
  case $1-$2 in
    malloc-nohugepage | malloc-dontneed | malloc-free | malloc-mlock2) false ;;
    *-membarrier | *-sched_*) false ;;
  esac
}

nbdkit_options=(-v)
for allocator in $all_allocators; do
  for denied in populate hugepage nohugepage dontneed free dontdump membarrier sched_setaffinity \
    sched_getaffinity; do
    for error in $errors; do
      serve "$allocator"
      ! used_by "$allocator" "$denied" || said "$(name_of "$denied")" ||
        fail "allocator=$allocator without $denied ($error): the log says nothing"
    done
  done
  echo "allocator=$allocator: served without each call"
done

# All of them at once; what breaks a promise of the manual is said without -v, and once.
nbdkit_options=()
denied=populate,hugepage,nohugepage,dontneed,free,dontdump
denied+=,membarrier,sched_setaffinity,sched_getaffinity
for allocator in $all_allocators; do
  for error in $errors; do
    serve "$allocator"
    expect_lines "allocator=$allocator, $error" "$(cat "$dir/log")" \
      'MADV_DONTDUMP.*a core dump of the process would hold the disk'
    [ "$(grep -c DONTDUMP "$dir/log")" -eq 1 ] || fail "more than one line: $(cat "$dir/log")"
    ! said 'madvise(MADV_POPULATE_WRITE)' || fail "the log is loud without -v: $(cat "$dir/log")"
  done
done

# ---- locked memory

# Whoever may not lock anything here learns nothing from the rest.
("$nbdkit_program" -U "$(fresh_socket)" "$plugin" 1M allocator=malloc mlock=true --run true) \
  2>"$dir/errors" || skip "the disks serve; memory cannot be locked here: $(cat "$dir/errors")"

nbdkit_options=(-v)
for allocator in $all_allocators; do
  for denied in mlock2 dontneed_locked; do
    for error in $errors; do
      serve "$allocator" mlock=true
      [ "$allocator" = malloc ] || said "$(name_of "$denied")" ||
        fail "allocator=$allocator,mlock without $denied ($error): the log says nothing"
    done
  done
  # The reason is neither the limit nor the user.
  denied=mlock2,mlock
  for error in $errors; do
    refusal=$(errors_of 1M "allocator=$allocator" mlock=true)
    expect_lines "allocator=$allocator,mlock: $error" "$refusal" 'mlock=true: cannot lock' \
      'the call mlock is refused, perhaps by a sandbox'
    ! grep -q 'ulimit' <<<"$refusal" || fail "it is not the limit: $refusal"
  done
done
