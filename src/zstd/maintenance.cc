#include "zstd/maintenance.h"

#include <algorithm>

namespace ramdisk {

bool Maintenance::do_first() {
  return tick_if_due() || (trainer_.due() && trainer_.train_if_due(time_, occasion()));
}

Maintenance::Totals Maintenance::current_totals() const {
  const PageStore::Totals packed = state_.pages.totals();
  return {packed.pages + packed.grouped, state_.table.stored_pages(), state_.pages.memory_bytes()};
}

// The worker declares itself quiet first and looks for reasons against it afterwards: see
// Background::try_quiet().
Workers::Delay Maintenance::do_last() {
  if (recompressor_.under_way()) return recompress();
  if (trainer_.renewing()) return renew();
  if (state_.write_cache.empty()) {
    if (upkeep_ == Upkeep::idle) return tidy_up();
    if (upkeep_ == Upkeep::tidy && !recompressor_.expects_more() && !relief_.trimmed()) {
      if (state_.background.try_quiet()) return Workers::kUntilWoken;
      upkeep_ = Upkeep::tidied;
    }
  }
  const auto delay = last_tick_ + state_.pace.tick - Clock::now();
  return std::max(Workers::Delay(1), std::chrono::duration_cast<Workers::Delay>(delay));
}

// ---- ticks

bool Maintenance::tick_if_due() {
  const auto now = Clock::now();
  if (now - last_tick_ < state_.pace.tick) return false;
  last_tick_ = now;
  tick();
  return true;
}

// A page is cold when nothing in its directory has been read or written for cold_ticks. The page
// table records the time at which a directory will be cold, so its clock runs cold_ticks ahead of
// time_.
void Maintenance::tick() {
  state_.table.set_time(state_.pace.cold_ticks + ++time_);
  state_.write_cache.tick();
  compactor_.set_limit();
  note_totals(current_totals());
  recompressor_.begin();
  {
    const Epoch::Guard guard(state_.epoch);
    state_.pages.dictionaries().sweep(guard);
  }
  state_.epoch.collect();
  trainer_.watch(state_.pages.totals());
}

void Maintenance::note_totals(const Totals& totals) {
  if (totals != totals_) {
    upkeep_ = Upkeep::changing;
  } else if (upkeep_ == Upkeep::changing) {
    upkeep_ = Upkeep::idle;
  } else if (upkeep_ == Upkeep::tidied) {
    upkeep_ = Upkeep::tidy;
  }
  totals_ = totals;
}

// ---- when there is nothing else to do

Workers::Delay Maintenance::recompress() {
  const Recompressor::Step step = recompressor_.step(time_);
  if (step.found) note_untidy();
  return step.delay;
}

Workers::Delay Maintenance::renew() {
  note_untidy();
  return Workers::Delay(trainer_.renew_some() == Trainer::Renewal::more ? 0 : 1);
}

// While nothing changes, there is no point in keeping gaps or free memory in reserve. Memory that
// another thread is returning at this moment is noticed at the next tick.
Workers::Delay Maintenance::tidy_up() {
  if (cleaner_.clean(Cleaner::Effort::all) == Cleaner::Cleaning::done) {
    return Workers::Delay::zero();
  }
  state_.epoch.collect();
  state_.pages.release_free_memory();
  upkeep_ = Upkeep::tidied;
  return Workers::Delay::zero();
}

}  // namespace ramdisk
