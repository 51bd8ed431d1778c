//! Tables of orders; and a walk over random arrivals, departures and runs with a clock of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aimass_protocol::{Data, DataType, Dim, Signature, Tensor, TensorSpec};
use tokio::sync::oneshot;

use super::super::job::{Done, Way, Work};
use super::*;
use crate::engine::{Engine, Failure, Memory, Shapes};
use crate::model::Model;

/// Gives back what it gets; one run of any size takes as long as one of one row.
struct Echo(Signature);

impl Engine for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn prepare(&self, _: &Shapes) -> Result<(), Failure> {
        Ok(())
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Failure> {
        Ok(inputs.to_vec())
    }

    fn memory(&self) -> Memory {
        Memory::default()
    }
}

/// A model with the buckets 1, 2, 4 … `largest`.
fn model(largest: usize) -> Arc<Model> {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        datatype: DataType::Fp32,
        shape: Some(vec![Dim::Unknown, Dim::Unknown]),
    };
    let signature = Signature::new(vec![spec("x")], vec![spec("y")]);
    let model = Model::new(Box::new(Echo(signature)), "sha256:0".to_owned());
    model.warm_up().unwrap();
    model.calibrate(&crate::model::sizes(largest, &[]), &|work| {
        work();
        Duration::from_millis(1)
    });
    assert_eq!(model.costs().largest(), largest);
    Arc::new(model)
}

/// A request of `rows` rows of `width`, which is its class.
struct Ask {
    rows: usize,
    width: usize,
    connection: Option<u64>,
    way: Way,
}

const fn ask(rows: usize, connection: u64) -> Ask {
    Ask {
        rows,
        width: 1,
        connection: Some(connection),
        way: Way::Together,
    }
}

fn job(model: &Arc<Model>, ask: &Ask, now: Instant) -> (Job, oneshot::Receiver<Done>) {
    let data = Data::Fp32(vec![0.0; ask.rows * ask.width]);
    let input = Tensor::new(vec![ask.rows, ask.width], data).unwrap();
    let work = Work {
        model: Arc::clone(model),
        inputs: vec![input],
        rows: ask.rows,
        way: ask.way,
        deadline: now + Duration::from_secs(60),
        connection: ask.connection,
    };
    let (reply, done) = oneshot::channel();
    (Job::new(work, now, reply), done)
}

fn line(max_delay: Duration) -> Line {
    Line::new(Bounds {
        max_rows: MAX_ROWS,
        max_delay,
        workers: 2,
    })
}

/// Lets all join, then takes batches until nobody waits: the numbers of the requests in each.
#[track_caller]
fn check(largest: usize, asks: &[Ask], expect: &[&[usize]]) {
    let (model, now) = (model(largest), Instant::now());
    let mut line = line(Duration::ZERO);
    let mut numbers = BTreeMap::new();
    let mut replies = Vec::new();
    for (number, ask) in asks.iter().enumerate() {
        let (job, done) = job(&model, ask, now);
        numbers.insert(line.join(job).number, number);
        replies.push(done);
    }
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    while line.take(now, &mut batch) == Taken::Batch {
        let names = batch.iter().map(|(place, _)| numbers[&place.number]);
        batches.push(names.collect::<Vec<_>>());
        for (place, mut job) in batch.drain(..) {
            job.done = job.next_rows().end;
            if job.done < job.work.rows {
                line.join_again(job, place);
            }
        }
    }
    assert_eq!(batches, expect);
    assert_eq!((line.rows(), line.connections.len()), (0, 0));
}

#[test]
fn one_request_a_connection_is_served_in_order_of_arrival() {
    let asks: Vec<Ask> = (0..4).map(|number| ask(1, number)).collect();
    check(1, &asks, &[&[0], &[1], &[2], &[3]]);
    check(2, &asks, &[&[0, 1], &[2, 3]]);
}

#[test]
fn a_connection_with_many_requests_lets_others_in_between() {
    let asks = [ask(1, 7), ask(1, 7), ask(1, 7), ask(1, 8), ask(1, 9)];
    check(1, &asks, &[&[0], &[3], &[4], &[1], &[2]]);
    check(4, &asks, &[&[0, 3, 4, 1], &[2]]);
}

#[test]
fn requests_without_a_connection_are_served_in_order_of_arrival() {
    let one = || Ask {
        connection: None,
        ..ask(1, 0)
    };
    check(1, &[one(), one(), one()], &[&[0], &[1], &[2]]);
}

#[test]
fn a_large_request_leaves_room_for_others() {
    let (model, now) = (model(8), Instant::now());
    let mut line = line(Duration::ZERO);
    let large = Ask {
        rows: 30_000,
        width: 1,
        connection: Some(1),
        way: Way::Together,
    };
    line.join(job(&model, &large, now).0);
    assert_eq!((line.rows(), line.standing), (30_000, 8));
    let left = Duration::from_secs(1);
    assert_eq!(line.admit(8, Some(2), left), Admission::Admitted);
}

