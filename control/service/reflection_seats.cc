#include "control/service/reflection_seats.h"

#include <grpcpp/server_context.h>

#include <optional>
#include <string_view>

#include "control/service/identity.h"

namespace portcullis::service {
namespace {

// Lives as long as the call. Whose certificate does not say who calls gets no seat.
class Seated final : public grpc::experimental::Interceptor {
 public:
  Seated(SeatsApart& seats, grpc::ServerContextBase& call) : seats_(seats), call_(call) {}
  // The handler of a call that is cancelled reads nothing more of it, and ends. Cancelling comes by here,
  // too.
  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    using Point = grpc::experimental::InterceptionHookPoints;
    if (batch->QueryInterceptionHookPoint(Point::POST_RECV_INITIAL_METADATA) && !take()) call_.TryCancel();
    batch->Proceed();
  }

 private:
  [[nodiscard]] bool take() {
    Expected<Seats::Seat> seat =
        identity_of(call_).and_then([&](const Identity& caller) { return seats_.take(caller); });
    if (seat) seat_.emplace(std::move(*seat));
    return seat.has_value();
  }

  SeatsApart& seats_;
  grpc::ServerContextBase& call_;
  std::optional<Seats::Seat> seat_;
};

}  // namespace

grpc::experimental::Interceptor* ReflectionSeats::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* call) {
  if (!std::string_view(call->method()).starts_with("/grpc.reflection.")) return nullptr;
  return new Seated(seats_, *call->server_context());
}

}  // namespace portcullis::service
