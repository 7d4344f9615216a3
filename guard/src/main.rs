//! What five fixed jobs cost, and the size of the command, in figures that neither a clock nor a busy machine changes.
//! `scripts/guard` runs it.
//!
//! Instructions are counted by valgrind's callgrind, allocations by its memcheck, system calls by strace, bytes by a relay before
//! the server. Of the system calls those are left out whose number depends on how fast the others are: waits, and reads from a
//! connection.

mod relay;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use relay::Wire;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Of each of two apps.
const KEYS: usize = 5_000;

/// How much worse a figure may be than the committed one, in percent.
const TOLERANCE: f64 = 5.0;

/// How large the command may be, in bytes, however large it was before.
const SIZE_MAX: u64 = 4_000_000;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often system calls are counted; the least is taken.
const LOOKS: usize = 5;

/// System calls whose number is a matter of chance.
const WAITS: [&str; 6] = ["epoll_wait", "epoll_pwait", "futex", "poll", "recvfrom", "sched_yield"];

/// What is counted with any compiler and C library; the other figures depend on them.
const ANYWHERE: [&str; 3] = ["system calls", "bytes sent", "bytes received"];

/// The jobs; none has a server in its words where it needs none.
const JOBS: [(&str, &[&str]); 5] = [
    ("flush once", &["MCFLUSH", "--all", "--once", "--quiet", "SERVER"]),
    ("clear", &["MCFLUSH", "--prefix", "shop:", "--quiet", "SERVER"]),
    ("dry run", &["MCFLUSH", "--prefix", "shop:", "--dry-run", "--quiet", "SERVER"]),
    // A tenth of them: more than that waits in a file where the terminal is slow, which is a matter of chance.
    ("keys", &["MCFLUSH", "keys", "--prefix", "shop:1", "SERVER"]),
    ("decode", &["DECODE"]),
];

type Figures = BTreeMap<(String, String), u64>;

struct Programs {
    mcflush: PathBuf,
    decode: PathBuf,
    memcached: PathBuf,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("guard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, tools, mcflush, decode, memcached, more @ ..] = &arguments[..] else {
        return Err("usage: guard FIGURES TOOLS MCFLUSH DECODE MEMCACHED [--update]".into());
    };
    let programs = Programs { mcflush: mcflush.into(), decode: decode.into(), memcached: memcached.into() };
    let figures = measured(&programs)?;
    if more.first().is_some_and(|word| word == "--update") {
        fs::write(file, written(tools, &figures))?;
        println!("guard: wrote {} figures to {file}", figures.len());
        return Ok(ExitCode::SUCCESS);
    }
    let (their_tools, committed) = read(Path::new(file))?;
    Ok(if compare(tools, &figures, &their_tools, &committed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says how each figure stands; whether none is worse.
fn compare(tools: &str, figures: &Figures, their_tools: &str, committed: &Figures) -> bool {
    let same = tools == their_tools;
    if !same {
        println!(
            "guard: the figures are of {their_tools}, and here is {tools}: only bytes and system calls are compared"
        );
    }
    let mut good = true;
    for ((job, what), new) in figures {
        if !same && !ANYWHERE.contains(&what.as_str()) {
            continue;
        }
        let Some(old) = committed.get(&(job.clone(), what.clone())) else {
            println!("guard: FAILED: {job}: {what}: no committed figure, now {new}: make guard-update");
            good = false;
            continue;
        };
        let change = if old == new { 0.0 } else { (*new as f64 / *old as f64 - 1.0) * 100.0 };
        let is_too_large = what == "size" && *new > SIZE_MAX;
        good &= !is_too_large && change <= TOLERANCE;
        let verdict = if is_too_large {
            "FAILED, over the bound of 4 MB: "
        } else if change > TOLERANCE {
            "FAILED: "
        } else if change < -TOLERANCE {
            "better, to be kept by make guard-update: "
        } else {
            ""
        };
        println!("guard: {verdict}{job}: {what}: was {old}, is {new} ({change:+.1} %)");
    }
    good
}

fn written(tools: &str, figures: &Figures) -> String {
    let mut text = format!("# Made by `make guard-update`.\n{tools}\n");
    for ((job, what), figure) in figures {
        text += &format!("{job}: {what}: {figure}\n");
    }
    text
}

fn read(file: &Path) -> Result<(String, Figures)> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}: make guard-update", file.display()))?;
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let tools = lines.next().ok_or("no line with the tools")?.to_owned();
    let mut figures = Figures::new();
    for line in lines {
        let [job, what, figure] = line.split(": ").collect::<Vec<_>>()[..] else {
            return Err(format!("{}: not a figure: {line}", file.display()).into());
        };
        figures.insert((job.into(), what.into()), figure.parse()?);
    }
    Ok((tools, figures))
}

fn measured(programs: &Programs) -> Result<Figures> {
    let mut figures = Figures::new();
    for (job, words) in JOBS {
        let mut note = |what: &str, figure: u64| figures.insert((job.into(), what.into()), figure);
        let (report, wire) =
            run_job(programs, words, &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])?;
        note("instructions", number_behind(&report, "Collected :")?);
        if words.contains(&"SERVER") {
            note("bytes sent", wire.sent.load(Ordering::Relaxed));
            note("bytes received", wire.received.load(Ordering::Relaxed));
        }
        let counts = ["valgrind", "--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"];
        let (report, _) = run_job(programs, words, &counts)?;
        note("allocations", number_behind(&report, "total heap usage:")?);
        // What a busy machine adds to them, such as a wake-up, is not there each time.
        let mut least = u64::MAX;
        for _ in 0..LOOKS {
            let (report, _) = run_job(programs, words, &["strace", "-f", "-c", "-U", "name,calls"])?;
            least = least.min(calls(&report)?);
        }
        note("system calls", least);
    }
    figures.insert(("binary".into(), "size".into()), fs::metadata(&programs.mcflush)?.len());
    Ok(figures)
}

