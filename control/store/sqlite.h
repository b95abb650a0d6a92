// A thin owner of SQLite's handles. Results are SQLite's codes; sqlite_store turns them into errors.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace portcullis::store {

class Statement {
 public:
  Statement() = default;
  // On error is_valid() is false and the connection has the message.
  Statement(sqlite3* connection, const char* sql);
  [[nodiscard]] bool is_valid() const { return handle_ != nullptr; }

  // Parameters count from 1, columns from 0. Bound bytes must live until reset().
  void bind(int parameter, int64_t value) { sqlite3_bind_int64(handle_.get(), parameter, value); }
  // False when the bytes exceed what SQLite takes.
  [[nodiscard]] bool bind(int parameter, std::string_view bytes);
  [[nodiscard]] int step() { return sqlite3_step(handle_.get()); }
  void reset();
  [[nodiscard]] int64_t integer(int column) const { return sqlite3_column_int64(handle_.get(), column); }
  // Valid until the next step() or reset().
  [[nodiscard]] std::string_view bytes(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

class Connection {
 public:
  // `vfs` empty: SQLite's default. On error result() is not SQLITE_OK.
  Connection(const std::string& path, const std::string& vfs);
  [[nodiscard]] int result() const { return result_; }
  [[nodiscard]] sqlite3* handle() const { return handle_.get(); }
  // Runs statements that give no rows worth reading.
  [[nodiscard]] int execute(const char* sql) const {
    return sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  }
  // SQLite's words for the last failure.
  [[nodiscard]] std::string message() const { return sqlite3_errmsg(handle_.get()); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  int result_ = SQLITE_OK;
  std::unique_ptr<sqlite3, Close> handle_;
};

}  // namespace portcullis::store
