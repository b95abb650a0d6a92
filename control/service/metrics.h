// What ObserveService shows, for Prometheus to collect: each page asks the service anew, so both say the
// same. Thread: made and ended by the main thread; pages are made on threads of their own.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <string>
#include <vector>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

class Metrics final : public prometheus::Collectable {
 public:
  // `observe` outlives it.
  explicit Metrics(v1::ObserveService::Service& observe) : observe_(observe) {}
  // Names, units and meaning: docs/metrics.md. What the gateway does not answer (it stops) is left out.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  v1::ObserveService::Service& observe_;
};

// http://LISTEN/metrics, without TLS and open to all who reach it.
class MetricsPage {
 public:
  // `listen`: "127.0.0.1:9464"; port 0: any free one. failed_precondition if nobody can listen there.
  [[nodiscard]] static Expected<std::unique_ptr<MetricsPage>> start(const std::string& listen,
                                                                    v1::ObserveService::Service& observe);
  [[nodiscard]] int port() const { return exposer_.GetListeningPorts().front(); }

 private:
  MetricsPage(const std::string& listen, v1::ObserveService::Service& observe);

  std::shared_ptr<Metrics> metrics_;
  prometheus::Exposer exposer_;
};

}  // namespace portcullis::service
