// How jemalloc keeps the control side's memory (jemalloc(3), TUNING).
//
// In huge pages, where the system has them on demand (thp): a million EIPs are 2.3 GB, which the start
// touches for the first time, 4 KiB by 4 KiB otherwise. What is free goes back to the system after a minute
// (dirty_decay_ms), what is large, too, and not at once (oversize_threshold): each batch of lists takes
// megabytes and gives them back, and would be given cleared pages again and again. For the same reason there
// is one arena: one whose last thread ends gives all back at once, and a start decodes in threads that end.
extern "C" {
// Read by jemalloc before main().
const char* malloc_conf = "thp:always,metadata_thp:auto,narenas:1,dirty_decay_ms:60000,oversize_threshold:0";
}
