//! What a second of requests is told as.

use aimass_crds::signals::upper_bound;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A meter and a clock that is moved by hand.
struct Clocked {
    meter: Meter,
    now: Instant,
}

impl Clocked {
    fn new() -> Self {
        Self {
            meter: Meter::default(),
            now: tokio::time::Instant::now().into_std(),
        }
    }

    fn pass(&mut self, ms: u64) -> Instant {
        self.now += Duration::from_millis(ms);
        self.now
    }

    fn take(&self) -> Option<Load> {
        self.meter.take(self.now, SECOND, (1, 0))
    }

    fn load(&self) -> Load {
        self.take().expect("something has happened")
    }
}

#[test]
fn a_request_counts_from_the_choice_of_its_revision_to_the_end() {
    let mut clock = Clocked::new();
    let mut request = clock.meter.assign();
    assert_eq!((clock.meter.assigned(), clock.load().arrived), (1, 1));
    request.wait(clock.now);
    assert_eq!((clock.meter.assigned(), clock.meter.waiting()), (1, 1));
    request.serve(clock.pass(10));
    assert_eq!((clock.meter.assigned(), clock.meter.waiting()), (1, 0));
    request.end(Outcome::Ok, clock.pass(10));
    assert_eq!((clock.meter.assigned(), clock.load().arrived), (0, 0));
}

#[test]
fn numbers_of_requests_are_means_over_time() {
    let mut clock = Clocked::new();
    assert_eq!(clock.take().unwrap().endpoints, (1, 0));
    let (mut first, mut second) = (clock.meter.assign(), clock.meter.assign());
    first.wait(clock.now);
    second.wait(clock.pass(200));
    first.serve(clock.pass(200));
    second.serve(clock.pass(100));
    first.end(Outcome::Ok, clock.pass(300));
    clock.pass(200);
    let load = clock.load();
    // 200 ms one, 200 ms two, 100 ms one.
    assert_eq!((load.queued_milli, load.queued_peak), (700, 2));
    // 100 ms one, 300 ms two, 200 ms one.
    assert_eq!((load.in_flight_milli, load.assigned), (900, 1));
    clock.pass(1000);
    let load = clock.load();
    assert_eq!((load.queued_milli, load.queued_peak), (0, 0));
    assert_eq!((load.in_flight_milli, load.assigned), (1000, 1));
    drop(second);
}

#[test]
fn the_oldest_one_is_the_one_that_waits_longest() {
    let mut clock = Clocked::new();
    let mut requests: Vec<Assigned> = (0..3).map(|_| clock.meter.assign()).collect();
    for request in &mut requests {
        request.wait(clock.now);
        clock.pass(100);
    }
    assert_eq!(clock.load().oldest_ms, 300);
    let first = requests.remove(0);
    first.end(Outcome::Failed, clock.pass(50));
    let load = clock.load();
    assert_eq!((load.oldest_ms, load.queued_peak), (250, 3));
    assert_eq!(load.failed, 0, "no pod has seen it");
    requests.remove(1).end(Outcome::Ok, clock.now);
    assert_eq!((clock.load().oldest_ms, clock.load().queued_peak), (250, 1));
}

#[test]
fn ends_are_counted_by_what_came_of_them() {
    let mut clock = Clocked::new();
    let outcomes = [
        (Outcome::Ok, 40),
        (Outcome::Ok, 50),
        (Outcome::Rejected, 1),
        (Outcome::Failed, 100),
        (Outcome::Uncounted, 200),
    ];
    for (outcome, ms) in outcomes {
        let mut request = clock.meter.assign();
        request.serve(clock.now);
        request.end(outcome, clock.pass(ms));
    }
    let load = clock.load();
    assert_eq!((load.arrived, load.completed, load.assigned), (5, 5, 0));
    assert_eq!((load.ok, load.rejected, load.failed), (2, 1, 1));
    assert_eq!(load.service_us, 391_000);
    let answers: u32 = load.latency.iter().map(|(_, answers)| answers).sum();
    assert_eq!(answers, 4, "one of them named its revision");
    for ms in [40, 50, 1, 100] {
        let at = bucket(ms * 1000);
        assert!(load.latency.iter().any(|(bucket, _)| *bucket == at));
        assert!(upper_bound(at) >= ms * 1000);
    }
    assert_eq!(clock.take(), None);
}

