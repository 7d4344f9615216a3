//! One run: the model, mcflush over it, and the verdict.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mcflush::connection::Connection;
use mcflush::error::Error;
use mcflush::ops::clear::{clear, delete};
use mcflush::ops::flush::flush;
use mcflush::ops::{Chance as Numbers, Connector, Context, Events};
use mcflush::scope::{Glob, Prefix, Scope};
use tokio::time::{Instant, sleep, timeout};

use crate::disk;
use crate::model::{Key, Verb};
use crate::plan::{Choice, Job, Plan};
use crate::wire;
use crate::world::{World, key};

/// Longer than any run, even one in which each piece of each answer comes late.
const LONGEST: Duration = Duration::from_secs(7_200);

/// The result of a seed.
pub struct Ran {
    pub outcome: String,
    /// The conditions that did not hold.
    pub broken: Vec<String>,
    /// The events of the operation, each with its time.
    pub trace: Vec<String>,
}

pub fn run(seed: u64) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(play(Plan::of(seed)))
}

fn scope(plan: &Plan) -> Scope {
    let prefix = |text: &str| Prefix::new(text.to_owned()).unwrap();
    let glob = |text: &str| Glob::new(text.to_owned()).unwrap();
    match plan.choice {
        Choice::TheRest => Scope::everything().keeping([prefix("shop:sess:"), prefix("shops:"), prefix("blog:")]),
        Choice::Prefixes => Scope::of([prefix("shop:")]).keeping([prefix("shop:sess:")]),
        Choice::Patterns => {
            Scope::of([]).matching([glob("s?op:*"), glob("shop:[0-9]")]).keeping_matches([glob("*:s[!f]ss:*")])
        }
    }
}

async fn play(plan: Plan) -> Ran {
    let is_shown = std::env::var_os("SIMULATE_SHOW").is_some();
    let plan = Arc::new(plan);
    let began = Instant::now();
    let world = World::new(&plan);
    let trace = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&trace);
    let tell = move |what: String| {
        let line = format!("{:>9.3} {what}", began.elapsed().as_secs_f64());
        if is_shown {
            println!("{line}");
        }
        told.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    };
    tell(format!("{plan:?}"));
    let (wires, numbers) = (Mutex::new(plan.wires.clone()), Mutex::new(plan.numbers.clone()));
    let connector = Connector::by({
        let (world, plan) = (world.clone(), Arc::clone(&plan));
        move |_| {
            let chance = wires.lock().unwrap_or_else(PoisonError::into_inner).fork();
            let opening = wire::open(world.clone(), Arc::clone(&plan), chance);
            async { Ok(Box::new(opening.await?) as Connection) }
        }
    });
    let mut context = Context::default()
        .with_connector(connector)
        .with_chance(Numbers::by(move || numbers.lock().unwrap_or_else(PoisonError::into_inner).next()))
        .with_events(Events::to({
            let tell = tell.clone();
            move |event| tell(format!("{event:?}"))
        }))
        .with_spool(disk::spool(world.clone(), Arc::clone(&plan)))
        .with_deadline(plan.deadline.map(|time| (began + time).into_std()));
    (context.patience.timeout, context.patience.retries) = (plan.timeout, plan.retries);
    for at in plan.stops_at.into_iter().chain(plan.deadline) {
        let stop = context.stop.clone();
        tokio::spawn(async move {
            sleep(at).await;
            stop.cancel();
        });
    }
    world.with(|state| (state.oracle.began, state.oracle.began_at) = (state.model.stamp, state.model.time()));
    world.set_going();
    let job = async {
        let server = "in-memory:11211".parse().unwrap();
        match plan.job {
            Job::Clear(options) if plan.is_twice => {
                let scope = scope(&plan);
                let clear = || clear(&server, &scope, &options, &context);
                let (one, other) = tokio::join!(clear(), clear());
                // A proof of either clear must be true; without faults, both must have one.
                let both = one.proof.and(other.proof);
                let proof = if plan.has_to_be_complete() { both } else { one.proof.or(other.proof) };
                let error = one.error.or(other.error).filter(|_| proof.is_none());
                (proof.map(|proof| proof.as_str()), error, one.deleted + other.deleted)
            }
            Job::Clear(options) => {
                let cleared = clear(&server, &scope(&plan), &options, &context).await;
                let proof = cleared.proof.map(|proof| proof.as_str());
                (proof, cleared.error, cleared.deleted)
            }
            Job::Delete(rate) => {
                let keys: Vec<_> = plan.named.iter().map(|key| Ok(Bytes::from(key.clone()))).collect();
                let deleted = delete(&server, keys.into_iter(), rate, &context).await;
                (deleted.error.is_none().then_some("named"), deleted.error, deleted.deleted)
            }
            Job::Flush(how) => match flush(&server, how, &context).await {
                Ok(flushed) => (flushed.proof.map(|proof| proof.as_str()), None, flushed.swept.unwrap_or_default()),
                Err(error) => (None, Some(error), 0),
            },
        }
    };
    let ended = timeout(LONGEST, job).await;
    let took = began.elapsed();
    let (proof, error, deleted) = ended.unwrap_or((None, None, 0));
    tell(format!("{proof:?} {error:?} {deleted} deleted"));
    judge(&world, &plan, proof, error.as_ref(), deleted, took).await;
    let broken = world.with(|state| state.oracle.broken.clone());
    let trace = std::mem::take(&mut *trace.lock().unwrap_or_else(PoisonError::into_inner));
    let what = match plan.job {
        Job::Clear(options) if !options.filter.is_none() => "clear by conditions",
        Job::Clear(_) if plan.is_twice => "two clears",
        Job::Clear(_) => "clear",
        Job::Flush(_) => "flush",
        Job::Delete(_) => "delete",
    };
    let came = proof.map_or_else(|| error.map_or("no end".into(), |error| error.kind().to_string()), str::to_owned);
    Ran { outcome: format!("{what}: {came}"), broken, trace }
}

