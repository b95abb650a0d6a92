// A map in the order of its keys, in which one is found by hash: in a million a tree's path is a dozen cache
// misses. What is found stays where it is until it is erased.
#pragma once

#include <absl/container/flat_hash_set.h>
#include <absl/hash/hash.h>

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <map>
#include <stdexcept>
#include <utility>

#include "src/base/ahead.h"

namespace portcullis::model {

template <typename Key, typename Value, typename Hash = std::hash<Key>>
class IndexedMap {
  using Ordered = std::map<Key, Value>;

 public:
  using key_type = Key;
  using mapped_type = Value;
  using value_type = typename Ordered::value_type;
  using iterator = typename Ordered::iterator;
  using const_iterator = typename Ordered::const_iterator;

  IndexedMap() = default;
  IndexedMap(std::initializer_list<value_type> values) : ordered_(values) { index_all(); }
  IndexedMap(const IndexedMap& other) : ordered_(other.ordered_) { index_all(); }
  IndexedMap(IndexedMap&& other) noexcept = default;
  IndexedMap& operator=(const IndexedMap& other) { return *this = IndexedMap(other); }
  IndexedMap& operator=(IndexedMap&& other) noexcept = default;
  ~IndexedMap() = default;

  [[nodiscard]] iterator begin() { return ordered_.begin(); }
  [[nodiscard]] iterator end() { return ordered_.end(); }
  [[nodiscard]] const_iterator begin() const { return ordered_.begin(); }
  [[nodiscard]] const_iterator end() const { return ordered_.end(); }
  [[nodiscard]] size_t size() const { return ordered_.size(); }
  [[nodiscard]] bool empty() const { return ordered_.empty(); }
  [[nodiscard]] const_iterator lower_bound(const Key& key) const { return ordered_.lower_bound(key); }
  [[nodiscard]] const_iterator upper_bound(const Key& key) const { return ordered_.upper_bound(key); }

  [[nodiscard]] iterator find(const Key& key) {
    const auto found = index_.find(key);
    return found == index_.end() ? ordered_.end() : *found;
  }
  [[nodiscard]] const_iterator find(const Key& key) const {
    const auto found = index_.find(key);
    return found == index_.end() ? ordered_.end() : const_iterator(*found);
  }
  // Into the caches, for many keys, whose finds would wait for memory one after another: where a find()
  // begins; and, when that has come, what it finds.
  void prefetch(const Key& key) const { index_.prefetch(key); }
  void prefetch_value(const Key& key) const { static_cast<void>(index_.find(Ahead<Key>{key})); }
  [[nodiscard]] bool contains(const Key& key) const { return index_.contains(key); }
  // std::out_of_range if there is none.
  [[nodiscard]] Value& at(const Key& key) { return const_cast<Value&>(std::as_const(*this).at(key)); }
  [[nodiscard]] const Value& at(const Key& key) const {
    const auto found = find(key);
    if (found == end()) throw std::out_of_range("no such key");
    return found->second;
  }

  Value& operator[](const Key& key) {
    const auto found = find(key);
    return found == end() ? emplace(key, Value()).first->second : found->second;
  }
  // `hint`: before which it belongs, if it is new. Beyond the last one it is new, and is not looked for.
  void insert_or_assign(const_iterator hint, Key key, Value value) {
    const bool is_last = hint == end() && (empty() || std::prev(end())->first < key);
    if (const auto found = is_last ? end() : find(key); found != end())
      found->second = std::move(value);
    else
      index_.insert(ordered_.emplace_hint(hint, std::move(key), std::move(value)));
  }
  std::pair<iterator, bool> emplace(const Key& key, Value value) {
    const auto made = ordered_.emplace(key, std::move(value));
    if (made.second) index_.insert(made.first);
    return made;
  }
  size_t erase(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return 0;
    const iterator gone = *found;
    index_.erase(found);
    ordered_.erase(gone);
    return 1;
  }

  friend bool operator==(const IndexedMap& a, const IndexedMap& b) { return a.ordered_ == b.ordered_; }

 private:
  // Mixed: the table goes by all bits of it.
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(const Key& key) const { return absl::HashOf(Hash()(key)); }
    size_t operator()(const iterator& entry) const { return (*this)(entry->first); }
    size_t operator()(const Ahead<Key>& ahead) const { return (*this)(ahead.key); }
  };
  struct SameKey {
    using is_transparent = void;
    bool operator()(const iterator& a, const iterator& b) const { return a == b; }
    bool operator()(const iterator& a, const Key& b) const { return a->first == b; }
    bool operator()(const Key& a, const iterator& b) const { return a == b->first; }
    bool operator()(const iterator& a, const Ahead<Key>&) const {
      prefetch_object(*a);
      return false;
    }
  };

  void index_all() {
    index_.reserve(ordered_.size());
    for (iterator entry = ordered_.begin(); entry != ordered_.end(); ++entry) index_.insert(entry);
  }

  Ordered ordered_;
  absl::flat_hash_set<iterator, KeyHash, SameKey> index_;
};

}  // namespace portcullis::model
