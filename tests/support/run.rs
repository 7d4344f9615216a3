//! Runs the built binary as a deploy script would, and prints what it did if a test fails.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{signal, wait_for};

/// A run that takes longer than this hangs. It is far longer than any run takes, and shorter than [`super::LONG`].
const DEADLINE: Duration = Duration::from_secs(400);

/// See [`patience`].
const PATIENT: &str = "--timeout=60";

/// The words by which scripts tell failures apart; they are part of the contract.
const KINDS: [&str; 15] = [
    "refused",
    "name",
    "timeout",
    "deadline",
    "lost",
    "auth",
    "tls",
    "protocol",
    "limit",
    "server",
    "disabled",
    "busy",
    "incomplete",
    "io",
    "interrupted",
];

/// How many finished runs the thread of a test keeps for its servers to print.
const KEPT_RUNS: usize = 20;

thread_local! {
    static ENDED: RefCell<VecDeque<String>> = const { RefCell::new(VecDeque::new()) };
}

/// The last runs of this thread that name `server`, for the report of a failed test.
pub fn last_runs(server: &str) -> Vec<String> {
    ENDED.with_borrow(|ended| ended.iter().filter(|run| run.contains(server)).cloned().collect())
}

fn keep_ended(run: String) {
    ENDED.with_borrow_mut(|ended| {
        ended.push_back(run);
        if ended.len() > KEPT_RUNS {
            ended.pop_front();
        }
    });
}

/// The subcommands, one of which has to be the first word.
const COMMANDS: [&str; 7] = ["stats", "keys", "namespaces", "hot", "config", "completions", "man"];

/// The options of runs that empty servers.
const EMPTIES: [&str; 5] = ["--all", "--prefix", "--app", "--match", "--keys-from"];

fn has(arguments: &[impl AsRef<OsStr>], options: &[&str]) -> bool {
    arguments.iter().any(|argument| options.iter().any(|option| argument.as_ref() == *option))
}

/// The command, if there is one.
fn command<'a>(arguments: &[impl AsRef<OsStr>]) -> Option<&'a str> {
    let first = arguments.first()?.as_ref();
    COMMANDS.into_iter().find(|command| first == *command)
}

/// A home folder whose config file makes mcflush wait as long as a test does, for command lines that a test does not write.
pub fn patient_home() -> TempDir {
    let home = TempDir::with_prefix("mcflush-home-").expect("a temporary folder");
    let folder = home.path().join(".config/mcflush");
    std::fs::create_dir_all(&folder).expect("the folder can be written");
    std::fs::write(folder.join("config.toml"), "[defaults]\ntimeout = 60\n").expect("the folder can be written");
    home
}

/// A timeout, and its place among the arguments, for a run that waits for servers and of which the test chooses no timeout:
/// it waits as long as a test does. A busy machine may keep a server from answering for longer than mcflush waits otherwise.
pub fn patience(arguments: &[impl AsRef<OsStr>]) -> Option<(usize, &'static str)> {
    let waits = match command(arguments) {
        Some(command) => ["stats", "keys", "namespaces", "hot"].contains(&command),
        None => has(arguments, &EMPTIES),
    };
    let is_timeout = |argument: &dyn AsRef<OsStr>| argument.as_ref().to_string_lossy().starts_with("--timeout");
    let chooses = has(arguments, &["--config"]) || arguments.iter().any(|argument| is_timeout(argument));
    // Behind a command or the first server.
    let at = usize::from(arguments.first().is_some_and(|first| !first.as_ref().to_string_lossy().starts_with('-')));
    (waits && !chooses).then_some((at, PATIENT))
}

/// A command line that has not run yet.
pub struct Mcflush {
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    limits: Vec<String>,
    stdout: Option<Stdio>,
    verbose: Verbose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verbose {
    No,
    Given,
    Added,
}

/// The command line `mcflush ARGUMENTS`. A clear or flush also gets `-v`, so that a failed test can show what mcflush
/// did; [`Mcflush::without_v`] leaves it out. A run also gets its [`patience`].
pub fn mcflush<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Mcflush {
    let arguments: Vec<OsString> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
    // A command that only looks at servers can have a prefix too.
    let empties = command(&arguments).is_none() && has(&arguments, &EMPTIES);
    let verbose = if has(&arguments, &["-v", "-vvv"]) {
        Verbose::Given
    } else if empties && !has(&arguments, &["-q", "--quiet"]) {
        Verbose::Added
    } else {
        Verbose::No
    };
    Mcflush { arguments, environment: BTreeMap::new(), limits: Vec::new(), stdout: None, verbose }
}

impl Mcflush {
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Mcflush {
        self.environment.insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    /// Sets limits of the process, in the form of util-linux's prlimit: `--nofile=40`.
    pub fn within(mut self, limits: &[&str]) -> Mcflush {
        self.limits.extend(limits.iter().map(|limit| (*limit).to_owned()));
        self
    }

    /// Sends stdout there, instead of collecting it for the test.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Mcflush {
        self.stdout = Some(stdout.into());
        self
    }

