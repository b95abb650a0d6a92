// The service manager's notification protocol, sd_notify(3): one datagram to the socket in $NOTIFY_SOCKET.
#pragma once

#include <string_view>

namespace portcullis {

// "READY=1", "STOPPING=1". Nothing happens without a service manager.
void notify_service_manager(std::string_view state);

}  // namespace portcullis
