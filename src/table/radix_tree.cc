#include "table/radix_tree.h"

#include <bit>
#include <new>

#include "base/check.h"
#include "base/yield.h"

namespace ramdisk {

RadixTree::RadixTree(SlabAllocator& nodes, uint64_t keys) : nodes_(nodes), keys_(keys) {
  CHECK(keys >= 1 && nodes.block_bytes() >= kNodeBytes);
  const unsigned bits = static_cast<unsigned>(std::bit_width(keys - 1));
  top_ = bits <= kBits ? 0 : (bits - 1) / kBits;
}

// Acquire pairs with the release stores of insert(): what a slot points to is complete.
RadixTree::Entry* RadixTree::find(uint64_t key) const {
  if (key >= keys_) return nullptr;
  const Node* node = &root_;
  for (unsigned level = top_;; --level) {
    const uintptr_t slot = node->slots[digit(key, level)].load(std::memory_order_acquire);
    if (slot == 0) return nullptr;
    if (Entry* entry = entry_in(slot)) return entry->key == key ? entry : nullptr;
    DCHECK(level > 0);
    node = reinterpret_cast<const Node*>(slot);
  }
}

RadixTree::Entry* RadixTree::next(uint64_t key) const {
  return key < keys_ ? next_in(root_, top_, key) : nullptr;
}

// Right of the key's own digit every entry is larger, so the search there starts at key 0.
RadixTree::Entry* RadixTree::next_in(const Node& node, unsigned level, uint64_t key) const {
  const size_t own = digit(key, level);
  for (size_t i = own; i < kFanout; ++i) {
    const uintptr_t slot = node.slots[i].load(std::memory_order_acquire);
    if (slot == 0) continue;
    if (Entry* entry = entry_in(slot)) {
      if (i > own || entry->key >= key) return entry;
      continue;
    }
    DCHECK(level > 0);
    const Node& child = *reinterpret_cast<const Node*>(slot);
    if (Entry* entry = next_in(child, level - 1, i > own ? 0 : key)) return entry;
  }
  return nullptr;
}

// Release: what the slot points to is complete.
void RadixTree::set(Slot& slot, uintptr_t value) {
  slot.store(value, std::memory_order_release);
  RAMDISK_YIELD("RadixTree::set");
}

RadixTree::Node* RadixTree::make_node(Claim claim) {
  const SlabAllocator::Run run = nodes_.allocate(1, claim);
  return run.base ? new (run.base) Node : nullptr;
}

RadixTree::Entry* RadixTree::insert(Entry* entry, Claim claim) {
  CHECK(entry->key < keys_ && reinterpret_cast<uintptr_t>(entry) % alignof(Entry) == 0);
  Node* node = &root_;
  unsigned level = top_;
  for (;;) {
    Slot& slot = node->slots[digit(entry->key, level)];
    const uintptr_t now = slot.load(std::memory_order_relaxed);
    if (now == 0) {
      DCHECK(node->used < kFanout);
      ++node->used;
      set(slot, slot_for(entry));
      return entry;
    }
    if (Entry* other = entry_in(now)) {
      if (other->key == entry->key) return other;
      // The two entries share this slot: the other one moves to a new node below it, and the search
      // goes on there. If memory runs out half-way, the tree is only deeper than it need be.
      CHECK(level > 0);
      Node* fresh = make_node(claim);
      if (!fresh) return nullptr;
      set(fresh->slots[digit(other->key, level - 1)], now);
      fresh->used = 1;
      set(slot, reinterpret_cast<uintptr_t>(fresh));
      node = fresh;
    } else {
      node = reinterpret_cast<Node*>(now);
    }
    --level;
  }
}

void RadixTree::erase(uint64_t key, const Epoch::Guard& guard) {
  if (key < keys_) erase_in(root_, top_, key, guard);
}

void RadixTree::erase_in(Node& node, unsigned level, uint64_t key, const Epoch::Guard& guard) {
  DCHECK(level <= top_);
  Slot& slot = node.slots[digit(key, level)];
  const uintptr_t now = slot.load(std::memory_order_relaxed);
  if (now == 0) return;
  if (const Entry* entry = entry_in(now)) {
    if (entry->key != key) return;
  } else {
    Node& child = *reinterpret_cast<Node*>(now);
    erase_in(child, level - 1, key, guard);
    if (child.used > 0) return;
    std::byte* block = reinterpret_cast<std::byte*>(&child);
    DCHECK(node.used > 0);
    --node.used;
    set(slot, 0);
    nodes_.retire({&block, 1}, guard);
    return;
  }
  DCHECK(node.used > 0);
  --node.used;
  set(slot, 0);
}

}  // namespace ramdisk
