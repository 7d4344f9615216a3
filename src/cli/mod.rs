//! The command line: arguments in, one line for each server out, and an exit status that scripts can trust.

mod access;
mod advice;
mod args;
mod completions;
mod config;
mod confirm;
mod hot;
mod json;
mod keys;
mod keys_from;
mod lines;
mod namespaces;
mod packaging;
mod page;
mod progress;
mod report;
mod screen;
mod secret;
mod servers;
mod signals;
mod sink;
mod stats;
mod text;
mod unmatched;
mod verbose;
mod when;
mod work;

use std::collections::HashMap;
use std::process::ExitCode;

use mcflush::address::{ServerName, Target};
use mcflush::ops::{Context, Stop};
use mcflush::resolver::{Resolver, dns::Dns};
use tokio::time::Instant;

use self::args::{Command, Invocation};
use self::json::Document;
use self::progress::Progress;
use self::report::Report;
use self::screen::{complain, tell};
use self::verbose::Verbose;
use self::when::When;
use self::work::Work;

/// The command line, the config file or an address is wrong, or no server is named; mcflush sent nothing.
const WRONG_USE: u8 = 2;

/// Runs the command.
pub fn main() -> ExitCode {
    screen::color(args::color_asked());
    let invocation = match args::parse() {
        Ok(invocation) => invocation,
        Err(refusal) => return refusal.print(),
    };
    // The work on one server is one task: a second thread would only take time to start. A list can hold many servers.
    let mut runtime = match &invocation.servers[..] {
        [Target { name: ServerName::One(_), .. }] => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("io: cannot start ({error}): free some memory or threads and run it again"));
            return ExitCode::from(1);
        }
    };
    let status = runtime.block_on(run(invocation));
    // A name that is still being resolved must not delay the end of the process.
    runtime.shutdown_background();
    status
}

async fn run(invocation: Invocation) -> ExitCode {
    let Invocation {
        command,
        servers,
        mut accesses,
        asks,
        dns,
        shard,
        stagger,
        jobs,
        patience,
        deadline,
        quiet,
        json,
        verbose,
        appearance,
        hosts,
        is_escaped,
    } = invocation;
    screen::color(appearance.color);
    let stop = Stop::default();
    let signal = match signals::watch(stop.clone()) {
        Ok(signal) => signal,
        Err(error) => {
            complain(&format!("io: cannot watch for signals ({error}): run it again"));
            return ExitCode::from(1);
        }
    };
    // A deadline beyond the range of the clock is no deadline.
    let deadline = deadline.and_then(|time| Instant::now().checked_add(time));
    if let Some(deadline) = deadline {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            stop.cancel();
        });
    }
    let resolver = match dns.map(Dns::at).transpose() {
        Ok(dns) => dns.map(Resolver::asking).unwrap_or_default(),
        Err(error) => {
            complain(&format!("io: cannot ask a DNS server ({error}): unset MCFLUSH_DNS"));
            return ExitCode::from(1);
        }
    };
    let context = Context::default()
        .with_patience(patience)
        .with_resolver(resolver)
        .with_stop(stop)
        .with_deadline(deadline.map(Instant::into_std));
    let is_verbose = verbose > 0;
    let mut servers = match servers::expanded(servers, &context, &mut accesses, is_verbose).await {
        Ok(servers) => servers,
        Err(line) => {
            complain(&line);
            return ExitCode::from(signal.caught().unwrap_or(WRONG_USE));
        }
    };
    if shard.is_some() {
        servers.sort_unstable();
    } else {
        servers = servers::distinct(servers, &context, jobs, is_verbose).await;
    }
    // Computed for the whole list, so that the jobs of an array do not each flush a server at the same time.
    let delays = match &command {
        Command::Flush(how) => args::staggered(&servers, work::delay(*how), stagger),
        _ => Ok(HashMap::new()),
    };
    let delays = match delays {
        Ok(delays) => delays,
        Err(line) => {
            complain(&line);
            return ExitCode::from(WRONG_USE);
        }
    };
    if let Some(shard) = shard {
        // The parts are made by the servers' spellings, so that they fit together even if one machine cannot resolve a
        // name.
        servers = servers::distinct(shard.of(servers), &context, jobs, is_verbose).await;
    }
    if asks && servers.len() > 1 && !confirm::empty_all(&servers, &context.stop).await {
        return ExitCode::from(signal.caught().unwrap_or(WRONG_USE));
    }
    let verbose = Verbose::new(is_verbose);
    let is_watched = match &command {
        // Progress lines would mix with keys on the terminal.
        Command::Keys(_) => screen::is_kept(),
        Command::Stats(options) => options.watch.is_none(),
        // It draws its own live lines.
        Command::Hot(_) => false,
        Command::Flush(_) | Command::Clear(..) | Command::Delete(..) | Command::Survey(..) | Command::Namespaces(_) => {
            true
        }
    };
    let deletes = matches!(command, Command::Clear(..) | Command::Delete(..));
    let progress = if is_watched { appearance.progress } else { When::Never };
    let progress = Progress::start(progress, servers.len(), deletes);
    let mut report = Report::new(servers.len(), quiet, if json { document(&command) } else { None }, hosts);
    if is_escaped {
        report.take_prefixes_literally();
    }
    if let (Some(shard), true) = (shard, servers.is_empty()) {
        let nothing = format!("shard {shard} has no server: nothing to do");
        // On stdout, the line would look like a key.
        if matches!(command, Command::Keys(_)) { tell(&nothing) } else { report.nothing(&nothing) }
    }
    let work = Work { servers, jobs, context, accesses, progress, verbose };
    match command {
        Command::Flush(how) => work.flush(how, &delays, &mut report).await,
        Command::Clear(scope, options) => work.clear(scope, options, &mut report).await,
        Command::Delete(keys, rate) => work.delete(keys, rate, &mut report).await,
        Command::Survey(scope, options) => work.survey(scope, options, &mut report).await,
        Command::Stats(options) => work.stats(options, &mut report).await,
        Command::Keys(options) => work.keys(options, &mut report).await,
        Command::Namespaces(options) => work.namespaces(options, &mut report).await,
        Command::Hot(options) => {
            work.hot(options, if appearance.progress == When::Never { When::Never } else { When::Auto }, &mut report)
                .await
        }
    }
    work.verbose.finish();
    work.progress.finish();
    report.finish(signal.caught())
}

/// The empty document of a command; none for a command without one.
fn document(command: &Command) -> Option<Document> {
    Some(match command {
        Command::Flush(..) => Document::emptying("flush", false),
        Command::Clear(..) => Document::emptying("clear", false),
        Command::Delete(..) => Document::emptying("delete", false),
        Command::Survey(..) => Document::emptying("clear", true),
        // It prints one object for each key, as the keys arrive.
        Command::Keys(_) => return None,
        Command::Namespaces(_) => Document::changing_nothing("namespaces"),
        Command::Hot(_) => Document::changing_nothing("hot"),
        Command::Stats(_) => Document::changing_nothing("stats"),
    })
}