async fn judge(world: &World, plan: &Plan, proof: Option<&str>, error: Option<&Error>, deleted: u64, took: Duration) {
    world.over.cancel();
    let require = |holds: bool, what: String| {
        if !holds {
            world.with(|state| state.oracle.broken.push(what));
        }
    };
    require(took < LONGEST, format!("it did not end in {took:?}"));
    require(proof.is_some() != error.is_some(), "neither a proof nor an error, or both".into());
    let is_due = plan.has_to_be_complete() && proof.is_none();
    require(!is_due, format!("nothing went wrong, and it is not complete: {error:?}"));
    // mcflush may wait for one more answer, up to the timeout.
    let slow = plan.timeout + Duration::from_secs(if plan.reads_dumps_to_their_end() { 60 } else { 1 });
    if let Some(stop) = plan.stops_at {
        require(took <= stop + slow, format!("stopped after {stop:?}, it went on until {took:?}"));
    }
    if let Some(deadline) = plan.deadline {
        require(took <= deadline + slow, format!("its deadline was {deadline:?}, and it went on until {took:?}"));
    }
    let is_proved = proof.is_some_and(|proof| proof != "twice");
    let stored = world.with(|state| {
        let (oracle, model) = (&mut state.oracle, &mut state.model);
        match plan.job {
            Job::Clear(_) | Job::Delete(_) => oracle.look_at_count(deleted, plan.is_connected()),
            Job::Flush(_) => oracle.look_at_count(deleted, false),
        }
        if is_proved {
            oracle.look_for_old(model, "at the end");
        }
        let stored: Vec<Key> = (0..40).map(|number| key(number % 2 == 0, number)).collect();
        for key in &stored {
            model.store(Verb::Set, key, b"new", 0, 0);
        }
        stored
    });
    // Wait until the server has noted every read.
    sleep(Duration::from_secs(4)).await;
    world.with(|state| {
        if is_proved {
            state.oracle.look_for_old(&state.model, "later");
        }
        // A flush without CAS also deletes items that any client stores in the same second.
        if proof.is_some() && plan.server.flushed_at.is_none() && plan.server.flushed_before.is_none() {
            state.oracle.look_for_new(&state.model, &stored);
        }
    });
}