#[test]
fn a_large_request_runs_in_pieces_between_which_others_have_their_turn() {
    check(2, &[ask(5, 1), ask(2, 2)], &[&[0], &[1], &[0], &[0]]);
    // Its last piece shares a batch.
    check(2, &[ask(3, 1), ask(1, 2)], &[&[0], &[1, 0]]);
}

#[test]
fn other_shapes_make_a_batch_of_their_own() {
    let wide = |connection| Ask {
        width: 2,
        ..ask(1, connection)
    };
    let asks = [ask(1, 1), wide(2), ask(1, 3), wide(4)];
    check(4, &asks, &[&[0, 2], &[1, 3]]);
}

#[test]
fn who_wants_no_company_runs_alone_and_row_by_row() {
    let singly = || Ask {
        way: Way::Singly,
        ..ask(2, 1)
    };
    check(4, &[ask(1, 2), singly(), ask(1, 3)], &[&[0, 2], &[1], &[1]]);
    let whole = Ask {
        way: Way::Whole,
        ..ask(3, 1)
    };
    check(2, &[whole, ask(1, 2)], &[&[0], &[1]]);
}

#[test]
fn requests_of_another_model_are_never_in_the_batch() {
    let (old, new, now) = (model(4), model(4), Instant::now());
    let mut line = line(Duration::ZERO);
    for model in [&old, &new, &old] {
        line.join(job(model, &ask(1, 1), now).0);
    }
    let mut batch = Vec::new();
    assert_eq!(line.take(now, &mut batch), Taken::Batch);
    let of_old = |(_, job): &(Place, Job)| Arc::ptr_eq(&job.work.model, &old);
    assert!(batch.len() == 2 && batch.iter().all(of_old));
}

#[test]
fn where_the_first_waits_for_company_others_may_go() {
    let (model, now) = (model(2), Instant::now());
    let delay = Duration::from_millis(10);
    let mut line = line(delay);
    let wide = |connection| Ask {
        width: 2,
        ..ask(1, connection)
    };
    let mut batch = Vec::new();
    assert_eq!(line.take(now, &mut batch), Taken::Wait(Duration::MAX));
    line.join(job(&model, &ask(1, 1), now).0);
    assert_eq!(line.take(now, &mut batch), Taken::Wait(delay));
    line.join(job(&model, &wide(2), now).0);
    line.join(job(&model, &wide(3), now).0);
    assert_eq!(line.take(now, &mut batch), Taken::Batch);
    assert_eq!(batch.len(), 2);
    batch.clear();
    assert_eq!(line.take(now + delay, &mut batch), Taken::Batch);
    assert!(line.is_empty());
}

/// A generator of numbers; the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// What the walk knows of a request.
struct Known {
    reply: oneshot::Receiver<Done>,
    rows: usize,
    ran: usize,
    /// Batches that were taken without it since it came, or ran.
    passed: usize,
}

/// The largest bucket of the walk.
const LARGEST: usize = 8;
/// Rows that may wait in it.
const MAX_ROWS: usize = 64;
/// Batches that may go before a request: a round for each that its connection has before it, and in each some others.
const MAX_PASSED: usize = 500;

/// Random arrivals, departures and workers: limits are kept, nobody is lost, doubled, starved or overtaken in its class
/// by a later request of its own connection.
#[test]
fn a_walk_keeps_every_promise() {
    for seed in 0..60 {
        walk(seed);
    }
}

