//! What mcflush knows of statistics by their names: which of them are counters, and how memcached_exporter names them.

use super::Group;

/// How a number behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatKind {
    /// It rises until the server is restarted.
    Counter,
    /// It rises and falls, or stays the same.
    Gauge,
    /// It is not known how it behaves.
    Untyped,
}

/// A statistic as a Prometheus metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric<'a> {
    /// The name without `memcached_`.
    pub name: String,
    pub labels: Vec<(&'static str, &'a str)>,
    pub kind: StatKind,
}

/// Statistics of the whole server: memcached's name, the metric's name, and its kind.
const GENERAL: &[(&str, &str, StatKind)] = &[
    ("accepting_conns", "accepting_connections", StatKind::Gauge),
    ("auth_cmds", "auth_commands_total", StatKind::Counter),
    ("auth_errors", "auth_errors_total", StatKind::Counter),
    ("bytes", "current_bytes", StatKind::Gauge),
    ("bytes_read", "read_bytes_total", StatKind::Counter),
    ("bytes_written", "written_bytes_total", StatKind::Counter),
    ("cmd_get", "gets_total", StatKind::Counter),
    ("cmd_meta", "meta_commands_total", StatKind::Counter),
    ("cmd_set", "sets_total", StatKind::Counter),
    ("cmd_touch", "touches_total", StatKind::Counter),
    ("conn_yields", "connections_yielded_total", StatKind::Counter),
    ("crawler_items_checked", "lru_crawler_items_checked_total", StatKind::Counter),
    ("crawler_reclaimed", "lru_crawler_reclaimed_total", StatKind::Counter),
    ("curr_connections", "current_connections", StatKind::Gauge),
    ("curr_items", "current_items", StatKind::Gauge),
    ("direct_reclaims", "direct_reclaims_total", StatKind::Counter),
    ("evicted_active", "items_evicted_active_total", StatKind::Counter),
    ("evicted_unfetched", "items_evicted_unfetched_total", StatKind::Counter),
    ("evictions", "items_evicted_total", StatKind::Counter),
    ("expired_unfetched", "items_expired_unfetched_total", StatKind::Counter),
    ("get_expired", "gets_expired_total", StatKind::Counter),
    ("get_flushed", "gets_flushed_total", StatKind::Counter),
    ("limit_maxbytes", "limit_bytes", StatKind::Gauge),
    ("listen_disabled_num", "connections_listener_disabled_total", StatKind::Counter),
    ("lru_crawler_starts", "lru_crawler_starts_total", StatKind::Counter),
    ("lru_maintainer_juggles", "lru_maintainer_juggles_total", StatKind::Counter),
    ("malloc_fails", "malloc_fails_total", StatKind::Counter),
    ("max_connections", "max_connections", StatKind::Gauge),
    ("moves_to_cold", "lru_crawler_moves_to_cold_total", StatKind::Counter),
    ("moves_to_warm", "lru_crawler_moves_to_warm_total", StatKind::Counter),
    ("moves_within_lru", "lru_crawler_moves_within_lru_total", StatKind::Counter),
    ("pid", "pid", StatKind::Gauge),
    ("read_buf_count", "read_buffers", StatKind::Gauge),
    ("reclaimed", "items_reclaimed_total", StatKind::Counter),
    ("rejected_connections", "connections_rejected_total", StatKind::Counter),
    ("response_obj_count", "response_objects", StatKind::Gauge),
    ("round_robin_fallback", "round_robin_fallback_total", StatKind::Counter),
    ("rusage_system", "process_system_cpu_seconds_total", StatKind::Counter),
    ("rusage_user", "process_user_cpu_seconds_total", StatKind::Counter),
    ("slabs_moved", "slabs_moved_total", StatKind::Counter),
    ("store_no_memory", "item_no_memory_total", StatKind::Counter),
    ("store_too_large", "item_too_large_total", StatKind::Counter),
    ("threads", "threads", StatKind::Gauge),
    ("time", "time_seconds", StatKind::Gauge),
    ("total_connections", "connections_total", StatKind::Counter),
    ("total_items", "items_total", StatKind::Counter),
    ("total_malloced", "malloced_bytes", StatKind::Gauge),
    ("unexpected_napi_ids", "unexpected_napi_ids_total", StatKind::Counter),
    // In microseconds; memcached_exporter's name does not say so.
    ("time_in_listen_disabled_us", "time_in_listen_disabled", StatKind::Untyped),
    // A counter, but its name lacks the suffix that counters must have.
    ("uptime", "uptime_seconds", StatKind::Untyped),
];