/// The first number behind some words, without its separators.
fn number_behind(report: &str, words: &str) -> Result<u64> {
    let (_, behind) = report.split_once(words).ok_or_else(|| format!("no \"{words}\" in the report:\n{report}"))?;
    let number = behind.split_whitespace().next().unwrap_or_default().replace(',', "");
    Ok(number.parse()?)
}

/// The calls of a table of names and numbers, but for those that depend on others.
fn calls(report: &str) -> Result<u64> {
    let mut sum = 0;
    for line in report.lines() {
        if let [name, calls] = line.split_whitespace().collect::<Vec<_>>()[..]
            && let Ok(calls) = calls.parse::<u64>()
            && name != "total"
            && !WAITS.contains(&name)
        {
            sum += calls;
        }
    }
    if sum == 0 { Err(format!("no system call in the report:\n{report}").into()) } else { Ok(sum) }
}

/// The report of a tool that ran a job on a server of its own, and the bytes on its connections.
fn run_job(programs: &Programs, words: &[&str], tool: &[&str]) -> Result<(String, Arc<Wire>)> {
    let wire = Arc::<Wire>::default();
    let server = if words.contains(&"SERVER") { Some(Server::start(&programs.memcached)?) } else { None };
    let address = match &server {
        Some(server) => relay::start(server.address, Arc::clone(&wire))?.to_string(),
        None => String::new(),
    };
    let report = std::env::temp_dir().join(format!("mcflush-guard-{}", std::process::id()));
    let to_report = if tool[0] == "strace" {
        vec!["-o".to_owned(), report.display().to_string()]
    } else {
        vec![format!("--log-file={}", report.display())]
    };
    let words = words.iter().map(|word| match *word {
        "MCFLUSH" => programs.mcflush.clone().into_os_string(),
        "DECODE" => programs.decode.clone().into_os_string(),
        "SERVER" => address.clone().into(),
        word => word.into(),
    });
    let output = Command::new("/usr/bin/env")
        .args(["-i", "PATH=/usr/bin:/bin"])
        .args(tool)
        .args(to_report)
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    let text = fs::read_to_string(&report);
    let _ = fs::remove_file(&report);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{tool:?}: {}: {said}{}", output.status, text.unwrap_or_default()).into());
    }
    Ok((text?, wire))
}

/// A memcached with two apps of keys, whose items have the same CAS numbers each time.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &Path) -> Result<Server> {
        let file = std::env::temp_dir().join(format!("mcflush-guard-port-{}", std::process::id()));
        let _ = fs::remove_file(&file);
        // As root it wants to be told so; the option does nothing for others.
        let process = Command::new(program)
            .args(["-u", "root", "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-m", "64", "-t", "1"])
            .env("MEMCACHED_PORT_FILENAME", &file)
            .stdin(Stdio::null())
            .spawn()?;
        let mut server = Server { process, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let began = Instant::now();
        let port = loop {
            let text = fs::read_to_string(&file).unwrap_or_default();
            if let Some(port) = text.split_once("TCP INET: ").and_then(|(_, port)| port.lines().next()?.parse().ok()) {
                break port;
            }
            if began.elapsed() > PATIENCE || server.process.try_wait()?.is_some() {
                return Err("memcached does not start".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let _ = fs::remove_file(&file);
        server.address.set_port(port);
        server.fill()?;
        Ok(server)
    }

    fn fill(&self) -> Result<()> {
        let mut connection = TcpStream::connect(self.address)?;
        let item = |app: &str, n: usize| format!("set {app}:{n} 0 0 10 noreply\r\n0123456789\r\n");
        let items: String = (0..KEYS).flat_map(|n| [item("shop", n), item("blog", n)]).collect();
        // The last word is answered when all before it is done.
        connection.write_all((items + "mn\r\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer)?;
        if answer == "MN\r\n" { Ok(()) } else { Err(format!("the server did not take the items: {answer}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