fn walk(seed: u64) {
    let (model, mut now) = (model(LARGEST), Instant::now());
    let mut dice = Dice(seed + 1);
    let delay = Duration::from_millis([0, 3][dice.roll(2)]);
    let mut line = line(delay);
    let mut known: BTreeMap<u64, (Place, Known)> = BTreeMap::new();
    let mut with_workers: Vec<Vec<(Place, Job)>> = Vec::new();
    let mut finished = BTreeSet::new();
    for step in 0..1500 {
        now += Duration::from_micros(u64::try_from(dice.roll(800)).unwrap());
        let arriving = step < 1200;
        match dice.roll(6) {
            0..=2 if arriving => {
                let ask = Ask {
                    rows: [1, 1, 1, 2, 5, 30][dice.roll(6)],
                    width: 1 + dice.roll(2),
                    connection: [None, Some(1), Some(1), Some(1), Some(2), Some(3)][dice.roll(6)],
                    way: [Way::Together, Way::Together, Way::Singly, Way::Whole][dice.roll(4)],
                };
                let before = line.standing;
                let left = Duration::from_secs(1);
                let (job, reply) = job(&model, &ask, now);
                let rows = job.next_rows().len();
                if line.admit(rows, ask.connection, left) == Admission::Admitted {
                    assert!(before == 0 || before + rows <= MAX_ROWS, "seed {seed}");
                    let place = line.join(job);
                    let request = Known {
                        reply,
                        rows: ask.rows,
                        ran: 0,
                        passed: 0,
                    };
                    known.insert(place.number, (place, request));
                }
            }
            // Somebody gives up, wherever the request is.
            3 if !known.is_empty() => {
                let index = dice.roll(known.len());
                let number = *known.keys().nth(index).unwrap();
                let (place, request) = known.remove(&number).unwrap();
                drop(request.reply);
                let rows = request.rows - request.ran;
                if line.leave(place, true).is_some() {
                    assert!(rows > 0);
                }
            }
            // A worker becomes idle and takes.
            _ if with_workers.len() < 2 => {
                let mut batch = Vec::new();
                match line.take(now, &mut batch) {
                    Taken::Batch => {
                        check_batch(&line, &batch, &mut known, seed);
                        with_workers.push(batch);
                    }
                    Taken::Wait(wait) => assert!(
                        batch.is_empty() && (line.is_empty() || wait <= delay),
                        "seed {seed}: {wait:?}"
                    ),
                }
            }
            // A run ends.
            _ => {
                let batch = with_workers.swap_remove(dice.roll(with_workers.len()));
                for (place, mut job) in batch {
                    job.done = job.next_rows().end;
                    if job.done >= job.work.rows {
                        assert!(finished.insert(place.number), "seed {seed}: answered twice");
                        known.remove(&place.number);
                    } else if !job.reply.is_closed() {
                        let done = job.done;
                        line.join_again(job, place);
                        let (_, request) = known.get_mut(&place.number).unwrap();
                        (request.ran, request.passed) = (done, 0);
                    }
                }
            }
        }
        let in_line: usize = line.jobs.values().map(Job::left).sum();
        assert_eq!(line.rows(), in_line, "seed {seed}");
        let standing: usize = line.jobs.values().map(|job| job.next_rows().len()).sum();
        assert_eq!(line.standing, standing, "seed {seed}");
    }
    assert!(
        line.is_empty() && known.is_empty(),
        "seed {seed}: somebody is forgotten"
    );
    assert!(line.connections.is_empty(), "seed {seed}");
}

fn check_batch(
    line: &Line,
    batch: &[(Place, Job)],
    known: &mut BTreeMap<u64, (Place, Known)>,
    seed: u64,
) {
    let rows: usize = batch.iter().map(|(_, job)| job.next_rows().len()).sum();
    assert!(
        rows <= LARGEST || batch.len() == 1,
        "seed {seed}: {rows} rows"
    );
    let (_, first) = &batch[0];
    assert!(batch.len() == 1 || batch.iter().all(|(_, job)| first.goes_with(job)));
    for (place, taken) in batch {
        assert!(
            known.contains_key(&place.number),
            "seed {seed}: run, but given up"
        );
        // Nobody of its connection and class that came before it is left behind.
        let overtaken = line.jobs.iter().any(|(other, job)| {
            let same = taken.goes_with(job) && taken.work.connection == job.work.connection;
            let fresh = taken.done == 0 && job.done == 0 && job.work.connection.is_some();
            same && fresh && other.number < place.number
        });
        assert!(!overtaken, "seed {seed}: {} is overtaken", place.number);
    }
    for (number, (_, request)) in known.iter_mut() {
        let taken = batch.iter().any(|(place, _)| place.number == *number);
        request.passed = if taken { 0 } else { request.passed + 1 };
        assert!(
            request.passed < MAX_PASSED,
            "seed {seed}: {number} is starved"
        );
    }
}

/// One worker, runs of eight rows in 10 ms: 800 rows per second are the most that it can.
#[test]
fn at_four_times_its_capacity_it_answers_as_much_in_time_as_ever() {
    const RUN: Duration = Duration::from_millis(10);
    let (model, start) = (model(LARGEST), Instant::now());
    let mut line = Line::new(Bounds {
        max_rows: 640,
        max_delay: Duration::ZERO,
        workers: 1,
    });
    let (mut in_time, mut late, mut refused) = (0, 0, 0);
    let mut replies = Vec::new();
    let mut batch = Vec::new();
    // 3200 requests per second for ten seconds; their callers wait for 200 ms.
    let mut busy_until = start;
    for number in 0..32_000_u32 {
        let now = start + Duration::from_secs(10) * number / 32_000;
        while busy_until <= now && line.take(busy_until, &mut batch) == Taken::Batch {
            batch.retain(|(_, job)| !job.is_late(busy_until));
            let rows = batch.len();
            busy_until += RUN;
            line.observe(rows, RUN, model.costs().gain(rows));
            for (_, job) in batch.drain(..) {
                if job.work.deadline >= busy_until {
                    in_time += 1;
                } else {
                    late += 1;
                }
            }
        }
        busy_until = busy_until.max(now);
        let patience = Duration::from_millis(200);
        let ask = ask(1, u64::from(number % 50));
        match line.admit(1, ask.connection, patience) {
            Admission::Admitted => {
                let (mut job, reply) = job(&model, &ask, now);
                job.work.deadline = now + patience;
                line.join(job);
                replies.push(reply);
            }
            Admission::Refused { .. } => refused += 1,
        }
    }
    assert!(
        in_time >= 7200,
        "{in_time} in time, {late} late, {refused} refused"
    );
    assert!(late * 20 <= in_time, "{in_time} in time, {late} late");
}