/// Settings.
const SETTINGS: &[(&str, &str, StatKind)] = &[
    ("hot_lru_pct", "lru_crawler_hot_percent", StatKind::Gauge),
    ("hot_max_factor", "lru_crawler_hot_max_factor", StatKind::Gauge),
    ("lru_crawler", "lru_crawler_enabled", StatKind::Gauge),
    ("lru_crawler_sleep", "lru_crawler_sleep", StatKind::Gauge),
    ("lru_crawler_tocrawl", "lru_crawler_to_crawl", StatKind::Gauge),
    ("lru_maintainer_thread", "lru_crawler_maintainer_thread", StatKind::Gauge),
    ("warm_lru_pct", "lru_crawler_warm_percent", StatKind::Gauge),
    ("warm_max_factor", "lru_crawler_warm_max_factor", StatKind::Gauge),
];

/// Statistics of a slab class: its items and its memory.
const OF_CLASS: &[(&str, &str, StatKind)] = &[
    ("age", "slab_items_age_seconds", StatKind::Gauge),
    ("age_hot", "slab_hot_age_seconds", StatKind::Gauge),
    ("age_warm", "slab_warm_age_seconds", StatKind::Gauge),
    ("chunk_size", "slab_chunk_size_bytes", StatKind::Gauge),
    ("chunks_per_page", "slab_chunks_per_page", StatKind::Gauge),
    ("crawler_reclaimed", "slab_items_crawler_reclaimed_total", StatKind::Counter),
    ("evicted", "slab_items_evicted_total", StatKind::Counter),
    ("evicted_nonzero", "slab_items_evicted_nonzero_total", StatKind::Counter),
    ("evicted_time", "slab_items_evicted_time_seconds", StatKind::Gauge),
    ("evicted_unfetched", "slab_items_evicted_unfetched_total", StatKind::Counter),
    ("expired_unfetched", "slab_items_expired_unfetched_total", StatKind::Counter),
    ("free_chunks", "slab_chunks_free", StatKind::Gauge),
    ("free_chunks_end", "slab_chunks_free_end", StatKind::Gauge),
    ("mem_requested", "slab_mem_requested_bytes", StatKind::Gauge),
    // As for uptime.
    ("moves_to_cold", "slab_items_moves_to_cold", StatKind::Untyped),
    ("moves_to_warm", "slab_items_moves_to_warm", StatKind::Untyped),
    ("moves_within_lru", "slab_items_moves_within_lru", StatKind::Untyped),
    ("number", "slab_current_items", StatKind::Gauge),
    ("number_cold", "slab_cold_items", StatKind::Gauge),
    ("number_hot", "slab_hot_items", StatKind::Gauge),
    ("number_temp", "slab_temporary_items", StatKind::Gauge),
    ("number_warm", "slab_warm_items", StatKind::Gauge),
    ("outofmemory", "slab_items_outofmemory_total", StatKind::Counter),
    ("reclaimed", "slab_items_reclaimed_total", StatKind::Counter),
    ("tailrepairs", "slab_items_tailrepairs_total", StatKind::Counter),
    ("total_chunks", "slab_current_chunks", StatKind::Gauge),
    ("total_pages", "slab_current_pages", StatKind::Gauge),
    ("used_chunks", "slab_chunks_used", StatKind::Gauge),
];

/// The metric of a statistic.
pub fn metric(group: Group, name: &str) -> Metric<'_> {
    let (class, of_class) = match (group, name.strip_prefix("items:").unwrap_or(name).split_once(':')) {
        (Group::Items | Group::Slabs, Some((class, of_class))) if is_number(class) => (Some(class), of_class),
        (Group::Conns, Some((connection, of))) if is_number(connection) => {
            let labels = vec![("connection", connection)];
            return Metric { name: format!("connection_{}", plain(of)), labels, kind: StatKind::Untyped };
        }
        (Group::Detail, _) => {
            let (prefix, counter) = name.rsplit_once(':').unwrap_or((name, "number"));
            let labels = vec![("prefix", prefix), ("command", counter)];
            return Metric { name: "prefix_commands_total".into(), labels, kind: StatKind::Counter };
        }
        (Group::Sizes, None) if is_number(name) => {
            return Metric { name: "items_of_size".into(), labels: vec![("bytes", name)], kind: StatKind::Gauge };
        }
        _ => (None, name),
    };
    let mut labels: Vec<_> = class.map(|class| ("slab", class)).into_iter().collect();
    if let Some((command, status)) = command(of_class) {
        labels.extend([("command", command), ("status", status)]);
        let name = if class.is_some() { "slab_commands_total" } else { "commands_total" };
        return Metric { name: name.into(), labels, kind: StatKind::Counter };
    }
    if let (Some(_), Some(lru)) = (class, of_class.strip_prefix("hits_to_")) {
        labels.push(("lru", lru));
        return Metric { name: "slab_lru_hits_total".into(), labels, kind: StatKind::Counter };
    }
    let (table, prefix) = match (group, class) {
        (_, Some(_)) => (OF_CLASS, "slab_"),
        (Group::Settings, _) => (SETTINGS, "setting_"),
        _ => (GENERAL, ""),
    };
    let known = table.iter().find(|(known, ..)| *known == of_class);
    let (name, kind) = match known {
        Some((_, name, kind)) => ((*name).to_owned(), *kind),
        None => (format!("{prefix}{}", plain(of_class)), StatKind::Untyped),
    };
    Metric { name, labels, kind }
}

