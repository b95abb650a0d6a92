#include "control/store/errors.h"

#include <sqlite3.h>

#include <utility>

namespace portcullis::store {

Unexpected damage(std::string what) {
  return fail(ErrorCode::internal, std::move(what));
}

Unexpected failure(const std::string& path, const std::string& what, int result) {
  const std::string why = "cannot " + what + " in the store " + path + ": " + sqlite3_errstr(result);
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
      return damage("cannot " + what + ": " + sqlite3_errstr(result));
    case SQLITE_NOTADB:
      return fail(ErrorCode::failed_precondition,
                  path + " is not a Portcullis store (no SQLite file); give another store path");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorCode::failed_precondition, why + "; another program has it open, stop that first");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return fail(ErrorCode::failed_precondition, why + "; the file and its directory must be writable");
    case SQLITE_TOOBIG:
      return fail(ErrorCode::resource_exhausted, why + "; split the change into smaller ones");
    case SQLITE_FULL:
      return fail(ErrorCode::resource_exhausted, why + "; make room on its disk and try again");
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return fail(ErrorCode::unavailable, why + "; check its disk and try again");
    default:
      return damage("cannot " + what + ": " + sqlite3_errstr(result));
  }
}

Unexpected explained(const std::string& path, const Error& error) {
  if (error.code != ErrorCode::internal) return Unexpected(error);
  return fail(ErrorCode::internal, "the store " + path + " is damaged: " + error.message +
                                       "; it was left as it is: 'portcullisd --check-store " + path +
                                       "' says what is lost and how to go on, or restore a backup");
}

}  // namespace portcullis::store
