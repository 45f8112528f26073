// EXPECT_DCHECK(statement, text): the statement breaks an invariant that only some builds check.

#ifndef RAMDISK_UNIT_EXPECT_DCHECK_H
#define RAMDISK_UNIT_EXPECT_DCHECK_H

#include <gtest/gtest.h>

// A build without DCHECK would carry out the misuse, so there the statement is only compiled.
#ifdef RAMDISK_CHECKS
#define EXPECT_DCHECK(statement, text) EXPECT_DEATH(statement, text)
#else
#define EXPECT_DCHECK(statement, text) static_cast<void>([&] { statement; })
#endif

#endif