    /// Runs with only these arguments, for a test of stderr.
    pub fn without_v(mut self) -> Mcflush {
        self.verbose = Verbose::No;
        self
    }

    pub fn spawn(mut self) -> Running {
        if self.verbose == Verbose::Added {
            self.arguments.insert(0, "-v".into());
        }
        if !["HOME", "MCFLUSH_CONFIG", "XDG_CONFIG_HOME"].iter().any(|name| self.environment.contains_key(*name))
            && let Some((at, option)) = patience(&self.arguments)
        {
            self.arguments.insert(at, option.into());
        }
        let mut shown = String::from("mcflush");
        for argument in &self.arguments {
            shown.push_str(&format!(" {argument:?}"));
        }
        // An empty folder as home and working folder, so that no config file of this machine is read.
        let home = TempDir::with_prefix("mcflush-home-").expect("a temporary folder");
        let mut command = if self.limits.is_empty() {
            Command::new(super::program())
        } else {
            let mut limited = Command::new("prlimit");
            limited.args(&self.limits).arg(super::program());
            limited
        };
        command
            .args(&self.arguments)
            .env_clear()
            .env("HOME", home.path())
            .current_dir(home.path())
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(self.stdout.unwrap_or_else(Stdio::piped));
        // Coverage of the binary is written where the calling tool wants it.
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        for (name, value) in &self.environment {
            shown = format!("{name}={value:?} {shown}");
        }
        let started = Instant::now();
        let mut child = command.spawn().expect("the binary runs");
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let explains = self.verbose != Verbose::No;
        Running { shown, child, stdout, stderr, explains, started, _home: home }
    }

    pub fn run(self) -> Run {
        self.spawn().wait()
    }
}

/// What a stream has brought so far.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Closed at the stream's end.
    end: Receiver<()>,
}

impl Collected {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// Reads on a separate thread, so that neither stream can block the other.
fn collect(stream: Option<impl Read + Send + 'static>) -> Collected {
    let (open, end) = mpsc::channel();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let read = Arc::clone(&bytes);
    std::thread::spawn(move || {
        let _open = open;
        let mut buffer = [0; 1 << 16];
        let Some(mut stream) = stream else { return };
        while let length @ 1.. = stream.read(&mut buffer).expect("a pipe can be read") {
            read.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
        }
    });
    Collected { bytes, end }
}

/// A run that has not ended yet.
pub struct Running {
    shown: String,
    child: Child,
    stdout: Collected,
    stderr: Collected,
    explains: bool,
    started: Instant,
    _home: TempDir,
}

impl Running {
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until stderr has this text.
    pub fn wait_for_stderr(&self, text: &str) {
        wait_for(&format!("{text:?} on stderr"), || self.stderr.text().contains(text).then_some(()));
    }

    /// The most memory it has held so far, in KiB; 0 once it has ended.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        status
            .unwrap_or_default()
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Calls `look` repeatedly while it runs.
    pub fn watch(&mut self, mut look: impl FnMut(&Running)) {
        while self.is_running() && self.started.elapsed() < DEADLINE {
            look(self);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    pub fn wait(self) -> Run {
        self.wait_at_most(DEADLINE)
    }

    /// As [`Self::wait`], and fails if it takes longer than this.
    pub fn wait_at_most(mut self, longest: Duration) -> Run {
        let deadline = Instant::now() + longest;
        let mut hung = false;
        for stream in [&self.stdout, &self.stderr] {
            let left = deadline.saturating_duration_since(Instant::now());
            if stream.end.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                hung = true;
                // It may have just ended.
                let _ = self.child.kill();
                let _ = stream.end.recv();
            }
        }
        let status = wait_for("the process to end after its output did", || {
            self.child.try_wait().expect("a child can be waited for")
        });
        let run = Run {
            shown: std::mem::take(&mut self.shown),
            status,
            took: self.started.elapsed(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            explains: self.explains,
        };
        keep_ended(run.to_string());
        assert!(!hung, "killed after {longest:?}: {run}");
        run.check(!run.stderr.contains("panicked at"), "it should never panic");
        run.check(
            !run.stdout.chars().chain(run.stderr.chars()).any(is_raw_control),
            "nothing raw may reach the terminal",
        );
        run
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Needed only if the test failed before it waited.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A run that was waited for is kept already.
        if std::thread::panicking() && !self.shown.is_empty() {
            let _ = self.stderr.end.recv();
            let stderr = self.stderr.text();
            keep_ended(format!("\n$ {}\n--- killed, as the test failed\n--- stderr\n{stderr}\n---", self.shown));
        }
    }
}

fn is_raw_control(character: char) -> bool {
    character.is_control() && character != '\n'
}

/// The result of a run. Each assertion prints all of it if it fails, and returns the run.
#[derive(Debug)]
pub struct Run {
    shown: String,
    pub status: ExitStatus,
    pub took: Duration,
    pub stdout: String,
    pub stderr: String,
    /// Whether it ran with `-v`, so that stderr has more than warnings and failures.
    explains: bool,
}

impl std::fmt::Display for Run {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "\n$ {}\n--- {}, {:?}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.shown, self.status, self.took, self.stdout, self.stderr
        )
    }
}

impl Run {
    #[track_caller]
    fn check(&self, holds: bool, what: &str) -> &Run {
        if !holds {
            let text = self.to_string();
            // The failure message contains this run, so it need not be printed again.
            ENDED.with_borrow_mut(|ended| ended.retain(|run| *run != text));
            panic!("{what}{text}");
        }
        self
    }

