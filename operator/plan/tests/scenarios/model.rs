//! Gateways and pods as a queue: arrivals at random, slots, pods that start and drain.
//!
//! One queue before all pods; a request goes to the ready pod with the fewest in flight, if one has
//! a free slot. Whatever happens at the same microsecond happens in the order it was planned in.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use aimass_plan::model::scale::{Counts, Limits, Milli, Rules, Tick};

use super::operator::{LIMITS, Operator, Pods, rules};
use super::random::Random;

/// What is simulated.
pub(crate) struct Setting {
    /// Arrivals a second at a time in seconds.
    pub(crate) rate: fn(f64) -> f64,
    /// The most that `rate` ever is.
    pub(crate) peak_rate: f64,
    /// Further arrivals, at these times.
    pub(crate) placed: Vec<f64>,
    /// Seconds that one request takes, the mean.
    pub(crate) service: f64,
    /// What the gateway remembers of that at the beginning.
    pub(crate) remembered: bool,
    /// Seconds from a pod's creation until it is ready; infinite: never.
    pub(crate) start: f64,
    /// Pods that are ready at the beginning.
    pub(crate) pods: i32,
    pub(crate) seconds: u64,
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    /// Pods that the quota has room for in all, by time in seconds.
    pub(crate) quota: Option<fn(u64) -> i32>,
    /// Seconds between decisions.
    pub(crate) every: u64,
    /// Another operator takes over this often.
    pub(crate) restart_every: Option<u64>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            rate: |_| 0.0,
            peak_rate: 1.0,
            placed: Vec::new(),
            service: 0.1,
            remembered: false,
            start: 2.0,
            pods: 0,
            seconds: 300,
            rules: rules(),
            limits: LIMITS,
            quota: None,
            every: 1,
            restart_every: None,
        }
    }
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// When each request that was served came, and how long it waited for a slot: in seconds.
    pub(crate) waits: Vec<(f64, f64)>,
    /// Requests that came.
    pub(crate) arrived: usize,
    /// Pod-seconds.
    pub(crate) cost: f64,
    /// The most pods at once.
    pub(crate) peak: i32,
    /// The number that was recommended, by second.
    pub(crate) desired: Vec<i32>,
    /// The sentences of those that changed it, and when.
    pub(crate) changes: Vec<(f64, String)>,
}

impl Outcome {
    /// The wait in milliseconds that this share of those who came between two times did not exceed.
    pub(crate) fn percentile(&self, share: f64, (from, until): (f64, f64)) -> f64 {
        let came = |at: f64| from <= at && at < until;
        let within = self.waits.iter().filter(|(at, _)| came(*at));
        let mut waits: Vec<f64> = within.map(|(_, wait)| *wait).collect();
        waits.sort_by(f64::total_cmp);
        let place = (waits.len() as f64 * share).ceil() as usize;
        waits.get(place.saturating_sub(1)).copied().unwrap_or(0.0) * 1000.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Draining,
    Gone,
}

struct Pod {
    state: State,
    busy: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Second(u64),
    /// A candidate: it counts with the probability of the rate at its time.
    Candidate,
    Placed,
    Ready(usize),
    Done(usize, u64),
}

struct World<'a> {
    setting: &'a Setting,
    random: Random,
    operator: Operator,
    outcome: Outcome,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    planned: u64,
    now: u64,
    pods: Vec<Pod>,
    /// Numbers of those that are ready.
    ready: Vec<usize>,
    /// How many start or are ready.
    wanted: i32,
    queue: VecDeque<u64>,
    busy: u64,
    mean_service: f64,
    /// Since the last report; the first two in request-microseconds.
    in_flight: u64,
    queued: u64,
    counts: Counts<'static>,
}

