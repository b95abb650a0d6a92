#include "src/portctl/table.h"

#include <algorithm>
#include <utility>

namespace portcullis::portctl {

Table::Table(std::vector<Column> columns) : rows_(1) {
  for (Column& column : columns) {
    aligns_.push_back(column.align);
    rows_.front().push_back(std::move(column.title));
  }
}

void Table::add(std::vector<std::string> row) {
  row.resize(aligns_.size());
  for (std::string& cell : row) {
    if (cell.empty()) cell = "-";
  }
  rows_.push_back(std::move(row));
}

std::string Table::to_string() const {
  std::vector<size_t> widths(aligns_.size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      const bool last = i + 1 == row.size();
      if (i != 0) text += "  ";
      if (aligns_[i] == Align::right) {
        text += padding + row[i];
      } else {
        text += last ? row[i] : row[i] + padding;
      }
    }
    text += '\n';
  }
  return text;
}

}  // namespace portcullis::portctl