#[test]
fn the_time_on_pods_is_from_the_first_choice_to_the_last_byte() {
    let mut clock = Clocked::new();
    let mut request = clock.meter.assign();
    request.wait(clock.now);
    request.serve(clock.pass(500));
    request.serve(clock.pass(20));
    request.end(Outcome::Ok, clock.pass(30));
    let load = clock.load();
    assert_eq!((load.service_us, load.in_flight_milli), (50_000, 50));
    assert_eq!(load.latency, [(bucket(50_000), 1)]);
}

#[test]
fn the_mean_forgets_slowly_and_outlives_idle_times() {
    let mut clock = Clocked::new();
    let mut serve = |ms| {
        let mut request = clock.meter.assign();
        request.serve(clock.now);
        request.end(Outcome::Ok, clock.pass(ms));
        clock.load().mean_service_us
    };
    assert_eq!(serve(100), 100_000);
    assert_eq!(serve(200), 110_000);
    assert_eq!(serve(0), 99_000);
    clock.pass(3_600_000);
    assert_eq!(clock.take(), None);
    let waiting = clock.meter.assign();
    assert_eq!(clock.load().mean_service_us, 99_000);
    drop(waiting);
}

#[test]
fn silence_is_told_once_more_after_the_last_request_and_never_again() {
    let mut clock = Clocked::new();
    assert!(clock.meter.take(clock.now, SECOND, (0, 0)).is_none());
    assert!(clock.meter.take(clock.now, SECOND, (2, 0)).is_some());
    assert!(clock.meter.take(clock.now, SECOND, (2, 0)).is_none());
    assert!(clock.meter.take(clock.now, SECOND, (1, 1)).is_some());
    let mut request = clock.meter.assign();
    request.serve(clock.now);
    clock.pass(1000);
    assert_eq!((clock.load().assigned, clock.load().arrived), (1, 0));
    request.end(Outcome::Ok, clock.now);
    assert_eq!(clock.load().assigned, 0);
    assert_eq!(clock.take(), None);
    clock.meter.reroute();
    assert_eq!(clock.load().rerouted, 1);
    assert_eq!(clock.take(), None);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_has_been_there_and_tells_nothing() {
    let now = || tokio::time::Instant::now().into_std();
    let meter = Meter::default();
    let (mut waits, mut served) = (meter.assign(), meter.assign());
    waits.wait(now());
    served.serve(now());
    tokio::time::advance(Duration::from_millis(250)).await;
    drop((waits, served));
    tokio::time::advance(Duration::from_millis(750)).await;
    let load = meter.take(now(), SECOND, (1, 0)).unwrap();
    assert_eq!((load.queued_milli, load.in_flight_milli), (250, 250));
    assert_eq!((load.assigned, load.arrived, load.completed), (0, 2, 0));
    assert_eq!((load.ok, load.failed, load.mean_service_us), (0, 0, 0));
}

#[test]
fn a_clock_that_another_request_has_read_later_takes_nothing_back() {
    let mut clock = Clocked::new();
    let early = clock.now;
    let mut first = clock.meter.assign();
    first.serve(clock.pass(100));
    let mut second = clock.meter.assign();
    second.serve(early);
    second.end(Outcome::Ok, early);
    first.end(Outcome::Ok, clock.pass(900));
    let load = clock.load();
    assert_eq!((load.in_flight_milli, load.completed), (900, 2));
}

#[test]
fn nothing_is_lost_between_threads() {
    let (meter, now) = (Meter::default(), tokio::time::Instant::now().into_std());
    let (mut arrived, mut ended) = (0, 0);
    std::thread::scope(|threads| {
        let work = || {
            for _ in 0..1000 {
                let mut request = meter.assign();
                request.wait(now);
                request.serve(now);
                request.end(Outcome::Ok, now);
            }
        };
        let workers = [threads.spawn(work), threads.spawn(work)];
        while workers.iter().any(|worker| !worker.is_finished()) {
            let load = meter.take(now, SECOND, (0, 0)).unwrap_or_default();
            (arrived, ended) = (arrived + load.arrived, ended + load.completed);
        }
    });
    let load = meter.take(now, SECOND, (0, 0)).unwrap_or_default();
    assert_eq!(
        (arrived + load.arrived, ended + load.completed),
        (2000, 2000)
    );
    assert_eq!((meter.assigned(), meter.waiting()), (0, 0));
}