/// Plays a setting.
pub(crate) fn play(setting: &Setting, seed: u64) -> Outcome {
    let now = Tick::of_second(0);
    let operator = Operator::new(setting.rules, setting.limits, setting.pods, now);
    let mut world = World {
        setting,
        random: Random::new(seed),
        operator,
        outcome: Outcome::default(),
        events: BinaryHeap::new(),
        planned: 0,
        now: 0,
        pods: (0..setting.pods)
            .map(|_| Pod {
                state: State::Ready,
                busy: 0,
            })
            .collect(),
        ready: (0..usize::try_from(setting.pods).unwrap()).collect(),
        wanted: setting.pods,
        queue: VecDeque::new(),
        busy: 0,
        mean_service: if setting.remembered {
            setting.service
        } else {
            0.0
        },
        in_flight: 0,
        queued: 0,
        counts: Counts::default(),
    };
    world.plan(1_000_000, Event::Second(1));
    world.next_candidate();
    for at in &setting.placed {
        world.plan(micros(*at), Event::Placed);
    }
    while let Some(Reverse((at, _, event))) = world.events.pop() {
        world.pass(at);
        if !world.happen(event) {
            break;
        }
    }
    world.outcome
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

impl World<'_> {
    fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        self.events.push(Reverse((at, self.planned, event)));
    }

    fn pass(&mut self, at: u64) {
        let passed = at - self.now;
        self.in_flight += self.busy * passed;
        self.queued += self.queue.len() as u64 * passed;
        self.outcome.cost += f64::from(self.wanted) * passed as f64 / 1e6;
        self.now = at;
    }

    /// Whether it goes on.
    fn happen(&mut self, event: Event) -> bool {
        match event {
            Event::Second(second) => {
                if second > self.setting.seconds {
                    return false;
                }
                self.second(second);
                self.plan((second + 1) * 1_000_000, Event::Second(second + 1));
            }
            Event::Candidate => {
                let rate = (self.setting.rate)(self.now as f64 / 1e6);
                if self.random.unit() * self.setting.peak_rate < rate {
                    self.arrive();
                }
                self.next_candidate();
            }
            Event::Placed => self.arrive(),
            Event::Ready(pod) => {
                if self.pods[pod].state == State::Starting {
                    self.pods[pod].state = State::Ready;
                    self.ready.push(pod);
                }
                self.dispatch();
            }
            Event::Done(pod, service) => {
                self.busy -= 1;
                self.counts.completed += 1;
                self.counts.service_us += service;
                let known = self.mean_service > 0.0;
                let weight = if known { 0.05 } else { 1.0 };
                self.mean_service += (service as f64 / 1e6 - self.mean_service) * weight;
                let pod = &mut self.pods[pod];
                pod.busy -= 1;
                if pod.state == State::Draining && pod.busy == 0 {
                    pod.state = State::Gone;
                }
                self.dispatch();
            }
        }
        true
    }

    fn next_candidate(&mut self) {
        let wait = self.random.exponential(self.setting.peak_rate);
        self.plan(self.now + micros(wait).max(1), Event::Candidate);
    }

    fn arrive(&mut self) {
        self.outcome.arrived += 1;
        self.counts.arrived += 1;
        self.queue.push_back(self.now);
        self.dispatch();
        if self.operator.current == 0 && !self.queue.is_empty() {
            self.decide(); // a wake
        }
    }

    fn dispatch(&mut self) {
        let slots = self.setting.rules.max_concurrency;
        while let Some(came) = self.queue.front().copied() {
            let pods = &self.pods;
            let least = (self.ready.iter().copied()).min_by_key(|number| pods[*number].busy);
            let Some(number) = least.filter(|number| pods[*number].busy < slots) else {
                return;
            };
            self.queue.pop_front();
            self.pods[number].busy += 1;
            self.busy += 1;
            let wait = (self.now - came) as f64 / 1e6;
            self.outcome.waits.push((came as f64 / 1e6, wait));
            let service = micros(self.random.service(self.setting.service)).max(1);
            self.plan(self.now + service, Event::Done(number, service));
        }
    }

    fn second(&mut self, second: u64) {
        let counts = Counts {
            in_flight: Milli(self.in_flight / 1000),
            queued: Milli(self.queued / 1000),
            mean_service_us: micros(self.mean_service),
            ..self.counts
        };
        (self.in_flight, self.queued, self.counts) = (0, 0, Counts::default());
        let now = Tick::of_second(second);
        self.operator.report("a", &counts, now);
        if self
            .setting
            .restart_every
            .is_some_and(|every| second.is_multiple_of(every))
        {
            self.operator.succeed(now);
        }
        if second.is_multiple_of(self.setting.every) {
            self.decide();
        }
        self.outcome.desired.push(self.operator.current);
    }

    fn decide(&mut self) {
        let existing = self.count(|state| state != State::Gone);
        let usable = self.count(|state| state == State::Ready);
        let second = self.now / 1_000_000;
        self.operator.limits.headroom = self.setting.quota.map(|quota| quota(second) - existing);
        let pods = Pods {
            usable,
            existing,
            waiting: usable == 0 && !self.queue.is_empty(),
        };
        let before = self.operator.current;
        let found = self
            .operator
            .decide(pods, Tick::from_millis(self.now / 1000));
        if found.desired != before {
            let at = self.now as f64 / 1e6;
            self.outcome.changes.push((at, found.to_string()));
        }
        self.apply(found.desired);
    }

    fn apply(&mut self, desired: i32) {
        while self.wanted < desired {
            let number = self.pods.len();
            self.pods.push(Pod {
                state: State::Starting,
                busy: 0,
            });
            self.wanted += 1;
            let start = self.random.around(self.setting.start);
            if start.is_finite() {
                self.plan(self.now + micros(start), Event::Ready(number));
            }
        }
        while self.wanted > desired {
            // as Kubernetes does: what is not ready first
            let last = (self.pods.iter().enumerate())
                .filter(|(_, pod)| matches!(pod.state, State::Starting | State::Ready))
                .min_by_key(|(_, pod)| (pod.state == State::Ready, pod.busy));
            let (number, pod) = last.unwrap();
            let drains = pod.busy > 0;
            self.pods[number].state = if drains { State::Draining } else { State::Gone };
            self.ready.retain(|ready| *ready != number);
            self.wanted -= 1;
        }
        self.outcome.peak = self.outcome.peak.max(self.wanted);
    }

    fn count(&self, matching: impl Fn(State) -> bool) -> i32 {
        let count = self.pods.iter().filter(|pod| matching(pod.state)).count();
        i32::try_from(count).unwrap()
    }
}
