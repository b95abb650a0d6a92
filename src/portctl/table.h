// A table for people: a header, columns as wide as their widest cell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace portcullis::portctl {

class Table {
 public:
  enum class Align : uint8_t { left, right };  // right for numbers
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns);
  // One cell a column; an empty one is shown as "-".
  void add(std::vector<std::string> row);
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }
  [[nodiscard]] std::string to_string() const;

 private:
  std::vector<Align> aligns_;
  std::vector<std::vector<std::string>> rows_;  // the titles first
};

inline constexpr Table::Align right = Table::Align::right;

}  // namespace portcullis::portctl
