// Trainer: when all generations of dictionaries are in use, old pages are compressed again until
// one is free.

#include "zstd/trainer.h"

#include <gtest/gtest.h>

#include "unit/still_disk.h"

namespace ramdisk {
namespace {

class TrainerTest : public unit::StillDisk {
 protected:
  // Has three pages use each generation that there is, a hundred pages apart.
  void use_all_generations() {
    while (dictionaries_.has_free_generation() && !HasFatalFailure()) {
      install_dictionary();
      for (uint64_t i = 0; i < 3; ++i, ++pages_) write_text(pages_ * 100);
    }
    for (size_t i = 0; i < TrainingSamples::kMost; ++i) state_.samples.add(0);
  }

  // A renewal takes a few steps for each page; returns its outcome, or more if it does not end.
  Trainer::Renewal renew_all() {
    Trainer::Renewal step = Trainer::Renewal::more;
    for (int steps = 0; step == Trainer::Renewal::more && steps < 10000; ++steps) {
      step = trainer_.renew_some();
    }
    return step;
  }

  void sweep() {
    {
      const Epoch::Guard guard(state_.epoch);
      dictionaries_.sweep(guard);
    }
    state_.epoch.collect();
  }

  using enum Trainer::Occasion;

  Dictionaries& dictionaries_ = state_.pages.dictionaries();
  Trainer trainer_{state_};
  uint64_t pages_ = 0;  // every hundredth one of the disk
};

TEST_F(TrainerTest, RenewalFreesOldGenerations) {
  use_all_generations();
  EXPECT_FALSE(trainer_.train_if_due(1, regrouping)) << "there is no generation for it";
  ASSERT_TRUE(trainer_.renewing());
  EXPECT_EQ(renew_all(), Trainer::Renewal::done);
  EXPECT_FALSE(trainer_.renewing());
  for (uint64_t i = 0; i < pages_; ++i) {
    EXPECT_EQ(entry(i * 100).generation(), dictionaries_.current()) << "page " << i * 100;
  }
  expect_written();
  sweep();
  EXPECT_EQ(dictionaries_.count(), 1u);
  EXPECT_TRUE(dictionaries_.has_free_generation());
}

// Pages from which samples are to be taken may be overwritten or trimmed before that.
TEST_F(TrainerTest, WithoutEnoughSamplesItTriesAgain) {
  for (uint64_t page = 0; page < TrainingSamples::kMost; ++page) state_.samples.add(page);
  EXPECT_FALSE(trainer_.train_if_due(1, regrouping)) << "none of these pages exists";
  for (uint64_t page = 0; page < TrainingSamples::kMost; ++page) write_text(page);
  EXPECT_FALSE(trainer_.train_if_due(2, idle)) << "nothing has been compressed since";
  for (uint64_t page = 0; page < 256; ++page) state_.samples.add(page);
  EXPECT_TRUE(trainer_.train_if_due(3, idle));
  EXPECT_EQ(dictionaries_.count(), 1u);
}

// Groups are made without a dictionary, so a load of them is not held up by training one. Half of
// the samples are pages that were compressed by themselves, as if the others were groups.
TEST_F(TrainerTest, ALoadOfGroupsTrainsNoDictionary) {
  for (uint64_t page = 0; page < TrainingSamples::kMost / 2; ++page) write_text(page);
  for (uint64_t i = 0; i < TrainingSamples::kMost; ++i) {
    state_.samples.add(i % (TrainingSamples::kMost / 2));
  }
  ASSERT_TRUE(trainer_.due());
  EXPECT_FALSE(trainer_.train_if_due(1, busy));
  EXPECT_FALSE(trainer_.train_if_due(2, idle)) << "nothing would be compressed with it";
  EXPECT_EQ(dictionaries_.count(), 0u);
  EXPECT_TRUE(trainer_.train_if_due(2, regrouping));
  EXPECT_EQ(dictionaries_.count(), 1u);
}

// Data that keeps changing is not a reason to train all the time.
TEST_F(TrainerTest, ALaterOneIsPatientUnlessTheDiskIsIdle) {
  for (uint64_t page = 0; page < TrainingSamples::kMost; ++page) {
    write_text(page);
    state_.samples.add(page);
  }
  ASSERT_TRUE(trainer_.train_if_due(1, busy));
  while (!trainer_.due()) state_.samples.add(state_.samples.added() % TrainingSamples::kMost);
  EXPECT_FALSE(trainer_.train_if_due(2, busy));
  EXPECT_FALSE(trainer_.train_if_due(2, regrouping));
  EXPECT_FALSE(trainer_.train_if_due(30, regrouping));
  EXPECT_TRUE(trainer_.train_if_due(31, regrouping));
  while (!trainer_.due()) state_.samples.add(state_.samples.added() % TrainingSamples::kMost);
  EXPECT_TRUE(trainer_.train_if_due(32, idle));
}

TEST_F(TrainerTest, ALoadOfSinglePagesTrainsAtOnce) {
  for (uint64_t page = 0; page < TrainingSamples::kMost; ++page) {
    write_text(page);
    state_.samples.add(page);
  }
  EXPECT_TRUE(trainer_.train_if_due(1, busy));
  EXPECT_EQ(dictionaries_.count(), 1u);
}

TEST_F(TrainerTest, OneRenewalInATick) {
  use_all_generations();
  for (uint32_t tick = 1; tick <= 2; ++tick) {
    trainer_.train_if_due(tick, regrouping);
    EXPECT_TRUE(trainer_.renewing());
    EXPECT_EQ(renew_all(), Trainer::Renewal::done);
    trainer_.train_if_due(tick, regrouping);
    EXPECT_FALSE(trainer_.renewing());
  }
}

}  // namespace
}  // namespace ramdisk
