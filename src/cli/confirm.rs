//! The only question that mcflush asks.

use std::io::{self, IsTerminal, Write};

use mcflush::address::ServerAddr;
use mcflush::ops::Stop;

use super::complain;
use super::text::count;

/// Asks on a terminal whether these servers may be emptied. Without a terminal, it does not ask.
pub async fn empty_all(servers: &[ServerAddr], stop: &Stop) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return true;
    }
    const NAMED: usize = 5;
    let mut names: Vec<_> = servers.iter().take(NAMED).map(ToString::to_string).collect();
    if servers.len() > NAMED {
        names.push("…".into());
    }
    let question = format!(
        "The config file names {}: {}. Empty them all? [y/N] ",
        count(servers.len() as u64, "server"),
        names.join(", ")
    );
    let answer = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr().lock();
        stderr.write_all(question.as_bytes())?;
        stderr.flush()?;
        drop(stderr);
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok::<_, io::Error>(answer)
    });
    let yes = match stop.run_until_cancelled(answer).await {
        Some(Ok(Ok(answer))) => matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"),
        _ => false,
    };
    if !yes && !stop.is_cancelled() {
        complain("nothing was sent: answer y, or run it with --yes");
    }
    yes
}