    /// The lines of stderr that a run without `-v` has too: warnings and failures.
    fn stderr_without_v(&self) -> impl Iterator<Item = &str> {
        self.stderr.lines().filter(|line| {
            let names_a_kind = KINDS.iter().any(|kind| line.contains(&format!(": {kind}: ")));
            let is_failure = names_a_kind && !line.contains(": trying again in ");
            !self.explains || is_failure || line.contains(": warning: ")
        })
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Run {
        self.check(self.status.code() == Some(code), &format!("it should exit with {code}"))
    }

    /// Exit status 0 and, as for every success, nothing on stderr except what `-v` adds.
    #[track_caller]
    pub fn succeeds(&self) -> &Run {
        self.exits(0).check(self.stderr_without_v().next().is_none(), "stderr should have no warning and no failure")
    }

    /// A clear that reports itself complete on every server.
    #[track_caller]
    pub fn is_complete(&self) -> &Run {
        self.succeeds()
            .check(self.stdout.contains("complete") && !self.stdout.contains("incomplete"), "it should say complete")
    }

    /// The run claims completeness on no server.
    #[track_caller]
    pub fn claims_nothing(&self) -> &Run {
        let said = format!("{}{}", self.stdout, self.stderr).replace("incomplete", "").replace("not complete", "");
        self.check(!said.contains("complete"), "it should not say complete")
    }

    /// One error line `mcflush: SERVER: KIND: what went wrong…` for this server, of one of these kinds. Other lines
    /// about the server have no kind.
    #[track_caller]
    pub fn complains(&self, server: &str, kinds: &[&str]) -> &Run {
        let begins = format!("mcflush: {server}: ");
        let found: Vec<&str> = self
            .stderr_without_v()
            .filter_map(|line| line.strip_prefix(&begins)?.split_once(": "))
            .map(|(kind, _)| kind)
            .filter(|kind| KINDS.contains(kind))
            .collect();
        self.check(
            matches!(found.as_slice(), [kind] if kinds.contains(kind)),
            &format!("stderr should have one line \"{begins}KIND: …\", KIND of {kinds:?}"),
        )
    }

    /// Exit status 1 and one error line of one of these kinds.
    #[track_caller]
    pub fn fails(&self, server: &str, kinds: &[&str]) -> &Run {
        self.exits(1).complains(server, kinds)
    }

    /// Exit status 2, one line with the reason, and nothing on stdout.
    #[track_caller]
    pub fn is_refused(&self) -> &Run {
        self.exits(2)
            .check(
                self.stderr.starts_with("mcflush: ") && self.stderr.lines().count() == 1,
                "stderr should be one line from mcflush",
            )
            .check(self.stdout.is_empty(), "stdout should be empty")
    }

    #[track_caller]
    pub fn says(&self, text: &str) -> &Run {
        self.check(self.stdout.contains(text), &format!("stdout should have {text:?}"))
    }

    #[track_caller]
    pub fn warns(&self, text: &str) -> &Run {
        self.check(self.stderr.contains(text), &format!("stderr should have {text:?}"))
    }

    /// The results contain the number as a number of its own, with or without separators.
    #[track_caller]
    pub fn counts(&self, number: usize) -> &Run {
        let plain: String = self.stdout.replace([',', '_'], "");
        let found = plain.split(|character: char| !character.is_ascii_digit()).any(|word| word == number.to_string());
        self.check(found, &format!("stdout should have the number {number}"))
    }
}
