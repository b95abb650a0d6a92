// How jemalloc keeps the control side's memory (jemalloc(3), TUNING).
//   thp                 in huge pages, where the system has them on demand: a million EIPs are 3 GB, which
//   are
//                       touched for the first time at the start, 4 KiB by 4 KiB otherwise
//   dirty_decay_ms      what is free goes back to the system after so long. Each batch of lists takes and
//   gives
//                       back megabytes, and would be given cleared pages for them again and again
//   oversize_threshold  also what is large, which would go back at once
extern "C" {
// Read by jemalloc before main().
const char* malloc_conf = "thp:always,metadata_thp:auto,dirty_decay_ms:60000,oversize_threshold:0";
}