/// Whether the sum over several servers has a meaning.
pub fn is_additive(group: Group, name: &str) -> bool {
    let last = name.rsplit(':').next().unwrap_or(name);
    match group {
        Group::Settings | Group::Conns => false,
        _ => !matches!(
            last,
            "pid"
                | "uptime"
                | "time"
                | "pointer_size"
                | "hash_power_level"
                | "accepting_conns"
                | "age"
                | "age_hot"
                | "age_warm"
                | "evicted_time"
                | "chunk_size"
                | "chunks_per_page"
                | "active_slabs"
                | "sizes_status"
        ),
    }
}

/// Whether the statistic is a number of bytes.
pub fn is_bytes(name: &str) -> bool {
    let last = name.rsplit(':').next().unwrap_or(name);
    let exceptions = ["mem_requested", "total_malloced", "item_size_max", "slab_chunk_max", "chunk_size"];
    exceptions.contains(&last) || last.split('_').any(|word| matches!(word, "bytes" | "maxbytes"))
}

/// The command and the outcome of a statistic such as `get_hits`.
fn command(name: &str) -> Option<(&str, &'static str)> {
    let (command, status) = name.rsplit_once('_')?;
    let status = match status {
        "hits" => "hit",
        "misses" => "miss",
        "badval" => "badval",
        _ => return if name == "cmd_flush" { Some(("flush", "hit")) } else { None },
    };
    matches!(command, "get" | "delete" | "incr" | "decr" | "cas" | "touch").then_some((command, status))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text with only the characters that a metric's name may have. Endings with a meaning in Prometheus are avoided.
fn plain(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    match plain.rsplit_once('_') {
        Some((_, "count" | "sum" | "bucket" | "total" | "info")) => format!("{plain}_value"),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_memcached_exporters() {
        for (group, name, metric_name, labels) in [
            (Group::General, "curr_items", "current_items", vec![]),
            (Group::General, "get_hits", "commands_total", vec![("command", "get"), ("status", "hit")]),
            (Group::General, "cmd_flush", "commands_total", vec![("command", "flush"), ("status", "hit")]),
            (Group::General, "cas_badval", "commands_total", vec![("command", "cas"), ("status", "badval")]),
            (Group::Items, "items:3:number", "slab_current_items", vec![("slab", "3")]),
            (Group::Items, "items:3:hits_to_hot", "slab_lru_hits_total", vec![("slab", "3"), ("lru", "hot")]),
            (Group::Slabs, "3:used_chunks", "slab_chunks_used", vec![("slab", "3")]),
            (Group::Slabs, "total_malloced", "malloced_bytes", vec![]),
            (Group::Sizes, "96", "items_of_size", vec![("bytes", "96")]),
            (Group::Settings, "lru_crawler", "lru_crawler_enabled", vec![]),
            (Group::Settings, "num_threads", "setting_num_threads", vec![]),
            (Group::Detail, "sh:op:get", "prefix_commands_total", vec![("prefix", "sh:op"), ("command", "get")]),
            (Group::Conns, "7:secs_since_last_cmd", "connection_secs_since_last_cmd", vec![("connection", "7")]),
            (Group::General, "New-Thing count", "new_thing_count_value", vec![]),
        ] {
            let metric = metric(group, name);
            assert_eq!((metric.name.as_str(), metric.labels), (metric_name, labels), "{name}");
        }
    }

    #[test]
    fn counters_are_named_as_counters() {
        for (_, name, kind) in GENERAL.iter().chain(SETTINGS).chain(OF_CLASS) {
            assert_eq!(name.ends_with("_total"), *kind == StatKind::Counter, "{name}");
        }
    }
}
