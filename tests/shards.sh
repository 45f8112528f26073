#!/bin/sh
# What CTest's last run of a build did with tests that run many in one process: it prints how many ran,
# which were skipped, which failed and which did not end.
# Usage: sh tests/shards.sh BUILD-DIRECTORY PROGRAM...
# EMULATOR is a command to run the PROGRAMs with, if this machine cannot run them itself.
# Exits with 1 unless as many ran as the PROGRAMs list (with GTEST_FILTER, if that is set).
set -u
build=$1
shift
log=$build/Testing/Temporary/LastTest.log

listed=0
for program; do
  number=$(${EMULATOR:-} "$build/tests/${program%_test}/$program" --gtest_list_tests | grep -c '^  ')
  [ "$number" -gt 0 ] || { echo "$program: no test is selected"; exit 1; }
  listed=$((listed + number))
done

awk -v listed="$listed" '
  function ends() {
    if (running != "") unfinished[running] = 1
    running = ""
  }
  /^[0-9]+\/[0-9]+ Testing: / { ends(); shard = $3 ~ /[.]shard_/ }
  shard && /^\[=+\] [0-9]+ tests? from .* ran\./ { ran += $2 }
  shard && /^\[ RUN      \] / { running = $4 }
  /^\[       OK \] / || /^\[  (SKIPPED|FAILED ) \] / { running = "" }
  # The lists at the end name each once more, without a time or a parameter.
  /^\[  SKIPPED \] [^ ,]+$/ { skipped[$4] = 1 }
  /^\[  FAILED  \] [^ ,]+(, where .*)?$/ { name = $4; sub(/,$/, "", name); failed[name] = 1 }
  END {
    ends()
    for (name in skipped) print "skipped: " name
    for (name in failed) print "failed: " name
    for (name in unfinished) print "failed: " name " (did not end)"
    printf "%d tests ran, of %d that there are\n", ran, listed
    exit ran != listed
  }' "$log"
